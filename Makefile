# make run        the page, on http://127.0.0.1:7860
# make test       ruff, pyright and every test, with a Chromium that is found or installed
# make bench      how fast this machine is at each part
# make bench-gpu  what a GPU speeds up, full size where there is one
# make format     ruff's formatting and safe fixes
# make clean      remove the environment and caches, never results
# Another Python: make run PYTHON=python3.12

RECENT = import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
    $$python -c "$(RECENT)" 2>/dev/null && echo $$python && break; done)
endif
ifdef CHROMIUM
export CHROMIUM
endif
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help python env env-dev run test bench bench-gpu format clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

python:
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "Turnaround needs Python 3.11 or newer, and none was found$(if $(PYTHON), as $(PYTHON))."; \
	    echo "Install one from https://www.python.org/downloads/ or name it: make run PYTHON=/path/to/python3"; exit 1; }

env: python
	@"$(PYTHON)" tools/set_up.py --venv $(VENV) requirements.txt

env-dev: python
	@"$(PYTHON)" tools/set_up.py --venv $(VENV) requirements-dev.txt

run: env
	@echo "Starting the page; stop it with Ctrl-C ..."
	@exec $(BIN)/python app.py

test: env-dev
	@$(BIN)/python tools/browser.py
	@echo "1/4 ruff: style and likely mistakes ..."
	@$(BIN)/ruff check .
	@echo "2/4 ruff: formatting ..."
	@$(BIN)/ruff format --check .
	@echo "3/4 pyright: types ..."
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python
	@echo "4/4 pytest: the tests ..."
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST)

bench: env-dev
	@$(BIN)/python -m bench

bench-gpu: env-dev
	@$(BIN)/python -m bench sv3d warp zero123 zero123plus shap_e

format: env-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -not -path "./.git/*" -prune -exec rm -rf {} +
