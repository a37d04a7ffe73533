# Two commands do everything: `make demo` restores a photo, `make test` passes the tests.
# Both make their own environment in .venv on the first call and leave it alone until the requirements change.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
REQUIREMENTS := pyproject.toml constraints.txt
SECONDS ?= 60
# Megabytes of disk that the environments take, with room for what pip unpacks: of the demo, and of the tests with torch.
DEMO_MB := 600
TEST_MB := 2500

# Fail unless so many megabytes are free.
require_disk = $(PYTHON) -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < $(1) * 10**6)' || { \
  echo "revisage needs $(1) MB of free disk for its environment; free some and try again" >&2; exit 1; }

.PHONY: demo test fuzz check bench-check format docs site pictures clean

demo: .venv/installed
	@$(BIN)/revisage restore examples/photo.jpg --output demo-output --save-faces --overwrite
	@$(BIN)/revisage compare examples/photo.jpg demo-output/restored_imgs/photo.jpg --labels original,restored -o demo-output/compare.html
	@echo "restored photo:     $(CURDIR)/demo-output/restored_imgs/photo.jpg"
	@echo "before and after:   $(CURDIR)/demo-output/compare.html"
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

# Fail if a network or a step became slower, beside the plain formulation that is timed in turns with it.
bench-check: .venv/installed-dev
	$(BIN)/revisage bench --quick --compare .ci/bench.json

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/installed-dev
	$(BIN)/python -m typer revisage.cli utils docs --name revisage --output docs/cli.md

# README.md, docs/ and what they link to, as a site in build/site; any warning fails.
site: .venv/bin/python
	$(PIP) install --constraint constraints.txt --editable '.[docs]'
	rm -rf build/pages build/site
	mkdir -p build/pages
	cp -r README.md MODEL_CARD.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE docs examples build/pages
	$(BIN)/zensical build --strict

# The pictures of README.md and docs/, made anew: after new weights, say.
pictures: .venv/installed
	$(BIN)/revisage compare examples/photo.jpg -o docs/before-after.jpg --size 560
	$(BIN)/revisage compare examples/photo.jpg -o docs/strengths.jpg --strengths 0.25,0.5,1 --close-up --size 300

clean:
	rm -rf .venv demo-output

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "revisage needs Python 3.11 or newer; $$($(PYTHON) --version 2>&1) is too old. Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(call require_disk,$(DEMO_MB))
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python $(REQUIREMENTS)
	@echo "installing revisage into .venv, once: about 400 MB"
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/bin/python $(REQUIREMENTS)
	@$(call require_disk,$(TEST_MB))
	@echo "installing revisage and what its tests need (torch) into .venv, once: about 1.6 GB"
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch .venv/installed $@
