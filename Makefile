# Every target sets up what it needs in .venv, and again only when a requirements file changes.

PYTHON ?= python3
INPUT_DIR ?= examples/images
PROMPT ?= Describe this image in two sentences.
OUTPUT_DIR ?=
ARGS ?=

# Prompts and paths reach the program through the environment, as they were typed: pasted into a
# recipe, or expanded by make, a quote, a dollar sign or a newline would not survive.
RUN_INPUT_DIR := $(value INPUT_DIR)
RUN_PROMPT := $(value PROMPT)
RUN_OUTPUT_DIR := $(value OUTPUT_DIR)
export RUN_INPUT_DIR RUN_PROMPT RUN_OUTPUT_DIR
unexport INPUT_DIR PROMPT OUTPUT_DIR ARGS

VENV := .venv
IN_VENV := $(VENV)/bin/python
PIP_INSTALL := $(IN_VENV) -m pip install --quiet --disable-pip-version-check
KEY_LINE := ^[[:space:]]*(export[[:space:]]+)?(GEMINI|GOOGLE)_API_KEY[[:space:]]*=[[:space:]]*["']?[^[:space:]"'\#]

.DEFAULT_GOAL := help
.PHONY: help run test crash-test attack-test field-test bench bench-peers bench-optimizer bench-pacing bench-plan bench-startup check lint type format picture house clean
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  make run INPUT_DIR=photos PROMPT="..." [OUTPUT_DIR=results] [ARGS="--archive-format zip"]'

run: $(VENV)/.run ## process the samples, or your own images; a dry run where there is no key
	@dry_run=; \
	if [ -z "$$GEMINI_API_KEY$$GOOGLE_API_KEY" ] && ! grep -Eqs "$$KEY_LINE" .env; then \
		echo "No GEMINI_API_KEY in the environment or in .env: this is a dry run (--dry-run)." >&2; \
		dry_run=--dry-run; \
	fi; \
	exec $(IN_VENV) main.py --input-dir="$$RUN_INPUT_DIR" --prompt="$$RUN_PROMPT" \
		$${RUN_OUTPUT_DIR:+--output-dir="$$RUN_OUTPUT_DIR"} $$dry_run $(value ARGS)
run: export KEY_LINE := $(KEY_LINE)

test: $(VENV)/.dev ## run all tests
	@$(IN_VENV) -m pytest -n auto

crash-test: $(VENV)/.dev ## kill the program at 200 random instants and at every single write (15 minutes)
	@$(IN_VENV) -m tests.crash --rounds 200

attack-test: $(VENV)/.dev ## attack the program: kills, damage, hostile replies, images, disks, limits (15 minutes)
	@$(IN_VENV) -m tests.attack

field-test: $(VENV)/.dev ## replay cases from the field and recorded replies, which stand in ../shared or GBP_SHARED (10 minutes)
	@$(IN_VENV) -m pytest -n 2 -rs -m field tests/e2e/test_field_cases.py tests/e2e/test_recorded_replies.py

bench: $(VENV)/.dev ## compare with a bare script, the SDK's loop and the peers that are installed (an hour)
	@$(IN_VENV) -m bench.sidebyside

bench-peers: $(VENV)/.dev ## install the peers that make bench compares with, each in an environment of its own
	@$(IN_VENV) -m bench.peers.install

bench-pacing: $(VENV)/.dev ## play the pacer and the usual clients through 20 minutes of virtual time (15 minutes)
	@$(PIP_INSTALL) -r bench/requirements.txt
	@$(IN_VENV) -m bench.pacing

bench-optimizer: $(VENV)/.dev ## play prompt repair against round robin and an oracle in hidden worlds (15 minutes)
	@$(PIP_INSTALL) -r bench/requirements.txt
	@$(IN_VENV) -m bench.optimizer
	@$(IN_VENV) -m bench.content

bench-plan: $(VENV)/.dev ## measure --help, and runs over up to 100,000 images (20 minutes; needs 1 GB in TMPDIR)
	@$(IN_VENV) -m bench.plan

bench-startup: $(VENV)/.dev ## measure CPU up to the first request, and of --help and --status (a minute; Linux)
	@$(IN_VENV) -m bench.startup

check: lint type test ## all that must hold before a commit: lint, format, types, tests

lint: $(VENV)/.dev ## check style and format
	@$(IN_VENV) -m ruff check .
	@$(IN_VENV) -m ruff format --check .

type: $(VENV)/.dev ## check types
	@$(IN_VENV) -m mypy .

format: $(VENV)/.dev ## put the code into its format
	@$(IN_VENV) -m ruff check --fix .
	@$(IN_VENV) -m ruff format .

picture: $(VENV)/.dev ## draw docs/img/dependency-rule.svg from the table of the dependency rule
	@$(IN_VENV) -m tests.project.dependency_picture

house: $(VENV)/.dev ## count lines, modules, functions, openings and words of private dialect
	@$(IN_VENV) -m tests.project.house

clean: ## remove .venv and caches, never results
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "There is no $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) lacks the venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) ..." >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run: requirements.txt $(VENV)/.made
	@echo "Installing what the program needs ..." >&2
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt $(VENV)/.made
	@echo "Installing what the work on it needs ..." >&2
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@
