# Everything a newcomer needs: `make serve` and `make test`. Both set themselves up, once.
PYTHON ?= python3.11
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := dialog models kernels serve ui

# A stamp carries the checksum of what was asked for, so an unchanged environment is never installed again
# and a changed one always is, whatever the files' dates say.
WANTED := $(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
CORE := $(VENV)/.core-$(WANTED)
DEV := $(VENV)/.dev-$(WANTED)

.PHONY: serve test test-slow lint format coverage docs bench clean help
.DEFAULT_GOAL := help

help:
	@echo "make serve      the page and the API on http://$(HOST):$(PORT), Ctrl-C stops them"
	@echo "make test       the tests that need minutes"
	@echo "make test-slow  the tests that need longer: overload, kills, large inputs"
	@echo "make coverage   the same tests as make test, and which lines they do not reach"
	@echo "make lint       style, format and types      make format   mends what can be mended"
	@echo "make docs       writes the tables of README and docs/ anew, from scores, bench runs and settings"
	@echo "make bench      the measurements             make clean    removes .venv and caches"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(CORE): | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@rm -f $(VENV)/.core-* $(VENV)/.dev-*
	@touch $@

$(DEV): | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@rm -f $(VENV)/.core-* $(VENV)/.dev-*
	@touch $(CORE) $@

serve: $(CORE)
	@exec $(BIN)/rapport serve --host $(HOST) --port $(PORT)

test: $(DEV)
	$(BIN)/python -m pytest

test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow --timeout 3600

coverage: $(DEV)
	$(BIN)/python -m pytest --cov --cov-report=term

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES)

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEV)
	$(BIN)/python -m tests.docs

bench: $(CORE)
	@for suite in $$($(BIN)/rapport bench --list); do $(BIN)/rapport bench $$suite || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
