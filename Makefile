# Each target sets up what it needs in .venv, pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install -q --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint docs clean

# Plans the five example workloads. Exit code 3 says that a workload does not fit, which some do not.
demo: .venv/core
	@for file in examples/*.yaml; do \
	  echo; echo "== ullage plan $$file"; \
	  $(BIN)/ullage plan $$file; code=$$?; \
	  if [ $$code -ne 0 ] && [ $$code -ne 3 ]; then exit $$code; fi; \
	done

test: .venv/dev lint
	HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2
	$(BIN)/mkdocs build --strict -q

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/dev
	$(BIN)/mkdocs serve

.venv/python:
	$(PYTHON) -m venv .venv
	@touch $@

.venv/core: .venv/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

# torch first: the pin keeps other packages from pulling a CUDA build.
.venv/dev: .venv/core
	$(PIP) torch==2.13.0
	$(PIP) -e ".[run,image]"
	$(PIP) pytest pytest-xdist hypothesis ruff mypy import-linter types-PyYAML jsonschema numpy gguf mkdocs-material
	@touch $@

clean:
	rm -rf .venv site dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
