# A newcomer needs only `make demo` and `make test`; each builds .venv first. `make help` lists the other targets.
# Python is `python3` if its version is 3.11 to 3.14, else the first installed one of these; PYTHON=PATH selects another.
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
# requirements/dev.txt is complete: pip resolves no dependencies, so a newer release cannot break the installation.
PIP := $(BIN)/python -m pip --disable-pip-version-check
JOBS ?= 2
OPENINGS ?=
FROM ?=
DAYS ?= 90

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.made: requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "found no Python 3.11 to 3.14 with venv; pass PYTHON=/path/to/python" >&2; exit 2; }
	@echo "building $(VENV) with $(PYTHON) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

.PHONY: venv
venv: $(VENV)/.made  ## build .venv from the pinned, hashed requirements

.PHONY: demo
demo: venv  ## generate slots for the sample region, or for OPENINGS=FILE [FROM=DATE] [DAYS=90]
	@$(BIN)/scheduler demo $(if $(OPENINGS),"$(OPENINGS)") $(if $(FROM),--from $(FROM)) --days $(DAYS)

# The folders run in this order, and xdist keeps it: short files come last, so that no worker waits long for the other.
# Otherwise xdist sorts files by their number of tests, and a long file of few tests would run last and alone.
# An environment may turn bytecode off: then each worker, and each command that a test starts, compiles all code anew.
RUN_TESTS = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Measuring coverage doubles the time of a property, so the examples of the unit tests cover the core on their own.
.PHONY: test
test: venv  ## run the tests (DEEP=1: larger budgets); the unit tests must cover the core completely
	@$(RUN_TESTS) --cov --cov-report=term $(if $(DEEP),--deep) $(ARGS) tests/unit
	@$(RUN_TESTS) $(if $(DEEP),--deep) $(ARGS) \
	  tests/integration tests/security tests/migrations tests/property tests/architecture tests/packaging

.PHONY: test-packaging
test-packaging: venv  ## test the wheel in a host application, and an environment from each requirements list
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m packaging $(ARGS) tests/packaging

.PHONY: lint
lint: venv  ## check format, ruff, mypy and the import contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: format
format: venv  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: check
check: lint test  ## run lint and the tests

# Not a part of `check`: the checker brings a JavaScript engine of 60 MB.
.PHONY: public-types
public-types: venv  ## check with pyright that every public name has a type that all type checkers read alike
	@test -x .venv-types/bin/basedpyright || { $(PYTHON) -m venv .venv-types && \
	  .venv-types/bin/python -m pip --disable-pip-version-check install --quiet basedpyright==1.40.2; }
	@. $(BIN)/activate && .venv-types/bin/basedpyright --verifytypes scheduler --ignoreexternal

.PHONY: test-pythons
test-pythons:  ## run the tests on each other installed Python from 3.11 to 3.14
	@bash tests/every_python.sh

# The tests that depend most on the version of PostgreSQL; with DEEP=1 all database tests run.
ON_15 := $(addprefix tests/migrations/test_,allocations.py appointments.py clinic.py dump_and_restore.py models.py owner.py \
  slot_partitions.py soft_delete.py specification.py) $(addprefix tests/security/test_,guards.py logins.py row_security.py) \
  $(addprefix tests/integration/test_,database.py example_host.py front_door.py slots_in_postgres.py) \
  tests/migrations/test_migrations.py::test_rows_and_partitions_do_not_stop_the_way_down

.PHONY: test-15
test-15: venv  ## run selected database tests on PostgreSQL 15, or on that of PG_BIN=FOLDER (DEEP=1: all of them)
	@bash tests/debian_postgres.sh env -u SCHEDULER_TEST_OPENINGS $(RUN_TESTS) -m database \
	  $(if $(DEEP),tests --deep,$(ON_15)) $(ARGS)

.PHONY: schema
schema: venv  ## regenerate migrations/schema.txt and the pages about the schema after a change of the migrations
	@PYTHONPATH=tests $(BIN)/python -m specification.page

.PHONY: reference
reference: venv  ## regenerate docs/api.md after a change of public names, signatures or docstrings
	@PYTHONPATH=tests $(BIN)/python -m specification.reference

.PHONY: openapi
openapi: venv  ## regenerate examples/families_openapi.json after a change of examples/families_api.py or its shapes
	@PYTHONPATH=tests:. $(BIN)/python -m specification.openapi

.PHONY: bench
bench: venv  ## run the benchmarks of docs/benchmarks.md
	@$(BIN)/python benchmarks/run.py $(ARGS)

# Pins that still satisfy pyproject.toml stay; UPGRADE=1 takes the newest releases. dev.txt constrains the other lists,
# so all lists pin the same versions.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate $(if $(UPGRADE),--upgrade)
EXTRAS := postgres async cli dask embedded seed telemetry all

.PHONY: lock
lock:  ## regenerate requirements/*.txt with hashes (needs uv; UPGRADE=1: newest releases)
	@$(COMPILE) pyproject.toml --all-extras --group dev --output-file requirements/dev.txt
	@$(COMPILE) pyproject.toml --constraints requirements/dev.txt --output-file requirements/core.txt
	@for extra in $(EXTRAS); do $(COMPILE) pyproject.toml --extra $$extra --constraints requirements/dev.txt \
	  --output-file requirements/$$extra.txt || exit 1; done
	@$(COMPILE) --group benchmarks --constraints requirements/dev.txt --output-file requirements/benchmarks.txt

.PHONY: clean
clean:  ## delete the virtual environments, caches and build results
	@rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.* dist build
