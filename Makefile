# Every target does its own set-up and can be run again at any time; a second run skips what is there.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test setup unit real faults interleavings matrix versions fuzz lint types bench accuracy docs lock clean

PYTHON := .venv/bin/python
# Two at a time: the tests on real servers mostly wait for joins, and each worker brings up its own drills.
PYTEST := $(PYTHON) -m pytest -n 2 --dist loadfile

help: ## Say what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 18

demo: ## Play the incident on a throw-away copy of the system, and mend it (KEEP=1 keeps the copy)
	@scripts/setup drill
	@scripts/with-docker $(PYTHON) scripts/demo.py

test: ## Lint, types and every test, also those against real servers
	@scripts/setup all
	$(MAKE) --no-print-directory lint types unit
	scripts/with-docker $(PYTEST) -m real

setup: ## Install and fetch what the other targets need
	@scripts/setup all

unit: ## The tests that need no server and no Docker
	@scripts/setup python
	$(PYTEST) --dist worksteal --ignore tests/real -m "not real"

real: ## The tests against real Kafka, PostgreSQL and Docker
	@scripts/setup all
	scripts/with-docker $(PYTEST) -m real

faults: ## Every fault of the drill and every pair, made, seen and mended, which takes most of an hour
	@scripts/setup all
	KCFIX_FAULTS=all scripts/with-docker $(PYTHON) -m pytest -m real tests/real/test_faults.py

interleavings: ## Random interleavings of worker, repairs and kills, as many as N says (5000)
	@scripts/setup all
	KCFIX_INTERLEAVINGS=$${N:-5000} scripts/with-docker $(PYTHON) -m pytest -m real tests/real/test_interleavings.py

matrix: ## Every command under every fault of every server (a quarter of an hour, or more); writes docs/reliability.md
	@scripts/setup all
	rm -f build/matrix.json
	KCFIX_MATRIX=all scripts/with-docker $(PYTHON) -m pytest -m real tests/real/test_fault_matrix.py

versions: ## Every release of Kafka, PostgreSQL, Docker and Python in reach (most of an hour); writes docs/compatibility.md
	@scripts/setup all
	scripts/with-docker $(PYTHON) scripts/versions.py

fuzz: ## Strange bytes, texts and files, as many of each as N says (2000)
	@scripts/setup python
	KCFIX_FUZZ=$${N:-2000} $(PYTEST) --dist worksteal --timeout 3600 tests/fuzz

lint: ## Style
	@scripts/setup python
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: ## Types
	@scripts/setup python
	.venv/bin/mypy

bench: ## Measure kcfix against its rivals and write docs/benchmarks.md (BROKERS=3: on three brokers, in a page of its own)
	@scripts/setup bench
	scripts/with-docker $(PYTHON) scripts/bench.py --brokers $${BROKERS:-1}

accuracy: ## Break a drill in every way, and measure how often the doctor names the cause (hours); writes docs/accuracy.md
	@scripts/setup drill
	scripts/with-docker $(PYTHON) scripts/accuracy.py --write

docs: ## Write the generated pages of docs/ anew
	@scripts/setup python
	$(PYTHON) scripts/generate_docs.py

lock: ## Resolve the development environment anew, with versions and hashes
	scripts/lock

clean: ## Remove the environment and what tools left behind; the fetched jars and modules stay in the user's cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
