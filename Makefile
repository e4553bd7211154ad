# `python -m` and Jupyter put the repository root on sys.path; the folders must not be found there.
export PYTHONSAFEPATH = 1

PYTHON ?= python3
BIN = .venv/bin
INSTALLED = .venv/.installed

.PHONY: install demo test test-slow check bench pretrained clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# Two workers; what times something is kept on one of them (tests/conftest.py).
test: install
	$(BIN)/pytest -n 2 --dist loadgroup

# What is marked slow, and three hundred examples of what holds for all.
test-slow: install
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest -m 'slow or hypothesis'

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy -p mnaslat
	$(BIN)/mypy tests benchmarks
	$(MAKE) test

bench: install
	for script in benchmarks/[a-z]*.py; do PYTHONPATH=benchmarks $(BIN)/python $$script || exit 1; done

pretrained: install
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/_make_pretrained.py

clean:
	rm -rf .venv demo-workspace bench-workspace
