# Everything here works on a machine with python3.11+, make and the package index.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv-audit
SWIFT := .venv-swift
AZURITE := tests/support/servers/azurite
DEMO_MIB ?= 1024

# The dev cluster of this checkout, and its context, stay inside the checkout.
export MC_DEV_DIR ?= $(CURDIR)/.dev
export XDG_CONFIG_HOME ?= $(CURDIR)/.dev-config

.PHONY: help setup servers demo test test-all bench sim sim-report check fmt docs pages protos audit sbom clean
.DEFAULT_GOAL := help

help: ## This list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## A .venv with everything locked; the other targets call it.
$(VENV)/.ready: requirements/dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "multicloud needs Python 3.11 or newer and found none. Install it, or set PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## The main job, end to end, on a six-node, three-cloud cluster on this machine.
	@$(BIN)/mcctl dev demo --mib $(DEMO_MIB)

test: setup servers ## The test suite.
	@$(BIN)/python -m pytest -n 2 -m "not slow" $(PYTEST)

test-all: setup servers ## And what needs root, Debian packages, or hours.
	@$(BIN)/python -m pytest $(PYTEST)

servers: $(SWIFT)/.ready $(AZURITE)/node_modules/.ready ## Servers of clouds that tests start; what is lacking is listed as not run.
$(SWIFT)/.ready: requirements/swift.lock
	$(PYTHON) -m venv --clear $(SWIFT)
	$(SWIFT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/swift.lock
	@touch $@
$(AZURITE)/node_modules/.ready: $(AZURITE)/package-lock.json
	@if ! command -v npm >/dev/null; then echo "no npm: tests with Azurite are not run"; \
	else cd $(AZURITE) && npm ci --silent --no-audit --no-fund --ignore-scripts && touch node_modules/.ready; fi

bench: setup ## Figures into docs/benchmarks.md; BENCH=start for one part, BASELINE=1 to compare with later.
	@$(BIN)/python -m tests.bench $(BENCH) $(if $(BASELINE),--baseline)

sim: setup ## One simulated life of a cluster (SEED=7) or many (SEEDS=1000); LIFE=life: of brains alone.
	@$(BIN)/python -m tests.sim $(or $(LIFE),whole) $(if $(SEEDS),--seeds $(SEEDS),--seed $(or $(SEED),0))

sim-report: setup ## Detection, false deaths, healing and traffic into docs/benchmarks.md; takes an hour.
	@$(BIN)/python -m tests.sim report --full --write

check: setup ## Format, lint, types, import layers, rules of the house, proto lint and drift.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.protos check
	$(BIN)/python -m tools.pages check
	$(BIN)/python -m tools.house

fmt: setup ## Formats the code and mends what lint can mend.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

protos: setup ## Generates multicloud/v1 from protos/.
	$(BIN)/python -m tools.protos generate

pages: setup ## Writes the pages of docs/ that are made from the code.
	$(BIN)/python -m tools.pages write

docs: setup ## The documentation site, into site/; a broken link fails.
	$(BIN)/python -m tools.links
	$(BIN)/zensical build --clean --strict

audit: $(AUDIT)/.ready ## Known vulnerabilities of what is locked; asks PyPI, and fails where it cannot.
	$(AUDIT)/bin/pip-audit --strict --require-hashes --disable-pip -r requirements/dev.lock

sbom: $(AUDIT)/.ready ## What is locked as a CycloneDX list, in dist/sbom.json.
	@mkdir -p dist
	$(AUDIT)/bin/cyclonedx-py requirements requirements/dev.lock --output-reproducible -o dist/sbom.json

$(AUDIT)/.ready: requirements/audit.lock
	$(PYTHON) -m venv --clear $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/audit.lock
	@touch $@

clean: ## Removes what the other targets made.
	rm -rf $(VENV) $(AUDIT) $(SWIFT) $(AZURITE)/node_modules .dev .dev-config site build dist
