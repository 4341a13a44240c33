# One virtual environment, .venv, serves every target. The package is in it in editable form, so
# the demo runs the code that stands here; each target adds the extras that it needs, once, and a
# stamp file remembers it until pyproject.toml changes.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test fuzz soak lint docs bench experiments clean

# The Python to make the environment from; override with: make test PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
DEMO ?= runs/demo
# Further options, for example: make test ARGS='-k report', make demo ARGS='--seed 1'
ARGS ?=

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-core ## install, train on the built-in scenes, write runs/demo/report.html
	$(BIN)/gatlabel train --output $(DEMO) --overwrite $(ARGS)

test: $(VENV)/.stamp-test ## install for the tests and run them, a process per core
	$(BIN)/python -m pytest -n auto $(ARGS)

soak: $(VENV)/.stamp-test ## the long tests: kills, faults at every change of a file (hours)
	$(BIN)/python -m pytest -m soak $(ARGS)

fuzz: $(VENV)/.stamp-test ## read 10,000 corrupted files (ARGS='--files 500 --seed 1': fewer, others)
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(VENV)/.stamp-lint ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.stamp-test ## write the generated pages of docs/: options, names, all pages
	$(BIN)/python docs/make_reference.py $(ARGS)

# The scripts on speed; benchmarks/speed/table.py puts what they write into one table.
SPEED := metrics losses counts pipeline training_step import_time attention gpu

bench: $(VENV)/.stamp-test ## measure speeds, print one table (ARGS=--quick: a trial)
	@for name in $(SPEED); do echo "== $$name"; $(BIN)/python benchmarks/speed/$$name.py $(ARGS); done
	@$(BIN)/python benchmarks/speed/table.py

# The studies, and the two scripts on speed that write no row of that table.
experiments: $(VENV)/.stamp-test ## repeat the experiments on quality (hours)
	@for script in benchmarks/speed/{sorted_limits,resume_overhead}.py benchmarks/studies/*.py; do \
	  name=$$(basename $$script .py); \
	  if [ $$name = study ]; then continue; fi; \
	  echo "== $$name"; $(BIN)/python $$script $(ARGS); done

clean: ## remove the environment, caches and build products; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.stamp-python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "no $(PYTHON) found: install Python 3.11 or newer, or say make PYTHON=/path/to/python" >&2; \
	  exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "gatlabel needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	       "Say make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: install the package python3-venv" >&2; \
	  exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-core: pyproject.toml | $(VENV)/.stamp-python
	$(INSTALL) -e '.[lite]'
	@touch $@

$(VENV)/.stamp-test: pyproject.toml | $(VENV)/.stamp-python
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.stamp-core

$(VENV)/.stamp-lint: pyproject.toml | $(VENV)/.stamp-python
	$(INSTALL) -e '.[test,lint]'
	@touch $@ $(VENV)/.stamp-test $(VENV)/.stamp-core
