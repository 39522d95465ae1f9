PYTHON ?= python3
VENV := .venv
TEST_PROCESSES ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VISION := .venv-vision
VISION_READY := $(VISION)/.ready
# What depends on how pictures are read: model rooms and families, asking, pointing, and whole small studies.
VISION_TESTS := tests/models tests/asking tests/capturing tests/pointing tests/experiments/waking tests/study/test_study_record.py

.PHONY: docs demo shell test test-vision lint format clean bench bench-peers survey-matrix

demo: $(READY)          ## the whole study on the embedded model: runs/demo/report.html
	$(BIN)/headscope demo --study runs/demo

shell: $(READY)         ## a shell in which `headscope` is found
	PATH="$(CURDIR)/$(BIN):$$PATH" $${SHELL:-bash}

test: $(READY)          ## every test, on two processes (TEST_PROCESSES=0: in this one)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

test-vision: $(VISION_READY)   ## model rooms, families, pointing, small studies with torchvision (5.5 GB)
	$(VISION)/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(VISION_TESTS)

lint: $(READY)          ## ruff (lint and format) and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)          ## the site, offline: build/site/index.html
	$(BIN)/python -m mkdocs build --strict --quiet

bench: $(READY)         ## every ratio but those of peers, cost curves: benchmarks/*.json, docs/benchmarks.md
	for file in benchmarks/bench_*.py; do \
	  case $$file in *bench_peers.py) ;; *) $(BIN)/python $$file || exit 1 ;; esac; done
	$(BIN)/python benchmarks/table.py
	$(BIN)/python benchmarks/curves.py

bench-peers: $(READY)   ## the same work in other libraries, each in an environment of its own (about 1 GB each)
	$(BIN)/python benchmarks/bench_peers.py
	$(BIN)/python benchmarks/table.py

survey-matrix: $(READY) ## the survey and tests of the model rooms on the newest, the last and the oldest transformers
	$(BIN)/python tools/survey_matrix.py

format: $(READY)        ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

$(VISION_READY): pyproject.toml constraints-vision.txt
	$(PYTHON) -m venv $(VISION)
	$(VISION)/bin/python -m pip install --quiet --upgrade pip
	$(VISION)/bin/python -m pip install --quiet --constraint constraints-vision.txt torch torchvision
	$(VISION)/bin/python -m pip install --quiet --constraint constraints-vision.txt --editable ".[dev]"
	touch $(VISION_READY)

clean:                  ## remove the environments and the demo
	rm -rf $(VENV) $(VISION) runs/demo
