# What people do with this repository. `make` alone lists it.

BIN := .venv/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -H)
RIG_PACKAGES := mmdebstrap debian-archive-keyring systemd-container iproute2 procps openssh-client gcc libc6-dev redis-server
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help up down test coverage check format locks rig bench screenshots clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: .venv/.run ## Start the inference service on this machine and open the console
	@$(BIN)/aiconsole up $(ARGS)

down: ## Stop the inference service on this machine
	@test -x $(BIN)/aiconsole || { echo "Nothing to stop: the console was never set up here (make up)"; exit 0; }; \
	$(BIN)/aiconsole down

test: .venv/.dev ## Run the tests, and say what was skipped and why (ARGS="-k name")
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

coverage: .venv/.dev ## Run the tests and say which lines none of them reaches
	$(BIN)/python -m pytest -n 3 --dist loadfile --cov --cov-report=term $(ARGS)

check: .venv/.dev ## Check format, style, types and the borders between rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy aiconsole tests
	$(BIN)/mypy --python-version 3.10 aiconsole/onhost  # hosts may have no newer one
	$(BIN)/lint-imports

format: .venv/.dev ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

locks: .venv/.dev ## Write the locks of the hosts' layers anew, from uv.lock
	$(BIN)/python tools/locks.py

rig: ## Install the Debian packages of the test rig and build its hosts' tree (root or sudo)
	@if dpkg -s $(RIG_PACKAGES) >/dev/null 2>&1; then echo "The rig's packages are here."; else \
		$(SUDO) apt-get update -q && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -q --no-install-recommends $(RIG_PACKAGES) </dev/null; \
	fi
	$(SUDO) $${PYTHON:-python3} -m tests.rig tree

bench: .venv/.dev ## Measure on hosts of the rig (root)
	$(BIN)/python -m tests.bench $(ARGS)

screenshots: .venv/.dev ## Take the pictures of screenshots/ again, of real hosts (root)
	$(BIN)/python -m screenshots.make $(ARGS)

clean: ## Remove what make has built here; the console's own data stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov dist .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run: uv.lock pyproject.toml
	@MAKE_GOAL="$(MAKECMDGOALS)" tools/environment.sh run

.venv/.dev: uv.lock pyproject.toml
	@MAKE_GOAL="$(MAKECMDGOALS)" tools/environment.sh dev
