# make help lists what can be made. Everything lives in this folder: .venv, .mlflow, .prefect, data, models, reports.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

# Nothing leaves this machine, and nothing is kept outside this folder. MLflow wants the word `true`.
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DVC_NO_ANALYTICS := 1
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
export PREFECT_HOME := $(CURDIR)/.prefect
export DVC_SITE_CACHE_DIR := $(CURDIR)/.dvc/site-cache
export PATH := $(CURDIR)/$(BIN):$(PATH)

DATA ?= data/demo
CATEGORY ?= weave
WEIGHTS ?= imagenet
BACKBONE ?= efficientnet_lite2
MINUTES ?= 1
PORT ?= 5000
PREFECT_PORT ?= 4200

.PHONY: help setup demo retrain up down deploy worker serve-schedule ui mlflow-server test test-slow mutation fuzz bench-accuracy bench-mvtec lint lock audit sbom clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## virtual environment with the locked, hashed dependencies

# After a move or a copy the commands in .venv are still those of the former place: it is made anew.
MOVED := $(shell grep -q DVC_SITE_CACHE_DIR= .venv/bin/activate 2>/dev/null && { grep -qF '"$(CURDIR)/.dvc/site-cache"' .venv/bin/activate || echo moved; })
ifdef MOVED
.PHONY: .venv/.ready
endif

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4) and "Python 3.11.4 or newer is needed; try: make PYTHON=python3.12 setup")'
	@echo 'installing the locked packages into .venv: 7 GB with the GPU libraries, minutes on a slow line'
	@test -z '$(MOVED)' || rm -rf .venv
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/python -m uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.lock
	@$(BIN)/python -m uv pip install --quiet --no-deps --python $(BIN)/python -C editable_mode=compat --editable .  # found beside this folder, too
	@grep -q DVC_SITE_CACHE_DIR .venv/bin/activate || echo 'export DVC_SITE_CACHE_DIR="$(CURDIR)/.dvc/site-cache" DVC_NO_ANALYTICS=1 DO_NOT_TRACK=true MLFLOW_DISABLE_TELEMETRY=true' >> .venv/bin/activate
	@$(BIN)/python -m compileall -q fastflow pipelines
	@touch $@
	@echo 'installed; the environment in a shell of yours: . .venv/bin/activate'

demo: setup  ## draw, train, evaluate and report three small categories: minutes, no network, no GPU
	fastflow demo

retrain: setup  ## the same stages as a Prefect flow
	python -m pipelines.cli.operations retrain

up: setup  ## Prefect, MLflow and a worker that retrains nightly, on 127.0.0.1; other ports: make up PORT=5050 PREFECT_PORT=4300
	python -m pipelines.cli.operations up --mlflow-port $(PORT) --prefect-port $(PREFECT_PORT)

down: setup  ## end exactly what `make up` started
	python -m pipelines.cli.operations down

deploy: setup  ## apply prefect.yaml after a change of it
	python -m pipelines.cli.operations deploy

worker: setup  ## on another machine: train categories for the coordinator; docs/machines.md
	FASTFLOW_PROJECT="$(CURDIR)" prefect worker start --pool machines --type process --limit 1

serve-schedule: setup  ## the deployments of prefect.yaml by this terminal's process, without work pool and worker
	python -m pipelines.cli.operations schedule

ui: setup  ## MLflow's pages of all runs, on 127.0.0.1:5000, until Ctrl-C; another port: make ui PORT=5050
	@python -m pipelines.cli.operations ui --port $(PORT)

mlflow-server: setup  ## the same as a hardened server, for several writers: see docs/tracking.md
	mkdir -p -m 700 .mlflow
	MLFLOW_BACKEND_STORE_URI="$${MLFLOW_BACKEND_STORE_URI:-sqlite:///.mlflow/mlflow.db}" \
	  MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false mlflow server --host 127.0.0.1 --port 5000 --workers 1 \
	  --allowed-hosts 'localhost:5000,127.0.0.1:5000' --x-frame-options DENY --serve-artifacts \
	  --artifacts-destination .mlflow/artifacts

test: setup  ## the fast tests
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile

test-slow: setup  ## the slow tests
	OMP_NUM_THREADS=1 python -m pytest -m slow -n 2 --dist loadfile --durations=25

mutation: setup  ## do the tests notice small faults? minutes a module; one: make mutation MODULE=fastflow/score.py
	OMP_NUM_THREADS=1 python -P tests/mutation.py $(MODULE)

fuzz: setup  ## each reader of files gets damaged and hostile ones: make fuzz MINUTES=10, of the processor's time each
	mkdir -p .state
	FASTFLOW_FUZZ_MINUTES=$(MINUTES) FASTFLOW_FUZZ_LOG=.state/fuzz.log OMP_NUM_THREADS=1 python -m pytest --timeout 0 tests/fuzz

bench-accuracy: setup  ## seeds 0, 1, 2 of one category: make bench-accuracy DATA=folder CATEGORY=bottle
	python -m benchmarks.accuracy --data-root "$(DATA)" --category $(CATEGORY) --weights "$(WEIGHTS)" --seeds 3 --json accuracy-$(CATEGORY).json

bench-mvtec: setup  ## seeds 0, 1, 2 of all of MVTec AD beside the paper's table: make bench-mvtec DATA=folder
	python -m benchmarks.accuracy --mvtec --data-root "$(DATA)" --backbone $(BACKBONE) --weights "$(WEIGHTS)" --seeds 3 --json accuracy-mvtec.json --markdown accuracy-mvtec.md

lint: setup  ## ruff, vulture, mypy and the import contracts of pyproject.toml
	ruff check . && ruff format --check . && vulture && mypy && lint-imports --no-logo

lock: setup  ## requirements.lock from pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev --no-header --no-annotate pyproject.toml -o requirements.lock

audit: setup  ## known faults of the locked dependencies (asks their public data base)
	uv tool run pip-audit --require-hashes --disable-pip --requirement requirements.lock

sbom: setup  ## sbom.json: the locked dependencies as CycloneDX
	uv tool run --from cyclonedx-bom cyclonedx-py requirements requirements.lock --output-file sbom.json

clean:  ## what stages and tests made; not .venv, not the MLflow runs
	rm -rf models reports exports data/demo data/prepared report.html .pytest_cache .mypy_cache .ruff_cache
