# Short names for what the README and CONTRIBUTING say in full.
PYTHON ?= .venv/bin/python

# The experiments of docs/experiments.md, which says how long each takes.
EXPERIMENTS = figure6 figure7 figure8 figure9 figure10 order spectrum slides activations budget

.PHONY: test slow lint golden bench lock lowest $(EXPERIMENTS)
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
$(EXPERIMENTS):
	$(PYTHON) -m benchmarks.paper $@
