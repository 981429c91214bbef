# Each target does all the set-up it needs, in .venv; nothing has to be installed before but Python >= 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Bytecode is written on first import instead of for all of the packages: a third of the waiting time.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# The systems of which small trained runs are made, and changes to their recipes: make trained SET="--set train.epochs=1"
TRAINED := reionisation cosmic-rays-classify galaxies-unet multifield-flow hawc-gamma-hadron
SET ?=

.PHONY: demo test lint bench docs tutorials trained matrix browser clean

demo: .venv/core.done
	$(BIN)/skyloom run reionisation --resume

test: .venv/dev.done browser
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term -q

lint: .venv/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev.done
	$(BIN)/python -m benchmarks

docs: .venv/docs.done
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

# Runs the tutorials and keeps their figures; the documentation shows them and runs nothing.
tutorials: .venv/docs.done
	$(BIN)/python scripts/run_tutorials.py

# A small trained run of each system, ready to be given to others, in shared/.
trained: $(TRAINED:%=shared/%)

shared/%: | .venv/core.done
	$(BIN)/skyloom run $* --out runs/trained/$* --resume --set 'variants={}' --set 'transfer={}' $(SET)
	$(BIN)/skyloom share runs/trained/$* --out $@

# The oldest and the newest versions of dependencies, Python 3.11 to 3.13; needs uv and the Pythons.
matrix:
	scripts/matrix.sh

# The page test drives Debian's Chromium; without it (and without root) the test skips with a reason.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null; } || \
	  echo "chromium and chromium-driver could not be installed: the page test will be skipped"

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Skyloom needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	$(PYTHON) -m venv .venv

.venv/core.done: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing Skyloom into .venv (about two minutes the first time)"
	$(PIP) -e .
	touch $@

.venv/dev.done: .venv/bin/python pyproject.toml constraints.txt examples/plugin/pyproject.toml
	@echo "installing Skyloom and its tools into .venv (about three minutes the first time)"
	$(PIP) -e '.[all,dev]' -e examples/plugin
	touch $@

.venv/docs.done: .venv/dev.done
	$(PIP) -e '.[docs]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache docs/_build
