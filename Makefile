# make demo         from a fresh clone to a paired DNS-vs-ZooKeeper report (starts a Docker engine where there is none)
# make test         lint, types, import contracts, unit tests, and the tests on the real engine
# make check        the same without an engine, in seconds
# make test-docker  only the tests on the real engine
# make test-full    the long tests, and scenarios with the exit codes that they must have (half an hour)
# make bench        speed, as ratios measured in one run, each beside its goal
# make lock         resolve the dependencies anew into requirements.txt
# make clean        remove leftovers of runs, the virtual environment and caches; reports stay

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test check unit types lint test-docker test-full bench lock clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: Python 3.11 or newer is needed; name one with make PYTHON=python3.12 ..."; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' \
	  || { echo "make: Python's venv is missing; as root: apt-get install python3-venv"; exit 3; }
	@echo "make: installing the locked dependencies into $(VENV) (about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/lab doctor --fix
	$(BIN)/lab run scenarios/backend_crash.py

# Side by side, each one's output in one piece.
check: $(READY)
	@$(MAKE) --no-print-directory -j2 -Otarget unit types lint

unit: $(READY)
	$(BIN)/python -m pytest -q -m "not docker and not slow"

types: $(READY)
	$(BIN)/mypy

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# One pytest for both tiers, so that its last line counts all tests.
test: lint types
	@$(BIN)/lab doctor --fix
	@$(BIN)/lab images
	$(BIN)/python -m pytest -q --durations=10 -m "not full"

test-docker: $(READY)
	@$(BIN)/lab doctor --fix
	@$(BIN)/lab images
	$(BIN)/python -m pytest -q --durations=10 -m "(docker or slow) and not full"

test-full: $(READY)
	@$(BIN)/lab doctor --fix
	$(BIN)/python -m pytest -q -s --durations=0 -m full

bench: $(READY)
	@$(BIN)/lab doctor --fix
	$(BIN)/python -m bench

lock: $(READY)
	$(BIN)/pip-compile -q --extra dev --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements.txt pyproject.toml

clean:
	-@[ ! -x $(BIN)/lab ] || $(BIN)/lab clean
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build
