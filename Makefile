# AIProxyAPI. `make` alone lists what there is.
#
# Every target sets up what it needs in .venv and does so once: a stamp file there is older than
# pyproject.toml only when the dependencies may have changed. Python 3.11 or later is all that
# must be there; another interpreter is chosen with `make PYTHON=/path/to/python3.12 run`.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: errors are shown, and nothing about where packages come from.
PIP := $(BIN)/python -m pip --quiet --quiet --no-input --disable-pip-version-check

# The environment is made again when the interpreter asked for or the place of the checkout has
# changed: it would not work any more. Without PYTHON on the command line or in the environment
# one that is there already is kept, whatever `python3` has become.
ASK_VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
ifeq ($(origin PYTHON),file)
VERSION := $(shell $(BIN)/python $(ASK_VERSION))
endif
VERSION := $(or $(VERSION),$(shell $(PYTHON) $(ASK_VERSION)))
ifneq ($(shell cat $(VENV)/.made-for 2>/dev/null),$(VERSION) $(CURDIR))
.PHONY: $(VENV)/.made-for
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-clients check fmt format-check lint type layers bench cov migrate hooks clean

help: ## show this list
	@echo "usage: make <target> [ARGS='...'] [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.has-dev ## install everything that development needs, without running anything

run: $(VENV)/.has-app ## start the gateway (ARGS="--port 9000")
	@exec $(BIN)/aiproxyapi run $(ARGS)

test: $(VENV)/.has-test ## run the tests (ARGS="-k name")
	@$(BIN)/python -m pytest $(ARGS)

test-clients: $(VENV)/.has-test ## drive real command line agents against the gateway (needs npm, ARGS="-k pi")
	@$(BIN)/python -m tests.clients.install
	@AIPROXY_TEST_CLIENTS=1 $(BIN)/python -m pytest tests/clients -rs $(ARGS)

check: format-check lint type layers ## everything CI checks besides the tests

fmt: $(VENV)/.has-dev ## format the code and mend what the linter can mend
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

format-check: $(VENV)/.has-dev ## see whether the code is formatted
	@$(BIN)/ruff format --check

lint: $(VENV)/.has-dev ## look for mistakes and bad habits
	@$(BIN)/ruff check

type: $(VENV)/.has-dev ## check the types
	@$(BIN)/mypy

layers: $(VENV)/.has-dev ## check that packages import only what stands below them
	@$(BIN)/lint-imports

bench: $(VENV)/.has-test ## measure CPU time, memory and latency against a bare application
	@$(BIN)/python -m tests.bench $(ARGS)

# What the gateway's own processes execute counts as well: see [tool.coverage.run].
cov: $(VENV)/.has-dev ## run the tests and show which lines they leave out
	@$(BIN)/python -m pytest --cov --cov-report=term-missing $(ARGS)

migrate: $(VENV)/.has-app ## bring the database to the newest revision, without serving
	@$(BIN)/aiproxyapi migrate $(ARGS)

hooks: $(VENV)/.has-dev ## have Git run the quick checks before each commit
	@$(BIN)/pre-commit install

clean: ## remove the environment, caches and builds; configuration and data stay
	rm -rf $(VENV) .clients build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find app tests migrations -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made-for:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed, and '$(PYTHON)' is $(or $(VERSION),not there)." >&2; \
		echo "Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' lacks its venv module. On Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }
	@# One that somebody made by hand is used as it is, if it can be.
	@if [ -e $@ ] || ! $(BIN)/python -m pip --version 2>/dev/null | grep -qF "(python $(VERSION))"; then \
		echo "Making $(VENV) ..."; $(PYTHON) -m venv --clear $(VENV); fi
	@printf '%s %s\n' "$$($(BIN)/python $(ASK_VERSION))" "$(CURDIR)" > $@

$(VENV)/.has-app: pyproject.toml $(VENV)/.made-for
	@echo "Installing what the gateway needs (once) ..."
	@$(PIP) install -e .
	@touch $@

$(VENV)/.has-test: pyproject.toml $(VENV)/.made-for
	@echo "Installing what the tests need (once) ..."
	@$(PIP) install -e '.[test]'
	@touch $(VENV)/.has-app $@

$(VENV)/.has-dev: pyproject.toml $(VENV)/.made-for
	@echo "Installing what development needs (once) ..."
	@$(PIP) install -e '.[test,dev]'
	@touch $(VENV)/.has-app $(VENV)/.has-test $@
