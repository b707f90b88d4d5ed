# `make demo` and `make test` are all a newcomer needs; each makes .venv by itself. `make help` lists the rest.
# Python: `python3` if it is 3.11 to 3.14, else the first of these that is here; PYTHON=/path/to/python chooses.
SHELL := /bin/bash
.DEFAULT_GOAL := help

define find_python
for name in python3 python3.11 python3.12 python3.13 python3.14; do \
  if $$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; then \
    command -v $$name; break; fi; done
endef
PYTHON ?= $(shell $(find_python))
VENV ?= .venv
BIN := $(VENV)/bin
# The list is complete: pip resolves nothing, so that a release younger than the list cannot break it.
PIP := $(BIN)/python -m pip --disable-pip-version-check
JOBS ?= 2
OPENINGS ?=
FROM ?=
DAYS ?= 90

.PHONY: help
help:  ## say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.made: requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.14 with venv found; PYTHON=/path/to/python names one" >&2; exit 2; }
	@echo "making $(VENV) with $(PYTHON) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

.PHONY: venv
venv: $(VENV)/.made  ## make .venv from the pinned, hashed requirements

.PHONY: demo
demo: venv  ## run the main job on the shipped region, or on OPENINGS=FILE [FROM=DATE] [DAYS=90]
	@$(BIN)/scheduler demo $(if $(OPENINGS),"$(OPENINGS)") $(if $(FROM),--from $(FROM)) --days $(DAYS)

.PHONY: test
test: venv  ## the tests (DEEP=1 for the large budgets); those without a database have to reach all of the core
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --cov --cov-report=term $(if $(DEEP),--deep) $(ARGS) \
	  tests/unit tests/property tests/architecture tests/packaging
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(if $(DEEP),--deep) $(ARGS) \
	  tests/integration tests/migrations tests/security

.PHONY: test-dateutil
test-dateutil: venv  ## the tests without a database on python-dateutil 4; the list pins 2.9, which the benchmarks' peers need
	@overlay=$$(mktemp -d) && trap 'rm -rf "$$overlay"' EXIT && export PYTHONPATH="$$overlay" \
	  && $(PIP) install --quiet --no-deps --require-hashes --target "$$overlay" -r requirements/dateutil-4.txt \
	  && $(BIN)/python -c 'import dateutil.rrule; assert dateutil.rrule.__file__.startswith("'"$$overlay"'")' \
	  && $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(ARGS) tests/unit tests/property

.PHONY: test-packaging
test-packaging: test-dateutil  ## build the wheel and a fresh environment from each list; install them beside a host application
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m packaging $(ARGS) tests/packaging

.PHONY: lint
lint: venv  ## format, ruff, mypy strict, import contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: format
format: venv  ## put the code into its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: check
check: lint test  ## everything that has to hold before a change lands

.PHONY: test-pythons
test-pythons:  ## the tests on every Python from 3.11 to 3.14 that this machine has
	@bash tests/every_python.sh

# What depends most on PostgreSQL's release. DEEP=1: all tests of the database.
ON_15 := $(addprefix tests/migrations/test_,appointments.py clinic.py models.py owner.py slot_partitions.py soft_delete.py \
  specification.py) $(addprefix tests/security/test_,guards.py row_security.py) \
  $(addprefix tests/integration/test_,database.py slots_in_postgres.py) \
  tests/migrations/test_migrations.py::test_rows_and_partitions_do_not_stop_the_way_down

.PHONY: test-15
test-15: venv  ## the tests of the database on PostgreSQL 15, or on that of PG_BIN=FOLDER (DEEP=1 for all of them)
	@bash tests/debian_postgres.sh env -u SCHEDULER_TEST_OPENINGS $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m database \
	  $(if $(DEEP),tests --deep,$(ON_15)) $(ARGS)

.PHONY: schema
schema: venv  ## make migrations/schema.txt and the pages about the schema anew, after a change of the migrations
	@PYTHONPATH=tests $(BIN)/python -m specification.page

.PHONY: bench
bench: venv  ## measure what the README claims
	@$(BIN)/python benchmarks/run.py $(ARGS)

# Pins stay as they are where they still fit; UPGRADE=1 takes the youngest releases. One resolution: the runtime lists
# are constrained by dev.txt.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate $(if $(UPGRADE),--upgrade)
EXTRAS := postgres cli embedded seed all

.PHONY: lock
lock:  ## pin the requirements anew, with hashes and no addresses (needs uv; UPGRADE=1 takes the youngest releases)
	@$(COMPILE) pyproject.toml --all-extras --group dev --output-file requirements/dev.txt
	@$(COMPILE) pyproject.toml --constraints requirements/dev.txt --output-file requirements/core.txt
	@for extra in $(EXTRAS); do $(COMPILE) pyproject.toml --extra $$extra --constraints requirements/dev.txt \
	  --output-file requirements/$$extra.txt || exit 1; done
	@echo 'python-dateutil>=4' | $(COMPILE) - --no-deps --output-file requirements/dateutil-4.txt

.PHONY: clean
clean:  ## throw away what was made here
	@rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.* dist build
