# make report   the environment, the default experiment and its report, from nothing
# make test     the environment and the default test suite
# make fuzz     broken and hostile input for every reader: INPUTS of them
# make mutants  damages statistics, loop, table and records, and lists what no test notices
# make bench    the benchmarks: what fast paths gain, what a user waits for
# make gate     what selectors select, against the committed baseline
# make docs     the pictures of docs/architecture.md, from the imports in the code, and of README.md, from results/digits201
# make statistics  the figures of docs/statistics.md: TABLES is a folder with NAS-Bench-201 and NAS-Bench-Macro, or empty
# make first-use  what the front page says, word for word, in a fresh environment: half an hour
# make check    formatting, lint, types, tests and the gate, as CI runs them
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN    ?= runs/digits201
FINDINGS ?= findings.txt

TABLE   := spaces/digits201.parquet
TRAINED := results/digits201/trained-cells.jsonl

.PHONY: install report test test-slow first-use fuzz mutants bench gate docs statistics lint types check table clean

install: $(VENV)/.installed

# Entry points are written at installation, so a changed pyproject.toml installs again.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "opselect needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	rm -rf *.egg-info  # of an earlier installation; pytest would read its entry points
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

report: install $(TABLE)
	$(BIN)/opselect run digits201 --output $(RUN)
	$(BIN)/opselect report $(RUN)

# More processes than four would each need the memory of one more copy of torch. Each starts with a part of its own, so that
# most fixtures are made once, and takes over from the others at the end.
test: install
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test-slow: install
	$(BIN)/python -m pytest -m slow

first-use:
	$(PYTHON) -m tests.first_use

# How many inputs each reader was given, and what was found; tests/fuzzing/README.md says more.
INPUTS ?= 100000
fuzz: install
	$(BIN)/python -m tests.fuzzing.campaign --inputs $(INPUTS)
	$(BIN)/python -m tests.fuzzing.bombs

# What the tests do not notice: statistics, loop, table and records are damaged in small ways, one at a time. Half an hour;
# `cd .mutants && ../.venv/bin/python -m mutmut results` lists those that survived, `mutmut show NAME` says what they are.
mutants: install
	$(BIN)/python -m pip install --quiet 'mutmut>=3'
	rm -rf .mutants && mkdir .mutants
	cp -rL opselect tests results .mutants
	cp tests/mutation.toml .mutants/pyproject.toml
	cd .mutants && JAXTYPING_DISABLE=1 $(abspath $(BIN))/python -m mutmut run

# Ratios of two ways timed by turns, for a quiet machine. Types are not checked at run time, which takes time.
bench: install
	JAXTYPING_DISABLE=1 $(BIN)/python -m pytest tests/performance -m performance --findings $(FINDINGS) --benchmark-disable-gc

# The selectors of today against the committed baseline: a change for the worse ends with a table that says what it is.
# Times may differ tenfold, since other work may share the machine.
gate: install
	rm -rf runs/gate
	$(BIN)/opselect run results/gate/experiment.toml --output runs/gate
	$(BIN)/opselect check runs/gate --against results/gate --cost-tolerance 10

docs: install
	$(BIN)/python docs/architecture.py docs/architecture.svg
	$(BIN)/python docs/front_page.py docs/front-page.png

# Five minutes; without TABLES the figures of digits201 alone are measured again.
TABLES ?=
statistics: install
	$(BIN)/python docs/measure_statistics.py $(TABLES)

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

check: lint types test gate

# The table comes with the source. Where it does not, this trains every distinct cell: hours, resumed where it stopped.
table: $(TABLE)

$(TABLE): | $(VENV)/.installed
	$(BIN)/opselect table build digits201 --output $@ --checkpoint $(TRAINED)

clean:
	rm -rf $(VENV) .mutants build dist *.egg-info
