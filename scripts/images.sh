#!/bin/sh
# Builds the three images, tagged with the project's version (or TAG), and writes an SBOM (SPDX) of each to .hcr/sbom. Run by make images.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\([^"]*\)".*/\1/p' pyproject.toml)
tag=${TAG:-$version}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
syft=.venv-chart/bin/syft

export DOCKER_CLI_HINTS=false

build() { # image, Dockerfile, further arguments
    image=handwriting-$1:$tag
    file=$2
    shift 2
    docker build --quiet --build-arg VERSION="$version" --build-arg REVISION="$revision" \
        ${PIP_INDEX_URL:+--build-arg "PIP_INDEX_URL=$PIP_INDEX_URL"} -f "$file" "$@" -t "$image" . >/dev/null
    echo "$image  $(($(docker image inspect --format '{{.Size}}' "$image") / 1000000)) MB  $(docker image inspect --format '{{.Id}}' "$image")"
}
sbom() { # image; the same one's is there already
    mkdir -p .hcr/sbom
    id=$(docker image inspect --format '{{.Id}}' "handwriting-$1:$tag")
    [ -s ".hcr/sbom/$1.spdx.json" ] && [ "$(cat ".hcr/sbom/$1.id" 2>/dev/null)" = "$id" ] && return
    docker save -o ".hcr/sbom/$1.tar" "handwriting-$1:$tag"
    SYFT_CHECK_FOR_APP_UPDATE=false "$syft" scan --quiet "docker-archive:.hcr/sbom/$1.tar" --source-name "handwriting-$1" \
        --source-version "$tag" -o "spdx-json=.hcr/sbom/$1.spdx.json"
    rm ".hcr/sbom/$1.tar"
    echo "$id" >".hcr/sbom/$1.id"
}
build gateway gateway/Dockerfile
build pipelines pipelines/Dockerfile --target pipelines
build model-server pipelines/Dockerfile --target model-server
for image in gateway pipelines model-server; do
    sbom $image
done
echo "SBOMs: .hcr/sbom/*.spdx.json"
