#!/bin/sh
# Resolves pyproject.toml anew into requirements/*.txt, with hashes, and compiles the wire. Run by `make lock`.
set -eu
cd "$(dirname "$0")/.."
compile() { # output, arguments
    out=$1
    shift
    .tools/bin/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-emit-index-url \
        --custom-compile-command "make lock" -o "requirements/$out" "$@"
}
compile uv.txt requirements/uv.in
compile dev.txt pyproject.toml --extra gateway --extra pipelines --extra pdf --extra client --group dev
compile gateway.txt pyproject.toml --extra gateway -c requirements/dev.txt
compile pipelines.txt pyproject.toml --extra pipelines -c requirements/dev.txt
compile build.txt requirements/build.in -c requirements/dev.txt
compile test-tools.txt --group pyproject.toml:test-tools -c requirements/dev.txt
compile chart.txt requirements/chart.in -c requirements/dev.txt
compile test.txt --group pyproject.toml:test -c requirements/dev.txt
compile clients.txt --group pyproject.toml:clients
# The peers of the benchmarks run the same model and the same preprocessing, so on the same versions; the rest is their own choice.
shared=$(mktemp)
trap 'rm -f "$shared"' EXIT
grep -E '^(numpy|opencv-python-headless|pillow|tensorflow|tensorflow-cpu)==' requirements/dev.txt | sed 's/ *\\$//' >"$shared"
for peer in benchmarks/peers/*/requirements.in; do
    compile "../${peer%.in}.txt" "$peer" -c "$shared" --no-annotate
done
.venv/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. tfserving/wire.proto
