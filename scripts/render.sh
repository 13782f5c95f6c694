#!/bin/sh
# Writes the manifests that the chart makes to k8s/rendered, for kubectl apply. `--print ARGUMENTS…` prints those of one set of values.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:$PWD/.venv-chart/bin"
command -v helm >/dev/null || { echo "render: helm is not on PATH; scripts/setup.sh chart builds one where Go is installed" >&2; exit 1; }

render() { # further arguments of helm
    echo "# Made from helm/handwriting by make render; do not edit. Into the namespace that kubectl names: kubectl apply -n NAMESPACE -f FILE"
    helm template handwriting helm/handwriting --namespace handwriting --kube-version 1.31.0 --skip-tests "$@"
}
if [ "${1:-}" = --print ]; then
    shift
    render "$@"
else
    mkdir -p k8s/rendered
    render >k8s/rendered/handwriting.yaml
    render -f helm/handwriting/ci/development-values.yaml >k8s/rendered/development.yaml
fi
