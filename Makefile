# Two commands on a fresh machine: `make demo` and `make test`. Only Python >= 3.11 and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: demo test test-all test-gpu lint format bench bench-gpu evidence docs dist smoke clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "neural-kernels needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python examples/demo.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache

test: lint
	$(BIN)/python -m pytest -n auto

test-all: lint
	$(BIN)/python -m pytest -n auto -m ""

# Skipped with a message where there is no CUDA device; `make test-gpu DEVICE=cpu` tries the tests themselves.
DEVICE ?= cuda
test-gpu: $(STAMP)
	$(BIN)/python -m pytest tests/gpu -m gpu --device $(DEVICE)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python benchmarks/exact_dense.py
	$(BIN)/python benchmarks/exact_sparse.py
	$(BIN)/python benchmarks/activations.py
	$(BIN)/python benchmarks/exact_conv.py
	$(BIN)/python benchmarks/sketches.py
	$(BIN)/python benchmarks/features_accuracy.py
	$(BIN)/python benchmarks/features_speed.py
	$(BIN)/python benchmarks/empirical.py

bench-gpu: $(STAMP)
	$(BIN)/python benchmarks/gpu.py --device $(DEVICE)

# An hour at most. DATA is the folder that holds load.py; without it what needs data is left out.
evidence: $(STAMP)
	$(BIN)/python benchmarks/evidence.py $(if $(DATA),--data $(DATA))

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

dist: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[release]"
	rm -rf dist
	$(BIN)/python -m build

# The wheel alone in an empty environment of PYTHON, nothing compiled; CONSTRAINTS names other versions to try it with.
CONSTRAINTS ?= constraints.txt
SMOKE = build/smoke
smoke:
	@test -f dist/*.whl || { echo "there is no wheel in dist/: run make dist first"; exit 1; }
	rm -rf $(SMOKE)
	$(PYTHON) -m venv $(SMOKE)
	$(SMOKE)/bin/python -m pip install --quiet --only-binary :all: --constraint $(CONSTRAINTS) dist/*.whl
	cp tests/smoke.py $(SMOKE) && cd $(SMOKE) && bin/python -I smoke.py

clean:
	rm -rf $(VENV) docs/_build build dist
