# The verbs of daily work. `make` alone lists them.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
# Narrows `make test` and is passed on by others: make test ARGS=tests/customers
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run seed test lint retrain bench messages constraints clean

help: ## list these verbs
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PORT=8123 make run        another port        PERENNIAL_DATA_DIR=/path make run   another data folder"
	@echo "  make test ARGS=tests/core a part of the tests make retrain ARGS=intents           one model"

setup: $(VENV)/.installed-dev ## create .venv and install everything, tools for tests included

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; install it or run make PYTHON=/path/to/python3"; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; run make PYTHON=/path/to/python3.11"; exit 2; }
	"$(PYTHON)" -m venv $(VENV)

# Installed again only when what is to be installed has changed.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -c constraints.txt -e ".[dev]"
	@touch $(VENV)/.installed $@

run: $(VENV)/.installed ## start everything and show the demo shop (PORT, ARGS="--no-demo")
	@exec $(MANAGE) up $(ARGS)

seed: $(VENV)/.installed ## build the demo shop anew in the local database
	$(MANAGE) migrate --verbosity=0
	$(MANAGE) seed_demo --reset $(ARGS)

test: $(VENV)/.installed-dev ## run the tests, browser included (ARGS=tests/customers)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.installed-dev ## style, types, layers, missing migrations, deployment checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/djlint templates --lint --quiet
	$(MANAGE) makemigrations --check --dry-run
	CRM_PRODUCTION=1 CRM_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') CRM_ALLOWED_HOSTS=crm.example.org \
		CRM_PUBLIC_URL=https://crm.example.org DATABASE_URL=postgresql://perennial@db.example.org/perennial REDIS_URL=redis://redis.example.org/0 \
		CRM_SMTP_HOST=mail.example.org CRM_SMTP_PORT=587 $(MANAGE) check --deploy --fail-level WARNING

retrain: $(VENV)/.installed ## train all models on the local data (ARGS=intents for one)
	$(MANAGE) retrain $(if $(ARGS),$(ARGS),--all)

bench: $(VENV)/.installed-dev ## measure throughput as ratios to bare baselines
	$(BIN)/python -m tests.benchmarks $(ARGS)

messages: $(VENV)/.installed ## renew the catalogue of translatable texts
	$(MANAGE) makemessages -l zh_Hans --no-wrap --no-location -i .venv -i var

constraints: $(VENV)/.installed-dev ## write the versions now installed to constraints.txt
	@{ head -2 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/^\(torch==[0-9.]*\)+.*/\1/'; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove caches; keeps .venv and var
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
