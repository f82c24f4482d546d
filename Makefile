# Every target makes what it needs: on a bare Debian 12 with Python 3.11, `make demo` or `make test` is enough.
# Arguments for the tool behind a target go through ARGS, for example: make test ARGS="tests/unit -x"

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK_CHECK := build/lock-check
NODE_PACKAGES := jsmodbus@5.0.0 modbus-serial@8.0.25
ARGS ?=
BESIDE ?= 2

# The first interpreter that works: a version manager's shim may exist without a Python behind it.
PYTHON ?= $(shell for p in python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

# As every gridedge process: its matrices are too small for several threads of linear algebra.
export OPENBLAS_NUM_THREADS ?= 1

# --no-config and the emptied variables keep this machine's own package sources out of the lock files.
UV_COMPILE := env -u UV_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_DEFAULT_INDEX -u UV_FIND_LINKS -u PIP_FIND_LINKS \
	$(BIN)/uv --no-config pip compile --quiet --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help install demo unplug test day fuzz interop bench node-packages lint types lock lock-check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make the virtual environment from the hash-pinned lock

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found. On Debian 12: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; \
		else \
			echo "$(PYTHON) cannot make virtual environments. As root: apt-get install python3-venv" >&2; exit 1; \
		fi; }
	$(PYTHON) -m venv $(VENV)

# setuptools is pinned in the lock too, so building the project itself fetches nothing. An egg-info that an older
# setuptools left here would hide the entry points that are installed now.
$(STAMP): requirements-dev.lock pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@rm -rf *.egg-info
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## run the controller against a simulated substation
	$(BIN)/gridedge demo $(ARGS)

unplug: $(STAMP) ## pull a plug of the running demo from another terminal, for example: make unplug ARGS="PVA"
	$(BIN)/gridedge unplug $(ARGS)

# A socket test that fails runs once more; files of them share servers, so each file stays with one worker.
test: $(STAMP) ## run all tests
ifeq ($(ARGS),)
	$(BIN)/python -m pytest -n $(BESIDE) -m "not socket"
	$(BIN)/python -m pytest -n $(BESIDE) --dist loadfile -m socket --reruns 1 --rerun-show-tracebacks
else
	$(BIN)/python -m pytest $(ARGS)
endif

day: $(STAMP) ## play the demo's whole day with and without its market and judge every row of it from outside (25 minutes)
	$(BIN)/python -m pytest -m day -rP $(ARGS)

fuzz: $(STAMP) ## ten million mutated frames for every field parser, 100 000 hostile messages of the market (minutes)
	GRIDEDGE_FUZZ_FRAMES=10000000 GRIDEDGE_FUZZ_MESSAGES=100000 $(BIN)/python -m pytest tests/fuzz $(ARGS)

# Two Modbus implementations in JavaScript: clients for the measurements, servers for the tests. Nothing else needs them.
node-packages: ## install jsmodbus and modbus-serial into build/node, where npm is here
	@mkdir -p build/node
	@[ -d build/node/node_modules/jsmodbus ] && [ -d build/node/node_modules/modbus-serial ] || \
		npm install --silent --no-audit --no-fund --fetch-retries=0 --fetch-timeout=20000 --prefix build/node $(NODE_PACKAGES) || \
		echo "note: npm is not here or could not install $(NODE_PACKAGES); what needs them is skipped"

interop: $(STAMP) ## our OPC UA client against node-opcua's server (installs it from npm into build/node, 70 MB)
	npm install --no-audit --no-fund --silent --prefix build/node node-opcua-server
	$(BIN)/python -m pytest tests/contract/opcua/test_opcua_node_interop.py $(ARGS)

bench: $(STAMP) node-packages ## run the measurements in benchmarks/
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

lint: $(STAMP) ## style and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP) ## strict typing of controller, drivers and simulators
	$(BIN)/mypy

lock: $(STAMP) ## rewrite both lock files from pyproject.toml
	$(UV_COMPILE) --universal --python-version 3.11 --generate-hashes pyproject.toml -o requirements.lock
	$(UV_COMPILE) --universal --python-version 3.11 --generate-hashes --all-extras --group dev \
		--constraints requirements.lock pyproject.toml -o requirements-dev.lock
	@$(MAKE) --no-print-directory lock-check

lock-check: $(STAMP) ## every pinned package has a wheel for x86-64 and ARM64, on Python 3.11 and 3.13
	@mkdir -p $(LOCK_CHECK)
	@set -e; for python in 3.11 3.13; do for machine in x86_64 aarch64; do \
		$(UV_COMPILE) --only-binary :all: --python-version $$python --python-platform $$machine-manylinux_2_28 \
			requirements-dev.lock -o $(LOCK_CHECK)/$$python-$$machine.txt; \
		echo "wheels for every pin: Python $$python, $$machine"; done; done

clean: ## remove everything that make made
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
