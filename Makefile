# `make` on a fresh checkout needs Python 3.11 or later and nothing else.
PYTHON ?= python3
SHELL := bash
PY := .venv/bin/python
ENV := .venv/.installed
BOOK := _build/.built

# What the book is built from.
BOOK_INPUTS := _config.yml _toc.yml references.bib $(wildcard book/*.md solutions/*.md) $(wildcard assets/*.* ext/*.py) \
  tools/book.py benchmarks/proofs.json $(shell find diffcourse -name '*.py' -o -name '*.json' -o -name '*.safetensors')

.PHONY: help book test notebooks mutate proofs clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):[^#]*## /make \1\t/' | expand -t 18

book: $(BOOK)  ## build the book into _build/html

test: $(BOOK)  ## build the book if it is out of date, then run the tests and every notebook
	$(PY) -m pytest -n 2 tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -p no:cacheprovider --nbval-lax --nbval-current-env --nbval-cell-timeout 120 \
	  --nbval-sanitize-with tests/nbval_sanitize.cfg -n 2 --dist loadscope book exercises solutions

mutate: $(ENV)  ## break every proved formula in many ways, and see whether the proofs and tests notice
	$(PY) tools/mutate.py

proofs: $(ENV)  ## prove every claim and measure how long it takes
	$(PY) tools/proofs.py

notebooks: $(ENV)  ## write the notebooks anew from their Markdown sources
	$(PY) tools/notebooks.py

clean:  ## remove what was built, and keep .venv
	rm -rf _build

$(BOOK): $(ENV) $(BOOK_INPUTS)
	@$(PY) tools/book.py
	@touch $@

$(ENV): requirements.txt pyproject.toml
	@echo "Installing into .venv, a dot for each step; the first time takes some minutes"
	@[ -x $(PY) ] || $(PYTHON) -m venv .venv
	@set -o pipefail; $(PY) -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt \
	  | awk '/^ *(Collecting|Downloading|Processing) / { printf "."; fflush() } END { print "" }'
	@$(PY) -m pip install --disable-pip-version-check --quiet --no-deps -e .
	@touch $@
