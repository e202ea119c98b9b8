"""Manifests of several dbt versions → projects; layers and flags of a mixed build. No dbt is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sqlinfer.dbt import flags, layers
from sqlinfer.dbt.home import find_home, read_home
from sqlinfer.dbt.manifest import read_manifest
from sqlinfer.dbt.project import check_compiled, load_project
from sqlinfer.dbt.tests import tests_of as data_tests_of
from sqlinfer.errors import CompileError, ProjectError, UsageError
from sqlinfer.project import Profile

HERE = Path(__file__).parent / "manifests"
PROFILE = Profile("shop", "dev", "duckdb", {"path": "shop.duckdb"})


def model(name: str, *parents: str, materialized: str = "table", **more: object) -> dict:
    return {
        "unique_id": f"model.shop.{name}", "name": name, "resource_type": "model", "package_name": "shop",
        "fqn": ["shop", name], "original_file_path": f"models/{name}.sql", "schema": "main", "database": "shop",
        "config": {"materialized": materialized, **more}, "depends_on": {"nodes": [f"model.shop.{p}" for p in parents]},
    }  # fmt: skip


def generic(name: str, *parents: str, kind: str = "not_null", namespace: str | None = None, **more: object) -> dict:
    return {
        "unique_id": f"test.shop.{name}", "name": name, "resource_type": "test", "fqn": ["shop", name],
        "attached_node": f"model.shop.{parents[-1]}", "column_name": "p", "config": {"severity": "ERROR", **more},
        "test_metadata": {"name": kind, "namespace": namespace, "kwargs": {"column_name": "p", "model": "{{ x }}"}},
        "depends_on": {"nodes": [f"model.shop.{p}" for p in parents]},
    }  # fmt: skip


def written(tmp_path: Path, *nodes: dict, unit_tests: dict | None = None) -> Path:
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    path = tmp_path / "manifest.json"
    schema = "https://schemas.getdbt.com/dbt/manifest/v12.json"
    content = {
        "metadata": {"dbt_schema_version": schema}, "nodes": {node["unique_id"]: node for node in nodes},
        "unit_tests": unit_tests or {},
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("version", ["1.8", "1.11", "2.0"])
def test_manifests_of_every_dbt_are_read_alike(version, tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    path = tmp_path / "manifest.json"
    path.write_text((HERE / f"dbt_{version}.json").read_text())
    project, _ = load_project(read_home(tmp_path, None, {}), PROFILE, path, fresh=True)
    node = project.nodes["model.shop.churn_scores"]
    assert node.relation.sql() == '"shop"."main"."churn_scores"'
    assert node.config.materialized == "incremental"
    assert node.config.unique_key == ("customer_id",)
    assert node.compiled is not None
    assert "predict('churn_score'" in node.compiled
    assert {test.kind: test.column for test in node.tests} == {
        "unique": "customer_id", "accepted_range": "churn_probability"
    }  # fmt: skip
    assert node.columns[0].description == "The customer."


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"incremental_strategy": "microbatch"}, "incremental_strategy 'microbatch' is not one of"),
        ({"incremental_strategy": "merge"}, "merge needs a unique_key"),
    ],
)
def test_a_strategy_that_cannot_be_done(config, message, tmp_path):
    path = written(tmp_path, model("scores", materialized="prediction", **config))
    with pytest.raises(ProjectError, match=message):
        load_project(read_home(tmp_path, None, {}), PROFILE, path, fresh=True)


def test_own_settings_stand_under_meta_or_beside(tmp_path):
    nodes = (
        model("a", materialized="prediction", meta={"sqlinfer": {"max_error_rate": 0.5, "lineage": True}}),
        model("b", materialized="prediction", max_error_rate=0.25, on_missing="keep"),
    )
    path = written(tmp_path, *nodes)
    project, _ = load_project(read_home(tmp_path, None, {}), PROFILE, path, fresh=True)
    first, second = (project.nodes[f"model.shop.{name}"].config for name in "ab")
    assert (first.max_error_rate, first.lineage) == (0.5, True)
    assert (second.max_error_rate, second.on_missing) == (0.25, "keep")


def test_a_node_without_compiled_sql_is_named(tmp_path):
    path = written(tmp_path, model("a", materialized="prediction"))
    project, _ = load_project(read_home(tmp_path, None, {}), PROFILE, path, fresh=True)
    with pytest.raises(CompileError, match="no compiled SQL of 'a'"):
        check_compiled(project.nodes["model.shop.a"], project)


@pytest.mark.parametrize(
    ("test", "taken"),
    [
        (generic("t", "a"), True),
        (generic("t", "a", kind="prediction_in_range", namespace="sqlinfer"), True),
        (generic("t", "a", kind="prediction_fresh", namespace="sqlinfer"), False),
        (generic("t", "a", kind="not_null", namespace="other"), False),
        (generic("t", "a", store_failures=True), True),
        (generic("t", "a", fail_calc="sum(n)"), False),
        (generic("t", "a", kind="unique", fail_calc="sum(n_records)"), True),
        (generic("t", "a") | {"depends_on": {"macros": ["macro.dbt.test_not_null"]}}, True),
        (generic("t", "a") | {"depends_on": {"macros": ["macro.shop.test_not_null"]}}, False),
        (generic("t", "a", where="p > {{ var('x') }}"), False),
        (generic("t", "a", kind="relationships"), False),
    ],
)
def test_tests_that_run_on_staged_rows(test, taken, tmp_path):
    manifest = read_manifest(written(tmp_path, model("a", materialized="prediction"), test))
    assert bool(data_tests_of(manifest, "model.shop.a")) is taken


def test_layers_alternate_between_dbt_and_predictions(tmp_path):
    nodes = [
        model("raw"), model("s1", "raw", materialized="prediction"), model("mid", "s1"), model("side", "raw"),
        model("s2", "mid", "side", materialized="prediction"), model("mart", "s2"),
        generic("t_raw", "raw"), generic("t_s1", "s1"), generic("t_custom", "s1", kind="custom"),
    ]  # fmt: skip
    unit = {"unit_test.shop.u": {"depends_on": {"nodes": ["model.shop.s1"]}, "fqn": ["shop", "u"]}}
    manifest = read_manifest(written(tmp_path, *nodes, unit_tests=unit))
    plan = layers.plan(manifest, [node["unique_id"] for node in nodes] + ["unit_test.shop.u"])
    names = [[[key.split(".")[2] for key in part] for part in (layer.sql, layer.predictions)] for layer in plan.layers]
    assert names == [[["raw", "side", "t_raw"], ["s1"]], [["mid", "t_custom"], ["s2"]], [["mart"], []]]
    assert plan.audited == {"test.shop.t_s1"}
    assert plan.left_out == ("unit_test.shop.u",)


def test_a_test_of_what_is_built_later_waits_for_it(tmp_path):
    """Staged rows are compared with what is there already, never with what the node itself goes into."""
    to = {"test_metadata": {"name": "relationships", "namespace": None, "kwargs": {"to": "x", "field": "id"}}}
    nodes = [
        model("raw"), model("s", "raw", materialized="prediction"), model("mart", "s"),
        model("twin", "raw", materialized="prediction"),
        *(generic(f"t_{other}", other, "s", kind="relationships") | to for other in ("raw", "mart", "twin")),
    ]  # fmt: skip
    manifest = read_manifest(written(tmp_path, *nodes))
    plan = layers.plan(manifest, [node["unique_id"] for node in nodes])
    assert plan.audited == {"test.shop.t_raw"}
    assert plan.layers[1].sql == ("model.shop.mart", "test.shop.t_mart", "test.shop.t_twin")


def test_predictions_that_are_not_selected_make_no_layers(tmp_path):
    manifest = read_manifest(written(tmp_path, model("s", materialized="prediction"), model("mart", "s")))
    assert len(layers.plan(manifest, ["model.shop.mart"]).layers) == 1


def test_a_failed_test_blocks_what_is_below_all_that_it_tests(tmp_path):
    nodes = [model("a"), model("b"), model("c", "a"), model("d", "a", "b"), generic("t", "a", "b"), generic("u", "a")]
    manifest = read_manifest(written(tmp_path, *nodes))
    ids = ["model.shop.c", "model.shop.d"]
    assert set(layers.blocked(manifest, ["test.shop.t"], ids)) == {"model.shop.d"}
    assert set(layers.blocked(manifest, ["test.shop.u"], ids)) == {"model.shop.c", "model.shop.d"}
    assert set(layers.blocked(manifest, ["model.shop.b"], ids)) == {"model.shop.d"}


def test_a_graph_of_ten_thousand_levels_is_layered(tmp_path):
    nodes = [model("m0")] + [model(f"m{i}", f"m{i - 1}") for i in range(1, 10_000)]
    manifest = read_manifest(written(tmp_path, *nodes))
    assert len(layers.plan(manifest, ["model.shop.m9999"]).layers) == 1


def test_flags_are_sorted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--select", "a", "b+", "--vars", "{x: 1}", "--threads=2", "-f", "--store-failures", "--device", "cpu",
             "--state", "prod", "-x"]  # fmt: skip
    found = flags.split(words)
    assert found.selection == ("--select", "a", "b+")
    assert found.connection == ("--vars", "{x: 1}")
    assert found.compiling == ("--threads", "2", "-f")
    assert found.rest == ("--store-failures", "-x")
    assert found.state == ("--state", str(tmp_path / "prod"))
    options = found.options(tmp_path)
    assert (options.threads, options.full_refresh, options.fail_fast, options.device) == (2, True, True, "cpu")


def test_flags_that_cannot_be_honoured():
    with pytest.raises(UsageError, match="does not take --target-path"):
        flags.split(["--target-path=x"])


def test_the_dbt_project_is_found_from_below(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "models" / "marts").mkdir(parents=True)
    assert find_home(tmp_path / "models" / "marts") == tmp_path


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no dbt_project.yml"), ("[]", "no 'name'"), ("a: [", "while|expected|YAML")]
)
def test_a_dbt_project_file_that_is_none(text, message, tmp_path):
    if text is not None:
        (tmp_path / "dbt_project.yml").write_text(text)
    with pytest.raises(ProjectError, match=message):
        read_home(tmp_path, None, {})


def test_functions_lie_in_ml_or_where_vars_say(tmp_path):
    (tmp_path / "functions").mkdir()
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    assert read_home(tmp_path, None, {}).function_folders == (tmp_path / "functions",)
    (tmp_path / "ml").mkdir()
    assert read_home(tmp_path, None, {}).function_folders == (tmp_path / "ml",)
    (tmp_path / "dbt_project.yml").write_text("name: shop\nvars: {sqlinfer: {function-paths: [a, b]}}\n")
    assert read_home(tmp_path, None, {}).function_folders == (tmp_path / "a", tmp_path / "b")
