# Everything a person does with this repository. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What the linters read: those of our folders that exist.
SOURCES := $(wildcard wallet market bench migrations tests wsgi.py)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1

.PHONY: help
help: ## List what can be done
	@echo "Tràng Tiền — make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/run.stamp ## Run the city on http://localhost:8000 (PORT and DATABASE_URL are honoured); Ctrl-C stops it
	@exec $(BIN)/python -m wallet.run

# A browser on a busy machine may miss a wait: such a test, and no other, is run once more, and the summary says RERUN.
RERUNS := --reruns 1 --only-rerun "Locator expected" --only-rerun "playwright.*TimeoutError"

.PHONY: test
test: $(VENV)/dev.stamp ## Run every test, browser tests included (ARGS="-k name" narrows it)
	@$(BIN)/python -m tests.chromium
	@$(BIN)/python -m tests.tools
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(RERUNS) $(ARGS)

.PHONY: pages
pages: $(VENV)/dev.stamp ## Look at the design of every page in the browser, of which `make test` visits every twelfth
	@$(BIN)/python -m tests.chromium
	@PAGES=all $(BIN)/python -m pytest $(RERUNS) tests/test_pages_design.py

.PHONY: soak
soak: $(VENV)/dev.stamp ## Crowds, crashes and a random machine against the ledger for SOAK_S seconds (600); proved throughout
	@$(BIN)/python -m tests.soak

.PHONY: lint
lint: $(VENV)/dev.stamp ## Check style, types and floors (ruff, mypy, import-linter)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/python -m mypy $(SOURCES)
	@PYTHONPATH=. $(BIN)/lint-imports

.PHONY: fmt
fmt: $(VENV)/dev.stamp ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix $(SOURCES) || true
	@$(BIN)/ruff format $(SOURCES)

.PHONY: prove
prove: $(VENV)/run.stamp ## Recompute the books from the first posting and name every difference
	@$(BIN)/python -m wallet.run.environment $(BIN)/python -m market.prove $(ARGS)

.PHONY: export
export: $(VENV)/run.stamp ## Export the books for others' tools (ARGS="so.zip", so.beancount, so.journal or la.ndjson)
	@$(BIN)/python -m wallet.run.environment $(BIN)/python -m wallet.exports $(ARGS)

.PHONY: bench
bench: $(VENV)/run.stamp ## Measure against peers; figures to var/bench.json (ARGS="ledger" or "http" narrows it)
	@$(BIN)/python -m bench $(ARGS)

.PHONY: demo-scale
demo-scale: $(VENV)/run.stamp ## Add 5,000 merchants, 500 points and 100,000 products to the city in var/pg (ARGS="--products 10000")
	@$(BIN)/python -m bench.scale $(ARGS)

.PHONY: bench-growth
bench-growth: $(VENV)/run.stamp ## Measure at ten million postings; some 15 minutes and 40 GB (ARGS="--postings 1000000")
	@$(BIN)/python -m bench.growth $(ARGS)

.PHONY: clips
clips: $(VENV)/run.stamp ## Record anew what a counter says (needs espeak-ng, sox, libsox-fmt-mp3 and lame)
	@$(BIN)/python -m market.clips

.PHONY: migrate
migrate: $(VENV)/run.stamp ## Bring the configured database, or else the one in var/pg, to the newest migration
	@$(BIN)/python -m wallet.run.migrate

.PHONY: clean
clean: ## Remove the venv and what the tools cached; the data in var stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -not -path './.git/*' -exec rm -rf {} +

.PHONY: clean-data
clean-data: $(VENV)/run.stamp ## Remove the demo city and its database for good (what is in var)
	@$(BIN)/python -m wallet.run.clean

# The venv is made once; the stamps make pip run again only when a requirements file changed.
$(VENV)/made.stamp:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: apt install python3 python3-venv make" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "This system keeps Python's venv apart: apt install python3-venv make" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The venv could not be made: apt install python3-venv make" >&2; exit 1; }
	@touch $@

$(VENV)/run.stamp: requirements.txt $(VENV)/made.stamp
	@echo "Installing what requirements.txt pins …"
	@$(BIN)/python -m pip install -qq -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	@echo "Installing what requirements-dev.txt pins …"
	@$(BIN)/python -m pip install -qq -r requirements-dev.txt
	@touch $@
