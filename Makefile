# Everything a newcomer needs. Only python3 (3.11 to 3.13) and make are asked for; the rest is fetched into this folder.
PYTHON ?= python3
BIN := .venv/bin
KILLS ?= 40
FILES ?= 100000
FUZZ_ARGS ?=
CHAOS_ARGS ?=
BENCH ?= all
AGAINST ?= main
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status test lint quality docs fuzz-files chaos bench bench-compare verify clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv ready (does nothing when it is)
	@$(PYTHON) deploy/bootstrap.py

demo: setup ## start everything, feed a day of signals, show what came of it; leaves it running
	@$(BIN)/liandong demo

up: setup ## start Kafka, Redis, the workers and the gateway
	@$(BIN)/liandong up

down: setup ## stop what demo or up started
	@$(BIN)/liandong down

status: setup ## what runs, and whether it is healthy
	@$(BIN)/liandong status

test: lint ## all checks and all tests (PYTEST_ARGS=... to choose)
ifeq ($(PYTEST_ARGS),)
	$(BIN)/pytest -n auto --dist loadgroup --durations=12 tests/unit tests/property tests/contract
	$(BIN)/pytest --durations=12 tests/integration tests/chaos
else
	$(BIN)/pytest $(PYTEST_ARGS)
endif

lint: setup ## style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quality: setup ## names, sizes and imports of the code beside their limits
	@$(BIN)/python -m tests.quality.measure

docs: setup ## the documentation as pages, in build/docs/index.html
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs build/docs

fuzz-files: setup ## files of any bytes through the file drop (FILES=100000 FUZZ_ARGS="--seed 7")
	$(BIN)/python -m tests.support.file_fuzz --files $(FILES) $(FUZZ_ARGS)

chaos: setup ## kill things and compare with the oracle (KILLS=200)
	@$(BIN)/python -m tests.chaos --kills $(KILLS) $(CHAOS_ARGS)

bench: setup ## the numbers (BENCH=transport for one)
	@$(BIN)/python -m tests.bench $(BENCH) --json

bench-compare: setup ## the fast benches on AGAINST=<commit> and here in turns; fails when one got slower
	@$(BIN)/python -m tests.bench compare --against $(AGAINST)

verify: setup ## rebuild from the log and compare with the live state
	@$(BIN)/python -m tests.oracle

clean: ## stop everything and remove what can be made again, the demo's data included
	@for state in $$(ls .liandong/*/state.json 2>/dev/null); do \
		$(BIN)/liandong down --profile "$$(basename "$$(dirname "$$state")")"; \
	done
	rm -rf .venv .tools .liandong .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
