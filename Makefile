# Everything runs in .venv, which the first command makes; stamp files inside it say what is installed already.

PYTHON ?= python3
SCALE ?= small
PYTEST_ARGS ?= -n auto --maxprocesses 8 --dist loadfile

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check bench clean

help: ## list these commands
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1|/' | while IFS='|' read -r name text; do printf '  make %-7s %s\n' "$$name" "$$text"; done

run: .venv/.run ## run the staircase study at its small scale: its claims and its report page (SCALE=smoke, small, paper)
	$(BIN)/stepwell run staircase --scale $(SCALE)

test: .venv/.develop ## run the default tests (PYTEST_ARGS="tests/dsl -k law" for some of them)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: .venv/.develop ## check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

bench: .venv/.run ## measure the engine
	$(BIN)/python -m scripts.bench.engine

clean: ## remove .venv and what tools left behind; records stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist
	find theory dsl runs scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Stepwell needs Python 3.11 or newer, and '$(PYTHON)' is not: name one, as in 'make $(MAKECMDGOALS) PYTHON=python3.12'" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

# pip first: an older one knows neither dependency groups nor constraints on builds
.venv/.run: .venv/.made pyproject.toml constraints.txt
	$(INSTALL) --upgrade pip
	$(INSTALL) --build-constraint constraints.txt --editable .
	@touch $@

.venv/.develop: .venv/.run
	$(INSTALL) --group test --group check
	@touch $@
