# make demo | test | fuzz | check | docs | bench — each sets up .venv with what it needs, once.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
INSTALL := python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test fuzz check docs bench clean

demo: .venv/.demo
	crossentropy demo $(ARGS)

test: .venv/.dev
	OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

fuzz: .venv/.dev
	OMP_NUM_THREADS=1 python -m pytest --hypothesis-profile=fuzz tests/test_fuzz.py $(ARGS)

check: .venv/.dev
	ruff check .
	ruff format --check .
	pyright
	pyright --verifytypes crossentropy --ignoreexternal
	lint-imports --no-cache

docs: .venv/.docs
	sphinx-build --nitpicky --fail-on-warning --keep-going --jobs 2 docs site $(ARGS)

bench: .venv/.demo
	python benchmarks/run.py $(ARGS)

clean:
	rm -rf .venv site jupyter_execute docs/reference dist

# One stamp for each set of extras; a change of what they hold installs again.
.venv/.%: pyproject.toml constraints.txt
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "Installing crossentropy[$*] into .venv (the first time takes a minute or two)"
	@$(INSTALL) --editable '.[$*]'
	@touch $@
