# Two commands do everything: `make demo` restores a photo, `make test` passes the tests.
# Both make their own environment in .venv on the first call and leave it alone until the requirements change.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
REQUIREMENTS := pyproject.toml constraints.txt
SECONDS ?= 60

.PHONY: demo test fuzz check format docs clean

demo: .venv/installed
	@$(BIN)/revisage restore examples/photo.jpg --output demo-output --save-faces --overwrite
	@$(BIN)/python examples/before_after.py examples/photo.jpg demo-output/restored_imgs/photo.jpg demo-output/before-after.jpg
	@echo "restored photo:     $(CURDIR)/demo-output/restored_imgs/photo.jpg"
	@echo "before and after:   $(CURDIR)/demo-output/before-after.jpg"
	@echo "the face, closely:  $(CURDIR)/demo-output/cmp/photo_00.png"
	@echo "your own photo:     .venv/bin/revisage restore PHOTO"

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 -m "not slow"

fuzz: .venv/installed-dev
	$(PIP) install --constraint constraints.txt --editable '.[dev,fuzz]'
	nice $(BIN)/python tests/fuzz/drive.py --seconds $(SECONDS)

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/installed-dev
	$(BIN)/python -m typer revisage.cli utils docs --name revisage --output docs/cli.md

clean:
	rm -rf .venv demo-output

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "revisage needs Python 3.11 or newer; $$($(PYTHON) --version 2>&1) is too old. Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < 10**9)' || { \
	  echo "revisage needs 1 GB of free disk for its environment; free some and try again" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python $(REQUIREMENTS)
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/bin/python $(REQUIREMENTS)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch .venv/installed $@
