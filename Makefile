# Every target makes its own .venv first, with nothing but Python 3.11 (or newer) and pip.
#   make demo                  one whole call between simulated peers: no key, no account, no network
#   make test                  everything that has to hold
#   make demo ARGS="--out x"   arguments for the program
#   make PYTHON=python3.13 …   another Python than the one found

PYTHON ?= $(firstword $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python; done))

BIN := .venv/bin/
PIP_INSTALL := $(BIN)python -m pip install -qq --disable-pip-version-check --constraint constraints.txt
ARGS ?=

.NOTPARALLEL:
.PHONY: demo test lint types docs bench clean
.DEFAULT_GOAL := test

demo: .venv/ready-to-run
	@$(BIN)python -m voicecore demo $(ARGS)

bench: .venv/ready-to-run
	@$(BIN)python -m voicecore.bench $(ARGS)

test: lint types
	$(BIN)python -m pytest --quiet --durations=5 $(ARGS)

lint: .venv/ready-to-test
	$(BIN)ruff check .
	$(BIN)ruff format --check .

types: .venv/ready-to-test
	$(BIN)python -m mypy

docs: .venv/ready-to-run
	$(BIN)python -m voicecore_tests.house.rooms

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamps make the second run quick; a change of the requirements makes them stale.
.venv/ready-to-run: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) --editable .
	@touch $@

.venv/ready-to-test: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) --editable ".[test]"
	@touch $@ .venv/ready-to-run

# Some systems ship venv without its copy of pip; their own pip can then install one.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "voicecore needs Python 3.11 or newer; name one with make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || { $(PYTHON) -m venv --without-pip --clear .venv \
		&& $(PYTHON) -m pip --python .venv/bin/python install -qq pip; }
