# Short names for what the README and CONTRIBUTING say in full.
PYTHON ?= .venv/bin/python

.PHONY: test slow lint golden bench lock lowest
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
lock:
	$(PYTHON) -m tests.environment.lock
lowest:
	$(PYTHON) -m tests.environment.lowest
