# Two commands for a newcomer: `make demo` and `make test`. The rest is for those who change things.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := trust issuer verifier ledger keys
# Test processes: two more than cores, as some tests wait for browsers and clocks.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)

.PHONY: demo test check lint types arrows format bench bench-ledger bench-audit bench-register bench-seal bench-archive bench-verify fuzz serve lock sbom house settings clean

PIP := $(BIN)/python -m pip --disable-pip-version-check
# The locks are complete, so nothing is resolved: pip would take a newer release of what a locked package asks for.
INSTALL := install --quiet --require-hashes --no-deps -r

# What running needs. The stamp makes the second run instant.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(INSTALL) requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --no-index -e .
	$(PIP) check
	@touch $@

# What tests, checks and benches need besides.
$(VENV)/tested: requirements-test.lock $(VENV)/installed
	$(PIP) $(INSTALL) requirements-test.lock
	$(PIP) check
	@touch $@

# The generator of clients with which the tests ask the API: its libraries would not fit beside the project's.
CLIENT := build/client
$(CLIENT)/installed: requirements-client.lock
	$(PYTHON) -m venv $(CLIENT)
	$(CLIENT)/bin/python -m pip --disable-pip-version-check $(INSTALL) requirements-client.lock
	$(CLIENT)/bin/python -m pip --disable-pip-version-check check
	@touch $@

demo: $(VENV)/installed
	$(BIN)/yinzheng demo --out demo-out $(if $(SERVE),--serve)

# A process that died is a failure to look into; with one started in its place, pytest-xdist waits for ever.
test: $(VENV)/tested $(CLIENT)/installed
	.ci/in_memory.py $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --max-worker-restart 0 -m "not long"

check: format lint types arrows test

format: $(VENV)/tested
	$(BIN)/ruff format --check .

lint: $(VENV)/tested
	$(BIN)/ruff check .

types: $(VENV)/tested
	$(BIN)/mypy

arrows: $(VENV)/tested
	$(BIN)/lint-imports

# Mutations of genuine files, then the parsers with coverage in view: MINUTES each. Not a part of the tests.
MINUTES ?= 10
fuzz: $(VENV)/tested
	$(PIP) $(INSTALL) requirements-fuzz.lock
	cd tests && ../$(BIN)/python -m attacks.fuzz --minutes $(MINUTES)
	cd tests && ../$(BIN)/python -m attacks.guided --minutes $(MINUTES)

# docs/SETTINGS.md and its Chinese counterpart, made from the code.
settings: $(VENV)/installed
	$(BIN)/python -m trust.app.settings_reference

# The rooms in docs/ARCHITECTURE.md, drawn from the code.
house:
	$(PYTHON) .ci/house.py

bench: $(VENV)/tested
	$(BIN)/python -m bench

bench-ledger: $(VENV)/tested
	$(BIN)/python -m bench.ledger_load $(if $(LONG),--long)

bench-audit: $(VENV)/tested
	$(BIN)/python -m bench.audit_load

bench-register: $(VENV)/tested
	$(BIN)/python -m bench.register_load

bench-seal: $(VENV)/tested
	$(BIN)/python -m bench.seal_load $(if $(SHORT),--short)

bench-archive: $(VENV)/tested
	$(BIN)/python -m bench.archive_load

bench-verify: $(VENV)/tested
	$(BIN)/python -m bench.verify_load $(if $(SHORT),--short)

serve: $(VENV)/installed
	$(BIN)/yinzheng init
	$(BIN)/yinzheng serve

# The lock files made again from pyproject.toml: what stands in them stays where it still fits; UPGRADE=1 takes what is newest.
LOCK := build/lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --only-binary :all: \
	--generate-hashes --no-header --no-annotate $(if $(UPGRADE),--upgrade)
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(LOCK) --group build --extra server --output-file requirements.lock
	$(LOCK) --group build --extra server --extra dev --constraint requirements.lock --output-file requirements-test.lock
	$(LOCK:pyproject.toml=) --group fuzz --output-file requirements-fuzz.lock
	$(LOCK:pyproject.toml=) --group sbom --output-file requirements-sbom.lock
	$(LOCK:pyproject.toml=) --group client --output-file requirements-client.lock

# What each lock installs, as CycloneDX lists in build/bom.
sbom: $(VENV)/tested
	$(PYTHON) -m venv build/sbom
	build/sbom/bin/python -m pip --disable-pip-version-check $(INSTALL) requirements-sbom.lock
	build/sbom/bin/python .ci/sbom.py --out build/bom --installed "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
		requirements.lock requirements-test.lock requirements-fuzz.lock requirements-sbom.lock requirements-client.lock

clean:
	rm -rf $(VENV) demo-out bench/out build *.egg-info
