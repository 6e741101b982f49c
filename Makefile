# The two commands of the README: `make demo` and `make test`. Both make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifneq ($(wildcard ../shared/data/README.md),)
export ONEBIT_DATA ?= $(abspath ../shared/data)
endif
SOURCES := $(shell find native -name '*.cpp' -o -name '*.h' -o -name CMakeLists.txt) pyproject.toml

.PHONY: demo test lint native develop bench docs clean

demo: $(VENV)/.train
	$(BIN)/onebit demo

test: $(VENV)/.test lint native
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

native: $(VENV)/.test
	PATH="$(abspath $(BIN)):$$PATH" tests/native.sh

develop: $(VENV)/.test

# The engine beside its peers, each in an environment of its own under build/peers; then the pages from the records. Ten
# minutes on an idle machine once the environments are there. Larq's engine needs Python 3.9 to 3.11.
LARQ_PYTHON ?= $(or $(shell command -v python3.11),$(PYTHON))
PEERS := build/peers

bench: $(VENV)/.bench $(PEERS)/onnx/.made $(PEERS)/larq/.made
	$(BIN)/python benchmarks/engine_vs_peers.py --folder $(PEERS) --output $(PEERS)/engine_vs_peers.json
	$(BIN)/python benchmarks/engine_growth.py --output $(PEERS)/engine_growth.json
	cp $(PEERS)/*.json results/  # at the end: a record says whether the tree was that of the commit
	$(BIN)/python benchmarks/report.py

$(PEERS)/onnx/.made: benchmarks/peers/requirements-onnx.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q -r $<
	touch $@

$(PEERS)/larq/.made: benchmarks/peers/requirements-larq.txt
	$(LARQ_PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q -r $<
	touch $@

docs: $(VENV)/.test
	$(BIN)/pip install -q -e '.[docs]'
	$(BIN)/mkdocs build --strict

# An editable install: Python files are read in place; the engine is built again when its sources change.
$(VENV)/.train: $(SOURCES) | $(VENV)/.made
	$(BIN)/pip install -q -e '.[train]'
	touch $@

$(VENV)/.test: $(SOURCES) | $(VENV)/.made
	$(BIN)/pip install -q -e '.[train,test]'
	touch $@ $(VENV)/.train

$(VENV)/.bench: $(VENV)/.train
	$(BIN)/pip install -q -e '.[bench]'
	touch $@

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

clean:
	rm -rf $(VENV) build dist
