#!/bin/bash
# Runs a command with a cluster that has the project's images: cluster.sh COMMAND…
# The cluster is the one that KUBECONFIG names (LOAD_IMAGE then is the command that brings a local docker image to it, such as
# "kind load docker-image"), or the single-node one of ../shared/cluster, which is brought up for it and always taken down.
# Where there is none and this machine cannot have one, it says why and ends with 3, or with 0 where CLUSTER_IS_OPTIONAL is set.
set -euo pipefail
cd "$(dirname "$0")/.."
shared=$PWD/../shared/cluster
tag=$(sed -n 's/^version = "\([^"]*\)".*/\1/p' pyproject.toml)
leave_out() { # why
    echo "left out, for there is no cluster: $1" >&2
    [ -z "${CLUSTER_IS_OPTIONAL:-}" ] || exit 0
    exit 3
}
export PATH=$PATH:$PWD/.venv-chart/bin HCR_CLUSTER_TESTS=1

if [ -n "${KUBECONFIG:-}" ]; then
    load() { for image; do ${LOAD_IMAGE:-true} "$image"; done; }
elif [ ! -x "$shared/up" ]; then
    leave_out "KUBECONFIG names none, and ../shared/cluster is not there"
elif [ "$(id -u)" != 0 ]; then
    leave_out "KUBECONFIG names none, and only root can bring up that of ../shared/cluster"
else
    load() { # all in one archive, as their layers are mostly the same
        local archive
        archive=$(mktemp --suffix=.tar)
        docker save -o "$archive" "$@"
        "$shared/load-image" "$archive" >/dev/null
        rm "$archive"
    }
    exec 9<"$shared" # a machine has one such cluster: a second run waits, and does not end the first one's
    flock --nonblock 9 || { echo "another run has the cluster: waiting for its end" >&2; flock 9; }
    "$shared/build" || leave_out "../shared/cluster/build fails on this machine, see above"
    trap '"$shared/down" --docker' EXIT # whatever happens from here on
    trap 'exit 130' INT TERM
    # their daemons, which go on, do not keep the lock
    environment=$("$shared/up" 9>&-) || leave_out "../shared/cluster/up fails on this machine, see above"
    eval "$environment"
    "$shared/base-image" 9>&- || leave_out "../shared/cluster/base-image fails on this machine, see above"
    if [ -n "${CLUSTER_IS_OPTIONAL:-}" ]; then # whether the machine's cluster is to blame is asked first, not afterwards
        mkdir -p .hcr
        if ! "$shared/smoke-test" >.hcr/smoke-test.log 2>&1 9>&-; then
            sed -n '/FAIL/,$p' .hcr/smoke-test.log >&2
            leave_out "../shared/cluster/smoke-test finds faults on this machine, see above"
        fi
    fi
fi
scripts/images.sh
docker build --quiet -f tests/cluster/prometheus.Dockerfile -t "handwriting-test-prometheus:$tag" tests/cluster >/dev/null
load "handwriting-gateway:$tag" "handwriting-pipelines:$tag" "handwriting-model-server:$tag" "handwriting-test-prometheus:$tag"
"$@"
