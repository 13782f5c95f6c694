#!/bin/bash
# Runs a command with a cluster that has the project's images: cluster.sh COMMAND…
# The cluster is the one that KUBECONFIG names (LOAD_IMAGE then is the command that brings a local docker image to it, such as
# "kind load docker-image"), or the single-node one of ../shared/cluster, which is brought up for it and always taken down.
set -euo pipefail
cd "$(dirname "$0")/.."
shared=$PWD/../shared/cluster
tag=$(sed -n 's/^version = "\([^"]*\)".*/\1/p' pyproject.toml)
export PATH=$PATH:$PWD/.venv-chart/bin HCR_CLUSTER_TESTS=1

if [ -n "${KUBECONFIG:-}" ]; then
    load() { for image; do ${LOAD_IMAGE:-true} "$image"; done; }
elif [ -x "$shared/up" ] && [ "$(id -u)" = 0 ]; then
    load() { # all in one archive, as their layers are mostly the same
        local archive
        archive=$(mktemp --suffix=.tar)
        docker save -o "$archive" "$@"
        "$shared/load-image" "$archive" >/dev/null
        rm "$archive"
    }
    exec 9<"$shared" # a machine has one such cluster: a second run waits, and does not end the first one's
    flock --nonblock 9 || { echo "another run has the cluster: waiting for its end" >&2; flock 9; }
    "$shared/build"
    trap '"$shared/down" --docker' EXIT # whatever happens from here on
    trap 'exit 130' INT TERM
    environment=$("$shared/up" 9>&-) # its daemons and dockerd, which go on, do not keep the lock
    eval "$environment"
    "$shared/base-image" 9>&-
else
    echo "left out: no cluster. Set KUBECONFIG, or run as root where ../shared/cluster is" >&2
    exit 3
fi
scripts/images.sh
docker build --quiet -f tests/cluster/prometheus.Dockerfile -t "handwriting-test-prometheus:$tag" tests/cluster >/dev/null
load "handwriting-gateway:$tag" "handwriting-pipelines:$tag" "handwriting-model-server:$tag" "handwriting-test-prometheus:$tag"
"$@"
