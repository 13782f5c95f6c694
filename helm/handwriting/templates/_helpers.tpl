{{/* Names and labels. */}}
{{- define "handwriting.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "handwriting.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "handwriting.name" .) .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (include "handwriting.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "handwriting.selector" -}}
app.kubernetes.io/name: {{ include "handwriting.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "handwriting.labels" -}}
{{ include "handwriting.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: handwriting
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "handwriting.image" -}}
{{- $image := .image -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* A value as an environment variable has it: whole numbers without an exponent. */}}
{{- define "handwriting.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{- define "handwriting.claim" -}}
{{ .Values.repository.existingClaim | default (printf "%s-repository" (include "handwriting.fullname" .)) }}
{{- end }}

{{/* Pod Security Standard "restricted", for every pod. */}}
{{- define "handwriting.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.security.runAsUser }}
  runAsGroup: {{ .Values.security.runAsUser }}
  fsGroup: {{ .Values.security.fsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "handwriting.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* With a volume that one node can mount, all that mount it go to that node. */}}
{{- define "handwriting.repositoryAffinity" -}}
{{- if eq .Values.repository.accessMode "ReadWriteOnce" }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{ include "handwriting.repositoryLabel" . }}
{{- end }}
{{- end }}

{{- define "handwriting.repositoryLabel" -}}
handwriting/repository: {{ include "handwriting.claim" . }}
{{- end }}

{{- define "handwriting.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "handwriting.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "handwriting.selector" . | nindent 8 }}
{{- end }}

{{/* Where the gateway and releases find the model servers: a headless Service, so that the name gives every pod. */}}
{{- define "handwriting.modelServer" -}}
{{ include "handwriting.fullname" . }}-serving:8500
{{- end }}

{{/* The Secret with the keys; empty where everybody is let in. */}}
{{- define "handwriting.keys" -}}
{{- if .Values.gateway.keys.existingSecret }}{{ .Values.gateway.keys.existingSecret }}
{{- else if .Values.gateway.keys.generate }}{{ include "handwriting.fullname" . }}-keys
{{- end }}
{{- end }}

{{- define "handwriting.check" -}}
{{- $several := or (gt (int .Values.serving.replicas) 1) .Values.serving.autoscaling.enabled }}
{{- if and (eq .Values.repository.accessMode "ReadWriteOnce") $several (not .Values.repository.singleNode) }}
{{- fail "\n\nSeveral model servers on several nodes cannot share a ReadWriteOnce volume. Either give repository.accessMode=ReadWriteMany (and a storage class that has it), or say repository.singleNode=true: then all of them go to one node.\n" }}
{{- end }}
{{- if and .Values.serving.autoscaling.enabled (gt (int .Values.serving.autoscaling.minReplicas) (int .Values.serving.autoscaling.maxReplicas)) }}
{{- fail "\n\nserving.autoscaling.minReplicas is larger than maxReplicas.\n" }}
{{- end }}
{{- if and .Values.gateway.autoscaling.enabled (gt (int .Values.gateway.autoscaling.minReplicas) (int .Values.gateway.autoscaling.maxReplicas)) }}
{{- fail "\n\ngateway.autoscaling.minReplicas is larger than maxReplicas.\n" }}
{{- end }}
{{- if and .Values.gateway.ingress.enabled (not .Values.gateway.ingress.hosts) }}
{{- fail "\n\ngateway.ingress.enabled needs a host in gateway.ingress.hosts.\n" }}
{{- end }}
{{- end }}
