# Vigie's targets. `make` alone lists them.

.DEFAULT_GOAL := help
PYTHON ?= python3
PORT = 8400
UV_VERSION := 0.13.9
UV := .tools/bin/uv
# A process for each core; one that has nothing left to do takes from another.
PYTEST := .venv/bin/pytest --numprocesses auto --dist worksteal
# The marks of pyproject.toml: what needs more than this program and SQLite.
BESIDES := postgres or valkey or browser or clients or faults or project or programs
# Installing the program makes openapi.json and the .mo files of these.
SOURCES_OF_GENERATED := $(wildcard src/vigie/api/openapi.yaml src/vigie/api/*/openapi.yaml) $(wildcard src/vigie/ui/locales/*/LC_MESSAGES/*.po) $(wildcard building/*.py)
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help setup demo test check format lint types imports docs messages mutants bench bench-quick bench-gate bench-report lock build clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Vigie needs Python 3.11 or later, and $(PYTHON) is %d.%d; name another, as in: make demo PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $(UV)

.venv/.program: $(UV) pyproject.toml uv.lock $(SOURCES_OF_GENERATED)
	$(UV) sync --quiet --frozen --inexact --no-dev --all-extras --python $(PYTHON)
	@touch $@

.venv/.dev: $(UV) pyproject.toml uv.lock $(SOURCES_OF_GENERATED)
	$(UV) sync --quiet --frozen --all-groups --all-extras --python $(PYTHON)
	@touch $@ .venv/.program

setup: .venv/.program  ## install the program, with all extras, at .venv/bin/vigie

demo: .venv/.program  ## serve the sample tenant, read one incident, print what to try next (PORT=0: any free port)
	.venv/bin/vigie demo --port $(PORT)

test: .venv/.dev  ## run the tests that need this program and SQLite alone, on every core
	$(PYTEST) -m "not ($(BESIDES))"

check: .venv/.dev lint types imports  ## what CI runs: format, lint, types, imports, and every test there is
	$(PYTEST)

format: .venv/.dev  ## rewrite the code in the project's format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lint: .venv/.dev  ## check format and style
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .

types: .venv/.dev  ## check types, strictly
	.venv/bin/mypy

imports: .venv/.dev  ## check that imports go down only
	.venv/bin/lint-imports

docs: .venv/.dev  ## check that the documents say what is true
	.venv/bin/pytest -q tests/project/test_documents.py

messages: .venv/.dev  ## bring the catalogues of translators up to the templates
	mkdir -p build
	.venv/bin/pybabel extract
	.venv/bin/pybabel update

mutants: .venv/.dev  ## change the rules in every small way, and see that a test notices
	.venv/bin/mutmut run
	.venv/bin/python tests/project/mutants.py

.bench/peers/.installed: $(UV) bench/peers/pyproject.toml bench/peers/uv.lock
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/.bench/peers $(UV) sync --quiet --frozen --inexact --project bench/peers --python $(PYTHON)
	@touch $@

.bench/peers/.plots: .bench/peers/.installed
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/.bench/peers $(UV) sync --quiet --frozen --inexact --group plots --project bench/peers --python $(PYTHON)
	@touch $@

bench: .venv/.dev .bench/peers/.installed  ## measure everything beside nginx and the peers: ten minutes
	.venv/bin/python -m bench all $(BENCH)

bench-quick: .venv/.dev .bench/peers/.installed  ## the ratios that are stable on any machine: a minute
	.venv/bin/python -m bench quick $(BENCH)

bench-gate: .venv/.dev .bench/peers/.installed  ## the same, held against half of the goals
	.venv/bin/python -m bench gate

bench-report: .venv/.dev .bench/peers/.plots  ## RESULTS=FILE: bring docs/performance.md up to a run
	.venv/bin/python -m bench report $(RESULTS)

lock: $(UV)  ## resolve the dependencies anew
	$(UV) lock --upgrade
	$(UV) lock --upgrade --project bench/peers

build: $(UV)  ## build the wheel and the source archive into dist/
	$(UV) build --out-dir dist

clean:  ## remove what was installed and built (never a database)
	rm -rf .venv .tools .bench dist build src/vigie/api/openapi.json src/vigie/api/*/openapi.json src/vigie/ui/locales/*/LC_MESSAGES/vigie.mo
