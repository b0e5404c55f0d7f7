# Every target makes its own .venv first, with nothing but Python 3.11 (or newer) and pip.
#   make demo                  one whole call between simulated peers: no key, no account, no network
#   make test                  everything that has to hold, on all cores; the same verdict each time
#   make fuzz                  look for counterexamples: other examples each time, TIMES as many
#   make lowest                the tests with the lowest version of everything that voicecore requires
#   make coverage              which branches of the engine the tests take
#   make package               wheel and source archive in dist/; the wheel tried where there is nothing else
#   make changelog             build CHANGELOG.md from newsfragments/, for the version in voicecore/version.py
#   make demo ARGS="--out x"   arguments for the program
#   make PYTHON=python3.13 …   another Python than the one found

PYTHON ?= $(firstword $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python; done))

BIN := .venv/bin/
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --constraint
PYTEST := -m pytest --quiet --numprocesses=auto --dist=loadgroup
TIMES ?= 20
ARGS ?=

.NOTPARALLEL:
.PHONY: demo test lint types fuzz lowest coverage package changelog docs bench clean
.DEFAULT_GOAL := test

demo: .venv/ready-to-run
	@$(BIN)python -m voicecore demo $(ARGS)

bench: .venv/ready-to-run
	@$(BIN)python -m voicecore.bench $(ARGS)

test: lint types
	PYTHONHASHSEED=0 $(BIN)python $(PYTEST) --durations=5 $(ARGS)

lint: .venv/ready-to-test
	$(BIN)ruff check .
	$(BIN)ruff format --check .

types: .venv/ready-to-test
	$(BIN)python -m mypy

fuzz: .venv/ready-to-test
	FUZZ_TIMES=$(TIMES) $(BIN)python $(PYTEST) -m hypothesis --hypothesis-profile=fuzz --durations=5 $(ARGS)

lowest: .venv-lowest/ready-to-test
	PYTHONHASHSEED=0 .venv-lowest/bin/python $(PYTEST) $(ARGS)

coverage: .venv/ready-to-test
	$(BIN)python -m coverage erase
	$(BIN)python -m coverage run $(PYTEST) $(or $(ARGS),voicecore_tests/turns voicecore_tests/engine)
	$(BIN)python -m coverage combine --quiet
	$(BIN)python -m coverage report

docs: .venv/ready-to-run
	$(BIN)python -m voicecore_tests.code_rules.packages

package: .venv/ready-to-test
	rm -rf dist .venv-package
	$(BIN)python -m hatchling build --directory dist
	$(BIN)python -m twine check --strict dist/*
	$(MAKE) .venv-package/bin/python
	.venv-package/bin/python $(PIP_INSTALL) constraints.txt dist/*.whl
	.venv-package/bin/voicecore --version
	.venv-package/bin/voicecore demo --json --out demo-output

changelog: .venv/ready-to-test
	$(BIN)python -m towncrier build --yes $(ARGS)

clean:
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* dist

# The stamps make the second run quick; a change of the requirements makes them stale.
.venv/ready-to-run: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)python $(PIP_INSTALL) constraints.txt --editable .
	@touch $@

.venv/ready-to-test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)python $(PIP_INSTALL) constraints.txt --editable ".[test]"
	@touch $@ .venv/ready-to-run

.venv-lowest/ready-to-test: pyproject.toml constraints.txt | .venv-lowest/bin/python
	$(PYTHON) -m voicecore_tests.distribution.requirements > .venv-lowest/constraints.txt
	.venv-lowest/bin/python $(PIP_INSTALL) .venv-lowest/constraints.txt --editable ".[test]"
	@touch $@

# Some systems ship venv without its copy of pip; their own pip can then install one.
%/bin/python:
	@test -n "$(PYTHON)" || { echo "voicecore needs Python 3.11 or newer; name one with make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv $* >/dev/null 2>&1 || { $(PYTHON) -m venv --without-pip --clear $* \
		&& $(PYTHON) -m pip --python $@ install -qq pip; }
