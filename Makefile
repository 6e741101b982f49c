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

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

clean:
	rm -rf $(VENV) build dist
