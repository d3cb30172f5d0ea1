# Two commands for a newcomer: `make demo` and `make test`. The rest is for those who change things.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := trust issuer verifier ledger keys
JOBS ?= 2

.PHONY: demo test check lint types arrows format bench bench-ledger bench-seal bench-archive bench-verify fuzz serve browsers clean

# Everything from the hashed lock file; the stamp makes the second run instant.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

demo: $(VENV)/installed
	$(BIN)/yinzheng demo --out demo-out $(if $(SERVE),--serve)

test: $(VENV)/installed
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not long"

check: format lint types arrows test

format: $(VENV)/installed
	$(BIN)/ruff format --check .

lint: $(VENV)/installed
	$(BIN)/ruff check .

types: $(VENV)/installed
	$(BIN)/mypy

arrows: $(VENV)/installed
	$(BIN)/lint-imports

# Mutations of genuine files, then the parsers with coverage in view: MINUTES each. Not a part of the tests.
MINUTES ?= 10
fuzz: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	cd tests && ../$(BIN)/python -m attacks.fuzz --minutes $(MINUTES)
	cd tests && ../$(BIN)/python -m attacks.guided --minutes $(MINUTES)

bench: $(VENV)/installed
	$(BIN)/python -m bench

bench-ledger: $(VENV)/installed
	$(BIN)/python -m bench.ledger_load $(if $(LONG),--long)

bench-seal: $(VENV)/installed
	$(BIN)/python -m bench.seal_load $(if $(SHORT),--short)

bench-archive: $(VENV)/installed
	$(BIN)/python -m bench.archive_load

bench-verify: $(VENV)/installed
	$(BIN)/python -m bench.verify_load $(if $(SHORT),--short)

serve: $(VENV)/installed
	$(BIN)/yinzheng init
	$(BIN)/yinzheng serve

clean:
	rm -rf $(VENV) demo-out bench/out build *.egg-info
