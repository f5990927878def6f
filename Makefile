# make demo | test | exhaustive | kernels | fuzz | native | sanitize | mutants | check | docs | bench | gpu | latest | notebook | matrix | wheels | lock — each sets up an environment with what it needs, once.

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
PINS := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
QUIET := --quiet
INSTALL = python -m pip install $(QUIET) --no-compile --disable-pip-version-check

CSRC := src/crossentropy/_backends/native/csrc

# What is installed is compiled to bytecode as it is first imported: torch takes each process three seconds otherwise.
unexport PYTHONDONTWRITEBYTECODE

# For development the package is installed without compiled kernels, which a stamp of their own compiles, once.
DEV := $(VENV)/.dev $(VENV)/.native
$(VENV)/.dev: export CROSSENTROPY_NATIVE := 0

.PHONY: demo test exhaustive kernels fuzz native sanitize mutants browser check docs bench gpu latest notebook matrix wheels lock clean

# It shows what is installed; the others do it in silence.
demo: QUIET :=
demo: $(VENV)/.demo
	crossentropy demo $(ARGS)

test: $(DEV) browser
	OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

# The suite with every case of the products that `make test` takes a part of: an hour.
exhaustive:
	CROSSENTROPY_TESTS=exhaustive $(MAKE) test

# What compilers make of the Triton kernels, for four kinds of GPU; none is needed.
kernels: $(DEV)
	python tests/kernel_report.py $(ARGS)

fuzz: $(DEV)
	OMP_NUM_THREADS=1 python -m pytest --hypothesis-profile=fuzz tests/test_fuzz.py tests/test_native_fuzz.py $(ARGS)

mutants: $(VENV)/.mutants
	OMP_NUM_THREADS=1 python tests/mutants.py $(ARGS)

# The compiled kernels, also those for small problems.
native: $(DEV)

$(VENV)/.native: $(wildcard $(CSRC)/*) build_native.py $(VENV)/.dev
	python build_native.py
	@touch $@

# The compiled kernels with AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize: $(VENV)/.dev
	python build_native.py --sanitize
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	  OMP_NUM_THREADS=2 python -m pytest tests/test_native.py tests/test_native_fuzz.py tests/test_native_log_softmax.py tests/test_agreement.py tests/test_binary.py $(ARGS); \
	  status=$$?; python build_native.py; exit $$status

# Where no browser can be had, the tests that need one are left out, and the last lines of the run say so.
browser: $(VENV)/.dev
	@.ci/browser || true

check: $(VENV)/.dev
	ruff check .
	ruff format --check .
	pyright
	pyright --verifytypes crossentropy --ignoreexternal
	lint-imports --no-cache

# The site, and a look at each of its pages in a browser.
docs: $(DEV) browser
	sphinx-build --nitpicky --fail-on-warning --keep-going --jobs 2 docs site $(ARGS)
	python docs/check_site.py site

bench: $(VENV)/.demo
	python benchmarks/run.py $(ARGS)

# What losses cost on a GPU, and whether they are right there: nine minutes. ARGS="--only head" chooses.
gpu: $(DEV)
	python benchmarks/gpu.py $(ARGS)

# The suite with the newest of everything. Its last lines say which packages differ from the lock.
latest:
	@rm -f .venv-latest/.dev
	@$(MAKE) test VENV=.venv-latest PINS= INSTALL='$(INSTALL) --upgrade --upgrade-strategy eager'

# An explanation in a cell of a real JupyterLab, the newest: a minute.
notebook: $(VENV)/.notebook browser
	python tests/notebook_check.py $(ARGS)

# The suite with every torch and Python that is supported, one after the other; noxfile.py says which.
matrix: $(VENV)/.matrix
	nox $(ARGS)

# What is published, into dist/. Libraries for other machines are run if there is an emulator; wheels.py says which.
wheels: $(VENV)/.wheels
	python wheels.py

# constraints.txt: one version of every package for each version of Python; ARGS=--upgrade takes the newest. torch names
# the versions of its CUDA libraries itself.
lock: $(VENV)/.lock
	@uv pip compile --quiet --universal --python-version 3.10 --no-annotate --custom-compile-command 'make lock' \
	  --extra dev --extra lock --extra mutants --extra wheels pyproject.toml constraints.in --output-file constraints.txt $(ARGS)
	@grep -vE '^(nvidia|cuda)' constraints.txt >constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf .venv .venv-latest site jupyter_execute docs/reference docs/gallery/pictures dist

# One stamp for each set of extras; a change of what they hold installs again.
$(VENV)/.%: pyproject.toml constraints.txt
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing crossentropy[$*] into $(VENV) (the first time takes a minute or two)"
	@$(PINS) $(INSTALL) --editable '.[$*]'
	@touch $@
