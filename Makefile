# `make demo` and `make test` need nothing but Python 3.11+ with venv: they make .venv from the lock first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
UV = $$(command -v uv || echo $(BIN)/uv)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check static format lock docs bench bench-fuzz bench-faults clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make .venv and install the lock into it

# uv installs the lock several times faster than pip; where it is missing it goes into the environment itself.
$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(UV) pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: setup ## fit the demo committee on synthetic faces, predict, say how to compare the members
	$(BIN)/ensemble fit --members members.yaml
	$(BIN)/ensemble predict --tta 10
	@echo
	@echo "Compare the members: .venv/bin/ensemble ui    (MLflow in the browser)"

test: setup ## all tests
	$(BIN)/python -m pytest -n auto --dist loadfile

check: static test ## format, lint, types, import rules, tests

static: setup ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup ## resolve requirements.lock anew
	uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --universal --python-version 3.11 --output-file requirements.lock

docs: setup ## write docs/members-yaml.md anew
	$(BIN)/python -m pipelines.reference docs/members-yaml.md

bench-fuzz: setup ## ten thousand random inputs; results go to benchmarks/results/
	$(BIN)/python -m benchmarks.fuzz

bench: setup ## the benchmarks, FACES="csv or zip …" for those on real faces; results go to benchmarks/results/
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.synthetic_difficulty
	test -z "$(FACES)" || $(BIN)/python -m benchmarks.loading $(FACES)

bench-faults: setup ## kill, damage and fill disks; long runs in memory; the tables of docs/faults.md
	$(BIN)/python -m benchmarks.faults
	$(BIN)/python -m benchmarks.endurance

clean: ## remove what tests and tools leave behind
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
