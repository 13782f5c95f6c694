# Bare `make` lists the targets. Everything is installed inside the checkout: .tools, .venv, .venv-gateway, .venv-clients, .test-tools, .venv-chart, .bench.
PORT ?= 8080
RUNS ?= 1000000
HCR := .venv/bin/hcr
PYTEST := .venv/bin/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help run test check train bench bench-full fuzz drill drill-full drill-release drill-kill images render e2e drill-cluster format lock clean setup

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

run: .venv/installed ## serve on this machine; trains a quick model first where there is none (PORT=8080)
	@exec $(HCR) up --port $(PORT)

test: .venv/installed .venv-gateway/installed .venv-clients/installed .test-tools/installed .venv-chart/installed ## run all tests
	PYTHONPATH=.venv-gateway/pytest .venv-gateway/bin/python -m pytest -p no:cacheprovider tests/unit/gateway tests/unit/handwriting
	$(PYTEST)

check: .venv/installed ## format, lint, types, imports, generated files, unit tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python scripts/check_generated.py
	$(PYTEST) -q tests/unit

train: .venv/installed ## train the default model on this machine and publish it
	@exec $(HCR) train

fuzz: .venv/installed .test-tools/installed ## try a million made-up images on decoding, preprocessing and segmentation (RUNS=1000000)
	@PYTHONPATH=.:.test-tools .venv/bin/python tests/fuzz/fuzz_images.py $(RUNS)

bench: .venv/installed .bench/installed ## measure the gateway against five other servers, in a quarter of an hour
	@exec .venv/bin/python -m benchmarks.suite

drill: .venv/installed ## kill, halt, overload and end what serves, and look at the answers; minutes
	@exec .venv/bin/python -m benchmarks.drills

drill-full: .venv/installed ## the same more often, and half an hour of work; an hour
	@exec .venv/bin/python -m benchmarks.drills --times 20 --seconds 15 --soak 1800

drill-release: .venv/installed ## release 20 versions in a row under traffic, five of them bad; ten minutes
	@exec .venv/bin/python -m benchmarks.release_drill

bench-full: .venv/installed .bench/installed ## the same with all payloads and connections, in an hour
	@exec .venv/bin/python -m benchmarks.suite --full --seconds 5

drill-kill: .venv/installed ## SIGKILL at every call that changes the repository or feedback, hundreds of them; minutes
	@HCR_DRILLS=all exec $(PYTEST) tests/drills -s

images: .venv-chart/installed ## build the container images and their SBOMs, with docker
	@scripts/images.sh

render: .venv/installed .venv-chart/installed ## write everything that is made from other files, k8s/rendered with helm too
	@scripts/render.sh
	.venv/bin/python scripts/check_generated.py --write

e2e: .venv/installed .venv-chart/installed ## the chart on a cluster: KUBECONFIG's, or one that ../shared/cluster brings up
	@scripts/cluster.sh .venv/bin/python -m pytest tests/cluster -m "not drill" -o timeout=1200

drill-cluster: .venv/installed .venv-chart/installed ## what a cluster does to requests while it changes, as a table
	@scripts/cluster.sh .venv/bin/python -m pytest tests/cluster -m drill -s -o timeout=1200

format: .venv/installed ## put the code into its format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lock: .venv/installed ## resolve all dependencies anew
	scripts/lock.sh

setup: .venv/installed ## install what the other targets need

clean: ## remove everything that was installed or made, but the models in model_repo
	rm -rf .tools .venv .venv-gateway .venv-clients .test-tools .venv-chart .bench .hcr .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/installed: requirements/dev.txt requirements/build.txt requirements/uv.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev

.venv-gateway/installed: requirements/gateway.txt requirements/test.txt requirements/uv.txt scripts/setup.sh
	@scripts/setup.sh gateway

.test-tools/installed: .venv/installed requirements/test-tools.txt requirements/uv.txt scripts/setup.sh
	@scripts/setup.sh test-tools

.venv-chart/installed: requirements/chart.txt requirements/uv.txt scripts/helm/go.sum scripts/setup.sh
	@scripts/setup.sh chart

.bench/installed: .venv/installed $(wildcard benchmarks/peers/*/requirements.txt) scripts/setup.sh
	@scripts/setup.sh peers

.venv-clients/installed: requirements/clients.txt requirements/build.txt requirements/uv.txt scripts/setup.sh
	@scripts/setup.sh clients
