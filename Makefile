# Bare `make` lists the targets. Everything is installed inside the checkout: .tools, .venv, .venv-gateway, .test-tools.
PORT ?= 8080
HCR := .venv/bin/hcr
PYTEST := .venv/bin/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help run test check train bench format lock clean setup

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

run: .venv/installed ## serve on this machine; trains a quick model first where there is none (PORT=8080)
	@exec $(HCR) up --port $(PORT)

test: .venv/installed .venv-gateway/installed .test-tools/installed ## run all tests
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

bench: .venv/installed ## measure start, memory, latency, refusals and recovery on this machine
	@PYTHONPATH=. .venv/bin/python benchmarks/spine.py

format: .venv/installed ## put the code into its format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lock: .venv/installed ## resolve all dependencies anew
	scripts/lock.sh

setup: .venv/installed ## install what the other targets need

clean: ## remove everything that was installed or made, but the models in model_repo
	rm -rf .tools .venv .venv-gateway .test-tools .hcr .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/installed: requirements/dev.txt requirements/build.txt requirements/uv.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev

.venv-gateway/installed: requirements/gateway.txt requirements/test.txt requirements/uv.txt scripts/setup.sh
	@scripts/setup.sh gateway

.test-tools/installed: .venv/installed requirements/test-tools.txt requirements/uv.txt scripts/setup.sh
	@scripts/setup.sh test-tools
