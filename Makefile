# Everything a person does with this repository. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := $(shell sed -n "s|^uv==\([0-9.]*\).*|\1|p" requirements.lock)
BIN := .venv/bin
# The script inside .venv runs from the repository root, wherever make was called from.
export PYTHONPATH := $(CURDIR)
export UV_NO_PROGRESS := 1

COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11 \
	--custom-compile-command "make lock" pyproject.toml

.PHONY: help
help: ## List what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

.venv/complete: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "blendrop needs Python 3.11; point PYTHON at one: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); }
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	touch $@

azurite := local/azurite_package/node_modules/complete
$(azurite): local/azurite_package/package-lock.json .venv/complete
	@$(BIN)/python -m local.azurite
	touch $@

# The command line from this folder as it stands, with no package built: installing it is for users.
$(BIN)/blendrop: .venv/complete
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" -m blendrop.cli "$$@"\n' "$(CURDIR)" "$(CURDIR)/$(BIN)/python" > $@
	@chmod +x $@

.PHONY: setup
setup: .venv/complete $(BIN)/blendrop $(azurite) ## Install what the farm and the tests need, into this folder alone
	@$(BIN)/python -m local.blenders

.PHONY: demo
demo: setup ## Render an animation from upload to verified frames (SCENE=file.blend FRAMES=1-20)
	@$(BIN)/python -m local.demo $(if $(SCENE),--scene "$(SCENE)") $(if $(FRAMES),--frames "$(FRAMES)")

.PHONY: up
up: setup ## Keep the farm running on this machine until Ctrl-C
	@$(BIN)/python -m local.up

.PHONY: bench
bench: setup ## Measure every figure of docs/performance.md (QUICK=1: one round, nothing written)
	@$(BIN)/python -m local.bench $(if $(QUICK),--quick)

.PHONY: simulate
simulate: .venv/complete ## Judge how batches are cut: the makespan over its lower bound, on a simulated farm
	@$(BIN)/python -m local.simulate

.PHONY: check
check: .venv/complete ## Lint, formatting, types, import rules, drift of generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m infra.checks
	$(BIN)/python -m local.openapi
	@$(MAKE) --no-print-directory check-lock

.PHONY: test
test: setup ## Every test, with the real Blender and the real storage emulator
	$(BIN)/pytest

.PHONY: doctor
doctor: .venv/complete ## Say what works and what does not on a farm (local; ACCOUNT=… URL=… for one in Azure)
	@$(BIN)/python -m local.doctor $(if $(ACCOUNT),--account "$(ACCOUNT)") $(if $(URL),--url "$(URL)") $(if $(SHARE),--share "$(SHARE)") $(if $(UPLOAD),--upload)

.PHONY: chaos
chaos: setup ## Inject faults at random, and audit what is left (SEEDS=20 or 21-40, or SEED=7 to replay one, REAL=1 with Blender)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED) $(if $(REAL),--real),--seeds $(or $(SEEDS),5))

.PHONY: openapi
openapi: .venv/complete ## Write docs/openapi.json anew after a change of the HTTP API
	$(BIN)/python -m local.openapi --write

.PHONY: lock
lock: .venv/complete ## Pin dependencies anew after a change of pyproject.toml
	$(COMPILE) --all-extras -o requirements.lock
	$(COMPILE) --extra functions --constraint requirements.lock -o requirements.txt
	$(COMPILE) --extra worker --constraint requirements.lock -o container_worker/requirements.txt

# What a deployable installs must be what was tested: a subset of the lock, pin for pin.
.PHONY: check-lock
check-lock: .venv/complete
	@for extra in "functions requirements.txt" "worker container_worker/requirements.txt"; do \
		set -- $$extra; \
		$(COMPILE) --extra $$1 --constraint requirements.lock -o .venv/drift.txt < /dev/null; \
		diff -u $$2 .venv/drift.txt || { echo "$$2 is not what the lock says: run make lock"; exit 1; }; \
	done
