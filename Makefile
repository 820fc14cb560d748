# Everything a contributor or a CI machine does: `make demo` and `make test` need Python 3.11+ with venv, make and PyPI.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VIEW := build/typing/roomhook
WORKERS ?= auto

# The tests start hundreds of Python processes: without bytecode, each compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo check test test-all format format-check lint types layers fast tests exhaustive stacks wheel docs view clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed  ## an App backend, an evening of rooms and the contract suite, in seconds
	@$(BIN)/roomhook demo

check: format-check lint layers  ## the inner loop: static checks and the fast tests, in a minute
	$(call beside_types,fast)

test: format-check lint layers  ## static checks, all tests of one process and many more, in four minutes on two cores
	$(call beside_types,tests)

test-all: format-check lint types layers exhaustive  ## test, and all that starts many programs or takes long, in 15 minutes: what CI runs

format: $(VENV)/.developing  ## reformat the code and mend what the linter can mend
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

format-check: $(VENV)/.developing  ## is the code formatted?
	$(BIN)/ruff format --check .

lint: $(VENV)/.developing  ## ruff, all rules
	$(BIN)/ruff check .

types: view  ## mypy and basedpyright, both strict
	$(BIN)/basedpyright & other=$$!; $(BIN)/mypy --package roomhook && $(BIN)/mypy tests; ours=$$?; wait $$other && exit $$ours

layers: view  ## who may import whom
	PYTHONPATH=build/typing $(BIN)/lint-imports --no-logo

wheel: $(VENV)/.developing  ## of the tests, those that build the wheel and use it in an environment of its own
	$(BIN)/pytest --exhaustive tests/packaging/test_wheel.py

fast: $(VENV)/.developing  ## the tests that take half a second or less each
	$(BIN)/pytest -m "not long" --numprocesses $(WORKERS)

docs: $(VENV)/.developing  ## the documentation as a site, with search, in build/site (python3 -m http.server -d build/site)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --config-file site/mkdocs.yml

tests: $(VENV)/.developing  ## the tests that make test runs
	$(BIN)/pytest --numprocesses $(WORKERS)

exhaustive: $(VENV)/.developing  ## all tests: first what needs the machine for itself, then the rest in parallel
	$(BIN)/pytest --exhaustive -m alone
	$(BIN)/pytest --exhaustive -m "not alone" --numprocesses $(WORKERS)

stacks: $(VENV)/.installed  ## check --strict against an App backend in each stack that this machine has
	$(BIN)/python examples/stacks/check.py

# The type checkers use one core, and the tests often none. What the checkers say comes last, below what the tests say.
define beside_types
	@$(MAKE) --no-print-directory types > build/types.log 2>&1 & types=$$!; \
		$(MAKE) --no-print-directory $(1); tests=$$?; wait $$types; typed=$$?; cat build/types.log; exit $$((tests | typed))
endef

# mypy, basedpyright and import-linter don't see the mapping of folders to packages in pyproject.toml: they read this view.
view: $(VENV)/.developing
	@mkdir -p $(VIEW)
	@cd $(VIEW) && for each in ../../../src/roomhook/*[!_] ../../../src/roomhook/__*__.py ../../../schemas ../../../simulator \
		../../../contract_tests ../../../loadtests; do ln -sfn "$$each" .; done
	@find -L build/typing -type l -delete

$(VENV)/.installed: pyproject.toml
	$(call install,.)
	@touch $@

$(VENV)/.developing: pyproject.toml
	$(call install,.[dev])
	@touch $(VENV)/.installed $@

define install
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Roomhook needs Python 3.11 or newer with venv, which $(PYTHON) is not: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Installing $(1) into $(VENV) (once; needs PyPI) ..." >&2
	@$(PYTHON) -m venv $(VENV)
	@PYTHONWARNINGS=ignore $(BIN)/pip install -qq --no-compile --disable-pip-version-check --editable '$(1)'
endef

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build dist roomhook-report ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
