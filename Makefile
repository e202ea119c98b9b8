# `make help` lists the targets. Everything runs in .venv, made on first use.
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-test
# What an install compiles.
KERNEL := hatch_build.py $(wildcard src/sqlinfer/inference/trees/*.[ch])
DEMO_STAMP := $(VENV)/.installed-demo
DEMO_TEXT_STAMP := $(VENV)/.installed-demo-text
# dbt pins protobuf and others below our own constraints, so it lives in an environment of its own.
# DBT=1.8 tests that minor version, in an environment of its own; without it the versions of constraints-dbt.txt.
DBT ?=
DBT_VENV := .venv-dbt$(addprefix -,$(DBT))
DBT_WANTED = $(if $(DBT),'dbt-core~=$(DBT).0',-c constraints-dbt.txt)
DBT_STAMP := $(DBT_VENV)/.installed
SOURCES_VENV := .venv-sources
SOURCES_STAMP := $(SOURCES_VENV)/.installed
# What the tests train and register models with, beyond the extras, and sqlglot's compiled form.
SOURCES_MORE := pandas sqlalchemy alembic sqlglotc
# A server of buckets to test against; botocore pins below the sources' libraries.
MOTO_VENV := .venv-moto
MOTO_STAMP := $(MOTO_VENV)/.installed
SPARK_VENV := .venv-spark
SPARK_STAMP := $(SPARK_VENV)/.installed
# The plain python3 where it is new enough, else the newest that is there.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PYTEST_ARGS ?=
# All cores, a file to a process, the slowest files first (tests/conftest.py). WORKERS=0: in this process.
WORKERS ?= logical
# Each process of Spark's tests has a JVM or several.
SPARK_WORKERS ?= 2
SPARK_ON_CLUSTER := tests/spark/test_conformance.py tests/spark/test_scoring.py
SPARK_PARALLEL = -n $(SPARK_WORKERS) --dist loadfile --no-loadscope-reorder
PARALLEL = -n $(WORKERS) --maxprocesses 16 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test test-dbt test-sources test-spark test-spark-promises lint format bench chaos chaos-spark fuzz fuzz-forests kernel attack clean reference

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "sqlinfer needs Python 3.11 or newer; none found" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt $(KERNEL) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $(STAMP) $(DEMO_STAMP) $(DEMO_TEXT_STAMP)

# The demo needs no extra: neither torch nor scikit-learn. Documents need a tokenizer.
$(DEMO_STAMP): pyproject.toml constraints.txt $(KERNEL) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $(DEMO_STAMP)

$(DEMO_TEXT_STAMP): $(DEMO_STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[text]'
	@touch $(DEMO_TEXT_STAMP)

demo: $(DEMO_STAMP) $(if $(filter documents,$(USE)),$(DEMO_TEXT_STAMP))  ## the churn job of example_project: seed, run, first rows (USE=documents: another mart; NIGHT=2)
	@SQLINFER=$(abspath $(BIN))/sqlinfer USE=$(or $(USE),churn) NIGHT=$(or $(NIGHT),1) example_project/demo.sh

test: $(STAMP)  ## the test suite on all cores (WORKERS=2 PYTEST_ARGS="-k store"; PYTEST_ARGS=--thorough: all of it)
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

$(DBT_STAMP): pyproject.toml constraints-dbt.txt | $(BIN)/python
	$(BIN)/python -m venv $(DBT_VENV)
	$(DBT_VENV)/bin/python -m pip install --quiet $(DBT_WANTED) -e '.[dbt]' dbt-postgres
	@touch $(DBT_STAMP)

test-dbt: $(STAMP) $(DBT_STAMP)  ## the tests that run the real dbt, which it installs into .venv-dbt (DBT=1.8)
	SQLINFER_REQUIRE_DBT=1 SQLINFER_DBT=$(abspath $(DBT_VENV))/bin/dbt $(BIN)/python -m pytest tests/dbt $(PARALLEL) $(PYTEST_ARGS)

# Libraries that models come from; heavy, so that they live in an environment of their own.
$(SOURCES_STAMP): pyproject.toml constraints-sources.txt | $(BIN)/python
	$(BIN)/python -m venv $(SOURCES_VENV)
	$(SOURCES_VENV)/bin/python -m pip install --quiet -c constraints-sources.txt \
		-e '.[test,sklearn,xgboost,lightgbm,catboost,huggingface,mlflow]' $(SOURCES_MORE)
	@touch $(SOURCES_STAMP)

$(MOTO_STAMP): constraints-moto.txt
	$(PYTHON) -m venv $(MOTO_VENV)
	$(MOTO_VENV)/bin/python -m pip install --quiet -c constraints-moto.txt 'moto[server]' gcp-storage-emulator
	@touch $(MOTO_STAMP)

test-sources: $(SOURCES_STAMP) $(MOTO_STAMP)  ## sources and buckets against real libraries and servers, installed into .venv-sources and .venv-moto
	SQLINFER_REQUIRE_SOURCES=1 SQLINFER_MOTO=$(abspath $(MOTO_VENV))/bin/moto_server \
		$(SOURCES_VENV)/bin/python -m pytest tests/sources $(PARALLEL) $(PYTEST_ARGS)

# PySpark wants pandas 2. Without the archive of its classes each JVM takes longer to start.
$(SPARK_STAMP): pyproject.toml constraints-spark.txt tests/spark/class_archive.py | $(BIN)/python
	$(BIN)/python -m venv $(SPARK_VENV)
	$(SPARK_VENV)/bin/python -m pip install --quiet -c constraints.txt -c constraints-spark.txt -e '.[test,spark]'
	-$(SPARK_VENV)/bin/python tests/spark/class_archive.py
	@touch $(SPARK_STAMP)

test-spark: $(SPARK_STAMP)  ## the tests of Spark, installed into .venv-spark; needs Java 17 and 6 GB of memory
	SQLINFER_REQUIRE_SPARK=1 $(SPARK_VENV)/bin/python -m pytest tests/spark -m "not chaos" --thorough $(SPARK_PARALLEL) $(PYTEST_ARGS)

# What .ci/run runs of them: first on executors that are processes of their own, then on threads of the driver.
test-spark-promises: $(SPARK_STAMP)  ## what Spark promises, without what shows it again at length
	SQLINFER_REQUIRE_SPARK=1 SQLINFER_TEST_SPARK_MASTER='local-cluster[2,1,1024]' \
		$(SPARK_VENV)/bin/python -m pytest $(SPARK_ON_CLUSTER) $(SPARK_PARALLEL) $(PYTEST_ARGS)
	SQLINFER_REQUIRE_SPARK=1 SQLINFER_KILLS=$${SQLINFER_KILLS:-1} $(SPARK_VENV)/bin/python -m pytest tests/spark \
		-m "not chaos" $(addprefix --ignore=,$(SPARK_ON_CLUSTER)) $(SPARK_PARALLEL) $(PYTEST_ARGS)

lint: $(STAMP)  ## ruff, mypy, import-linter
	$(BIN)/ruff check src tests example_project
	$(BIN)/ruff format --check src tests example_project
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## let ruff rewrite the files
	$(BIN)/ruff check --fix src tests example_project
	$(BIN)/ruff format src tests example_project

bench: $(if $(filter spark,$(BENCH)),$(SPARK_STAMP),$(STAMP))  ## W1 to W8 against peers and floors, writes docs/benchmarks.md (BENCH=forests: one of tests/benchmarks)
	OPENBLAS_NUM_THREADS=1 PYTHONPATH=src $(if $(filter spark,$(BENCH)),$(SPARK_VENV)/bin,$(BIN))/python -m tests.benchmarks$(addprefix .,$(BENCH)) $(BENCH_ARGS)

chaos: $(STAMP)  ## seeded kills of real runs (SQLINFER_KILLS=500)
	SQLINFER_KILLS=$${SQLINFER_KILLS:-500} $(BIN)/python -m pytest -m chaos $(PYTEST_ARGS)

chaos-spark: $(SPARK_STAMP)  ## drivers and executors of Spark killed at random moments, 20 of each; needs Java 17
	SQLINFER_REQUIRE_SPARK=1 SQLINFER_KILLS=$${SQLINFER_KILLS:-20} $(SPARK_VENV)/bin/python -m pytest tests/spark/test_kills.py $(PYTEST_ARGS)

fuzz: $(STAMP)  ## random queries against plain DuckDB (SQLINFER_FUZZ_EXAMPLES=20000)
	SQLINFER_FUZZ_EXAMPLES=$${SQLINFER_FUZZ_EXAMPLES:-20000} $(BIN)/python -m pytest tests/compiler/test_random_queries.py -n 2

fuzz-forests: $(STAMP)  ## random forests against ONNX Runtime, edited ones under a sanitiser (SQLINFER_FUZZ_FORESTS=500)
	SQLINFER_FUZZ_FORESTS=$${SQLINFER_FUZZ_FORESTS:-500} $(BIN)/python -m pytest tests/inference/test_forest_kernel.py \
		--timeout 7200 -k "random or edited" $(PYTEST_ARGS)

kernel: $(BIN)/python  ## compile the forest kernel again, into src, after a change of its C
	$(BIN)/python hatch_build.py

attack: $(STAMP)  ## templates, graphs, yml, rows, names, files and links against docs/security.md (SQLINFER_ATTACKS=2000)
	SQLINFER_ATTACKS=$${SQLINFER_ATTACKS:-2000} $(BIN)/python -m pytest tests/attack tests/security --thorough --timeout 3600 $(PYTEST_ARGS)

clean:  ## remove the virtual environment, caches and what the example wrote
	rm -rf $(VENV) $(DBT_VENV) $(SOURCES_VENV) $(MOTO_VENV) $(SPARK_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	rm -rf example_project/target example_project/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

reference: $(STAMP)  ## docs/reference.md and the JSON Schemas, made from the models that load yml files
	for s in functions models config project; do \
		$(BIN)/sqlinfer schema $$s > src/sqlinfer/reference/schemas/$$s.schema.json || exit 1; done
	$(BIN)/sqlinfer schema --page > docs/reference.md
