# The README's two commands are `make demo` and `make test`; CONTRIBUTING.md lists the others. All make their own
# environment in .venv, and one native build, build/native, for the Python extension and the native tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
WITH_TOOLS := PATH="$$PWD/$(BIN):$$PATH"
JOBS := $(or $(shell getconf _NPROCESSORS_ONLN),2)
ifneq ($(wildcard ../shared/data/README.md),)
export ONEBIT_DATA ?= $(abspath ../shared/data)
endif
SOURCES := $(shell find native -path native/tests -prune -o \( -name '*.cpp' -o -name '*.h' -o -name CMakeLists.txt \) -print) pyproject.toml
PYTEST := $(WITH_TOOLS) python -m pytest -n auto --dist worksteal

.PHONY: demo test lint native python check bench docs develop clean ci
.NOTPARALLEL:  # each part has all processors

demo: $(VENV)/.train
	$(BIN)/onebit demo

# What a change is tried with, in minutes. DIVISOR of the native tests' random cases.
test: lint native python

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

native: DIVISOR ?= 8
native: $(VENV)/.test
	$(WITH_TOOLS) cmake --build build/native -j $(JOBS) --target fast_tests
	$(WITH_TOOLS) ONEBIT_TEST_DIVISOR=$(DIVISOR) ctest --test-dir build/native -L fast --output-on-failure -j $(JOBS)

python: $(VENV)/.test
	$(PYTEST) -m "not slow" --durations 10 --durations-min 5

# Types, contracts, pages, all native tests with all their random cases, and the slow Python tests.
check: $(VENV)/.test docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(WITH_TOOLS) cmake --build build/native -j $(JOBS)
	$(WITH_TOOLS) ctest --test-dir build/native --output-on-failure -j $(JOBS)
	$(PYTEST) -m slow --ignore tests/test_base_install.py

check-wheel: $(VENV)/.test
	$(PYTEST) tests/test_base_install.py

# One platform each. A part that wants for a tool says so, and is not run.
PLATFORMS := check-sanitized check-threads check-fuzz check-embedded check-windows check-cross
check-sanitized: SCRIPT = sanitized.sh address
check-threads: SCRIPT = sanitized.sh thread
check-fuzz check-embedded check-windows check-cross: SCRIPT = $(@:check-%=%).sh

.PHONY: $(PLATFORMS) check-wheel
$(PLATFORMS): $(VENV)/.test
	@mkdir -p build/parts
	@$(WITH_TOOLS) native/tests/platforms/$(SCRIPT); case $$? in \
	  0) echo "$@: passed" ;; 77) echo "$@: not all run, for want of what is named above" ;; *) exit 1 ;; \
	esac >build/parts/$@; status=$$?; cat build/parts/$@; exit $$status

ci: test check $(PLATFORMS) check-wheel
	@cat $(PLATFORMS:%=build/parts/%)

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

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

# An editable install: Python files are read in place; the engine is built again when its sources change.
INSTALL := $(WITH_TOOLS) pip install -q --no-build-isolation --check-build-dependencies -C build-dir=build/native \
  -C cmake.define.ONEBIT_TESTS=ON

$(VENV)/.train: $(SOURCES) | $(VENV)/.build
	$(INSTALL) -e '.[train]'
	touch $@

$(VENV)/.test: $(SOURCES) | $(VENV)/.build
	$(INSTALL) -e '.[train,test]'
	touch $@ $(VENV)/.train

$(VENV)/.docs: $(VENV)/.test
	$(INSTALL) -e '.[docs]'
	touch $@

$(VENV)/.bench: $(VENV)/.train
	$(INSTALL) -e '.[bench]'
	touch $@

# What builds the package (pyproject.toml), here and not in an environment of its own, so that the build can be reused.
$(VENV)/.build:
	$(PYTHON) -m venv $(VENV)
	$(WITH_TOOLS) python -m pip install -q --upgrade pip scikit-build-core nanobind cmake ninja
	touch $@

clean:
	rm -rf $(VENV) build dist
