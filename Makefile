# Every target sets up what it needs; a second call costs nothing (stamp: .venv/.ready).
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help reports test lab bench gates lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1|\2/' | column -t -s '|'

$(READY): requirements.lock requirements/uv.lock pyproject.toml
	@if ! '$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	  echo "tne_eval demande Python 3.11 ou plus récent : installez le paquet python3 (Debian 12)." >&2; exit 1
	fi
	if ! '$(PYTHON)' -c 'import ensurepip' 2>/dev/null; then
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    echo "Installation du paquet python3-venv, que Debian sépare de Python."
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv >/dev/null
	  else
	    echo "Il manque le paquet python3-venv. Lancez : sudo apt install python3-venv, puis la même commande." >&2; exit 1
	  fi
	fi
	echo "Préparation de l'environnement ($(VENV))…"
	rm -rf $(VENV)
	'$(PYTHON)' -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r requirements/uv.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync -q --require-hashes --compile-bytecode --only-binary :all: requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --no-build-isolation --compile-bytecode -e .
	touch $@

reports: $(READY)  ## set up, then one report per territory, the synthesis and the index
	@$(BIN)/tne-eval report --all

test: $(READY)  ## set up, then the tests
	@$(BIN)/python -m pytest -n 2 --dist loadscope

lab: $(READY)  ## set up, then JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir notebooks

bench: $(READY)  ## set up, then time reading, indices, catalogue and estimators against floors and peers, as ratios
	@status=0
	for name in read inequality catalogue reassignment staggered synthetic honest reports; do
	  echo "== $$name"; $(BIN)/python bench/$$name.py || status=1
	done
	exit $$status

gates: $(READY)  ## set up, then the long checks: measured size and coverage of tests and intervals
	@status=0
	for name in impact_coverage interval_coverage; do
	  $(BIN)/python bench/$$name.py || status=1
	done
	exit $$status

lock: $(READY)  ## make both locks again, for Python 3.11.2
	@echo uv | $(BIN)/uv pip compile - --universal --python-version 3.11.2 --generate-hashes --no-header --no-annotate -q --upgrade -o requirements/uv.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --override requirements/overrides.txt --universal --fork-strategy fewest --python-version 3.11.2 --generate-hashes --no-header --no-annotate --no-emit-index-url -q --upgrade -o requirements.lock

clean:  ## remove the environment, reports and caches
	@rm -rf $(VENV) reports/* .pytest_cache .ruff_cache
