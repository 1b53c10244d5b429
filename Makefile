# Everything happens in .venv, which each target makes by itself when it is missing or stale.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: up test test-stdlib test-pythons check bench clean test-deps
.DEFAULT_GOAL := up

# The run-time install: what an operator needs.
$(VENV)/.installed: pyproject.toml setup.py $(wildcard src/verdant/*/_speedups*.[ch])
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

# The same and the tools for tests and checks.
$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all,dev,bench]'
	@touch $@

# Start the whole stack on embedded defaults; Ctrl-C stops it.
up: $(VENV)/.installed
	$(BIN)/verdant up

# Formatting, lint, types, import contracts.
check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest

# CPython's own tests under the patch, all of them; `make test` has the rows that say most.
test-stdlib: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m stdlib

# The runtime's tests on every other CPython that this machine has, each in a venv of its own.
test-pythons: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m pythons

# Servers that some tests and benchmarks drive: needs root. A test that misses one is skipped.
test-deps:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light haproxy wrk curl openssl redis-server postgresql libpq5 mariadb-server rsyslog rsyslog-czmq rsyslog-relp rsyslog-elasticsearch systemd-journal-remote bsdutils

# Each question's table and JSON line, also kept in benchmarks/results/.
BENCHMARKS := request_cost proxy_cost wsgi_cost primitives_cost idle_cost zmq_cost
bench: $(VENV)/.installed-bench
	set -o pipefail; for name in $(BENCHMARKS); do \
	  $(BIN)/python benchmarks/$$name.py | tee benchmarks/results/$$name.txt || exit 1; done

clean:
	rm -rf $(VENV) $(VENV)-3.* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
