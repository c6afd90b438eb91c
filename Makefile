# Two commands matter: `make course` and `make test`. Every target does the set-up it needs.
# SERVE=0 make course builds and grades everything and exits; PORT=9000 serves elsewhere.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
SERVE ?= 1
PORT ?= 8888
export PYTHON
# nbgrader calls `alembic` and jupyter by name
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help course book labs grade audit doctor test test-slow bench lint format lock clean setup setup-test

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:
	@scripts/setup course
setup-test:
	@scripts/setup test

course: setup labs book grade  ## set up, build the book, release the labs, grade the sample class, serve it all on one local address
ifneq ($(SERVE),0)
	@$(PY) -m autograder.serving --port $(PORT)
endif

labs: setup  ## solutions/ → labs/
	@scripts/when-changed labs solutions autograder labs _build/nbgrader requirements.lock -- .venv/bin/autograder release

book: setup labs  ## the executed book, in _build/
	@$(PY) book/build.py

grade: setup labs  ## the sample class
	@scripts/when-changed "sample class" solutions autograder unmagic requirements.lock _build/sample/submitted \
	  _build/sample/results _build/sample/graded _build/sample/feedback -- \
	  sh -c '$(PY) -m autograder.sample && .venv/bin/autograder grade descent --class _build/sample --timeout 10'

audit: setup  ## are the labs' tests right?
	@.venv/bin/autograder audit

doctor: setup  ## can this machine grade safely? runs the attacks
	@.venv/bin/autograder doctor

bench: setup  ## how long things take, side by side
	@$(PY) -m unmagic.bench
	@$(PY) -m unmagic.bench look
	@.venv/bin/autograder bench --otter

# one thread a process: numbers do not depend on how many cores there are
test test-slow: export OMP_NUM_THREADS = 1

test: setup-test  ## every everyday test, one seed
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m pytest -m "not slow"

test-slow: setup-test  ## 20 seeds, mutants, faults, fuzz: run before an issue is closed
	@$(PY) -m pytest
	@.venv/bin/autograder audit --thorough

lint: setup  ## ruff
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .

format: setup  ## ruff, mending what it can
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .

lock: setup  ## requirements.lock anew, from what .venv holds
	@{ echo "# Exact versions of everything, made from pyproject.toml's ranges by \`make lock\`. Installed with pip."; \
	  $(PY) -m pip freeze --all --exclude-editable | grep -v '^pip==' | sed -E 's/^([A-Za-z0-9._-]+==[^+]+)\+.*/\1/' | LC_ALL=C sort -f; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:  ## what can be made again (not class/ and not work/)
	rm -rf _build
