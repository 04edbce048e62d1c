# What a developer and CI run. It needs make and Python 3.10 or 3.11 (on glibc 2.39 and later also
# 3.12 or 3.13); everything else goes into .venv and .bootstrap here.

PYTHON ?= python3
RUN := .venv/bin/python
TYPED := $(wildcard components pipelines benchmarks tools)
BENCHMARKS := split files augment input batches scale modes floor quality remedies

# Quiet libraries: TensorFlow's C++ log, and Google's notices about this Python and its own versions.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYTHONWARNINGS ?= ignore:You are using a Python version:FutureWarning,ignore:Support for google-cloud-storage:FutureWarning

.PHONY: help setup run test test-objectstore test-flink test-browser test-kubeflow fuzz reliability check format bench dist docs lock clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@echo 'make TARGET [PYTHON=/path/to/python3.11] [ARGS="..."]'
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup:  ## Make or update .venv from the lock that fits this machine
	@command -v $(PYTHON) >/dev/null || { \
	  echo 'make: $(PYTHON) is not on PATH; install Python 3.11 or name one: make PYTHON=/path/to/python3.11' >&2; \
	  exit 1; }
	@$(PYTHON) tools/setup_env.py

run: setup pipelines/local_runner.py  ## Run the sample pipeline on this machine; ARGS go to it
	@$(RUN) pipelines/local_runner.py $(ARGS)

test: setup  ## Run the tests; ARGS go to pytest
	@$(RUN) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder $(ARGS)

test-objectstore: setup  ## Run the components, and the sample as KFP does, on an object store that Go builds the first time; ARGS go to pytest
	@$(RUN) -m pytest -m objectstore tests/objectstore $(ARGS)

test-flink: setup  ## Run the components on an Apache Flink cluster of processes and on Apache Spark; needs Java 11 or 17 and Maven; ARGS go to pytest
	@$(RUN) -m pytest -m flink tests/flink $(ARGS)

test-browser: setup  ## Open the report in Chromium, which root on Debian gets installed; ARGS go to pytest
	@$(RUN) -m tests.report.setup_chromium
	@$(RUN) -m pytest -m browser tests/report/test_browser.py $(ARGS)

test-kubeflow: setup  ## Build the image, run the sample and tests in it (root on Debian); ARGS=--all runs all tests
	@$(RUN) -m pytest -m containers -s tests/containers $(ARGS)

fuzz: setup  ## Search for inputs that break the readers and the planners; ARGS="--minutes 60"
	@$(RUN) -m tests.fuzz $(ARGS)

reliability: setup  ## Kill the components, fill their disks (as root), damage their files, pass wrong arguments; ARGS="kills --kills 20"
	@$(RUN) -m tests.reliability $(ARGS)

check: setup  ## Check format, lint and types
	$(RUN) -m ruff format --check
	$(RUN) -m ruff check
	$(RUN) -m mypy $(TYPED)

format: setup  ## Format the code and mend what the linter can mend
	$(RUN) -m ruff check --fix --exit-zero
	$(RUN) -m ruff format

bench: setup  ## Run every benchmark, small, and write docs/benchmarks.md; their peers take 6 GB
	@$(RUN) -m benchmarks $(BENCHMARKS) --small --page docs/benchmarks.md $(ARGS)

dist: setup  ## Build the wheel and the source distribution, and check them in an environment of their own
	@$(PYTHON) tools/build_dist.py

docs:  ## Build the documentation site in site/
	@$(PYTHON) tools/build_docs.py

lock:  ## Compile the locks anew from pyproject.toml; ARGS=--upgrade takes newer versions
	@$(PYTHON) tools/compile_locks.py $(ARGS)

clean:  ## Remove .venv, .bootstrap and caches
	rm -rf .venv .bootstrap site .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
