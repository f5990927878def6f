# make demo | test | check | docs | bench — each sets up .venv with what it needs, once.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check docs bench clean

demo: .venv/.demo
	$(BIN)/crossentropy demo $(ARGS)

test: .venv/.dev
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pyright --pythonpath $(BIN)/python --verifytypes crossentropy --ignoreexternal
	$(BIN)/lint-imports --no-cache

docs: .venv/.docs
	$(BIN)/mkdocs build --strict

bench: .venv/.demo
	$(BIN)/python benchmarks/time_and_memory.py $(ARGS)

clean:
	rm -rf .venv site dist

# One stamp for each set of extras; a change of what they hold installs again.
.venv/.%: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing crossentropy[$*] into .venv (the first time takes a minute or two)"
	@$(INSTALL) --editable '.[$*]'
	@touch $@
