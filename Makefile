# Everything here sets itself up in .venv on a machine with Python >= 3.11, make and git.
PYTHON ?= python3
BIN := .venv/bin
# mlx runs on Apple Silicon and on Linux; elsewhere its tests are skipped
EXTRAS := $(shell case "$$(uname -sm)" in (Linux\ x86_64|Linux\ aarch64) echo dev,docs,mlx;; (*) echo dev,docs;; esac)

.PHONY: demo test quick coverage lint bench bench-real soak audit docs clean

demo: .venv/.installed
	$(BIN)/potstill demo --out runs/demo

test: .venv/.tested lint
	$(BIN)/pytest -n auto --dist loadfile

# what needs no training, browser or process, in under a minute on two cores
quick: .venv/.tested
	$(BIN)/pytest -m "not soak and not slow" -n 2 --dist loadfile

# what the tests pass through in src/potstill; TESTS=tests/evaluation takes some of them
coverage: .venv/.tested
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist loadfile $(TESTS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

lint: .venv/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# each of them ends within ten minutes on two cores; what more they can do their --help says
bench: .venv/.tested
	@for script in $$(grep -l __main__ benchmarks/*.py); do \
	  echo "== $$script"; $(BIN)/python $$script || exit 1; done

# two real models on two cores, in about two hours; it says what it needs and goes on where it stopped
bench-real: .venv/.tested
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[llama]' 'llama-cpp-python[server]'
	$(BIN)/python tools/bench_real.py

# llama-cpp-python builds from source, in some minutes; -rP shows what was counted
soak: .venv/.tested
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[llama]'
	$(BIN)/pytest -m soak --timeout 3600 -n auto --dist worksteal -rP

# pip-audit in an environment of its own, so that what it brings is not what is audited
audit: .venv/.audit/.installed
	.venv/.audit/bin/python tools/audit.py constraints.txt

# into site/; a link that leads nowhere stops it
docs: .venv/.tested
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv runs build dist site

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Potstill needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv

# torch goes first, pinned: a newer one in the same resolution would bring its CUDA packages
.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.audit/.installed: .venv/bin/python
	$(PYTHON) -m venv .venv/.audit
	.venv/.audit/bin/python -m pip install -q --disable-pip-version-check pip-audit==2.10.1
	touch $@

.venv/.tested: .venv/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@
