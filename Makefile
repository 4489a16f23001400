# Two words for newcomers, `make narrate` and `make test`; each does all of its own set-up in .venv.
# `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first of these that is Python 3.11, 3.12 or 3.13.
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) and print("$(name)")' 2>/dev/null)))

VENV := .venv
BIN := $(VENV)/bin
UV := UV_NO_PROGRESS=1 VIRTUAL_ENV=$(VENV) $(BIN)/uv
COMPILE := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet

# Goes to the recipe as a variable of the environment, so that any file name is safe.
export TEXT ?= examples/texts/the-lamp-at-hollow-point.txt

# Stamps: what is set up, and newer than what it is made from.
UV_STAMP := $(VENV)/.uv-stamp
SMALL_STAMP := $(VENV)/.small-stamp
FULL_STAMP := $(VENV)/.full-stamp

# Much of the integration tests is waiting for processes; a file's tests share what they have started. In the order of
# their names, so that the long files come first and the many short ones fill the gaps.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: help
help: ## what there is to type
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: narrate
narrate: $(SMALL_STAMP) ## narrate the example chapter, or TEXT=path, into out/*.mp3
	@mkdir -p out
	@name=$$(basename "$$TEXT"); $(BIN)/chatterqueue narrate "$$TEXT" -o "out/$${name%.*}.mp3" --local

.PHONY: test
test: check ## lint, types and every test that needs no GPU
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

.PHONY: book
book: $(SMALL_STAMP) ## make out/book.epub of a public-domain book
	$(BIN)/python examples/make_book.py out/book.epub

.PHONY: setup
setup: $(FULL_STAMP) ## everything for development into .venv

.PHONY: check
check: $(FULL_STAMP) ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: unit
unit: $(FULL_STAMP) ## tests of one part each, seconds
	$(BIN)/python -m pytest -m "not integration and not gpu"

.PHONY: integration
integration: $(FULL_STAMP) ## tests on a real Valkey, S3 server and workers, minutes
	$(BIN)/python -m pytest -m "integration and not gpu" $(SIDE_BY_SIDE)

# Those that need no GPU, no checkpoint and no argument; `make bench BENCHMARKS=submit` runs one.
BENCHMARKS ?= assembly submit workers pipeline hear_book

.PHONY: bench
bench: $(FULL_STAMP) ## print the benchmarks' figures and keep them in bench/results/
	for name in $(BENCHMARKS); do $(BIN)/python -m "bench.$$name"; done

# Decides what breaks and when. ROWS=2,15 plays some rows; BASELINE=celery plays stock Celery under the same faults.
SEED ?= $(shell date +%s)

.PHONY: chaos
chaos: $(FULL_STAMP) ## break a farm on purpose, as SEED=n says, and count what is lost
	$(BIN)/python -m bench.chaos --seed "$(SEED)" $(if $(ROWS),--rows "$(ROWS)") $(if $(BASELINE),--baseline "$(BASELINE)")

.PHONY: pictures
pictures: $(FULL_STAMP) ## take the pictures of docs/page.md anew; needs Chromium
	$(BIN)/python -m bench.page_pictures

.PHONY: requirements
requirements: $(UV_STAMP) ## compile requirements/*.txt anew from pyproject.toml, taking newer versions
	$(COMPILE) --upgrade pyproject.toml --extra draft --extra local --extra page --extra gpu --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra draft --extra page --extra local -c requirements/dev.txt -o requirements/narrate.txt
	$(COMPILE) pyproject.toml --extra draft --extra page -c requirements/dev.txt -o requirements/cpu.txt
	$(COMPILE) pyproject.toml --extra gpu -c requirements/dev.txt -o requirements/gpu.txt
	printf 'uv\nhatchling>=1.27\neditables\n' | $(COMPILE) --upgrade - -c requirements/dev.txt -o requirements/setup.txt

.PHONY: clean
clean: ## remove .venv, caches and builds; keeps out/ and .chatterqueue/
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# uv and the build tool, by pip, with hashes; everything else by uv.
$(UV_STAMP): requirements/setup.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "chatterqueue needs Python 3.11, 3.12 or 3.13; none of python3, python3.13, python3.12, python3.11 is one" \
			"(set PYTHON=path to name another)" >&2; exit 1; fi
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt
	@touch $@

# The small set: producer, CPU voice, embedded stack. Added, not synced: the full set may be there already.
$(SMALL_STAMP): requirements/narrate.txt pyproject.toml $(UV_STAMP)
	$(UV) pip install --quiet --require-hashes -r requirements/narrate.txt
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(FULL_STAMP): requirements/dev.txt pyproject.toml $(UV_STAMP)
	$(UV) pip sync --quiet --require-hashes requirements/setup.txt requirements/dev.txt
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(SMALL_STAMP) $@
