# Short names for what the README and CONTRIBUTING say in full.
PYTHON ?= .venv/bin/python

.PHONY: test slow lint golden bench
test:
	$(PYTHON) -m pytest
slow:
	$(PYTHON) -m pytest -m slow
lint:
	$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy
golden:
	$(PYTHON) -m tests.golden.regenerate
bench:
	$(PYTHON) benchmarks/training_step.py
