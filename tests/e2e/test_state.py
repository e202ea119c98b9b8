"""``--state``: what changed since an earlier run, what failed in it, and where it has what is not built here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Shop

PROFILES = """shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: w.duckdb, schema: dev}
    prod: {type: duckdb, path: w.duckdb, schema: prod}
"""


@pytest.fixture
def chain(shop: Shop) -> Shop:
    """raw → scores → above, built in production; its artifacts are kept in the folder prod."""
    shop.put("profiles.yml", PROFILES)
    shop.put("seeds/raw.csv", "id,x\n1,1.0\n2,2.0\n")
    shop.model("select id, f(x) as s from {{ ref('raw') }}", name="scores")
    shop.model("select * from {{ ref('scores') }}", name="above")
    shop.put("macros/m.sql", "{% macro one() %}1{% endmacro %}\n{% macro two() %}{{ one() }}+1{% endmacro %}\n")
    shop.model("select {{ two() }} as n", name="counted")
    code, out = shop("build", "--target", "prod")
    assert code == 0, out
    shutil.copytree(shop.root / "target", shop.root / "prod", ignore=shutil.ignore_patterns("*.duckdb*"))
    return shop


def listed(shop: Shop, word: str) -> list[str]:
    code, out = shop("ls", "--quiet", "--select", word, "--state", str(shop.root / "prod"), "--resource-type", "model",
                     "--resource-type", "seed", "--output", "name")  # fmt: skip
    assert code == 0, out
    return sorted(line for line in out.splitlines() if line and " " not in line)


def test_nothing_is_modified_where_nothing_changed(chain: Shop) -> None:
    assert listed(chain, "state:modified") == []
    assert listed(chain, "state:unmodified") == ["above", "counted", "raw", "scores"]


@pytest.mark.parametrize(
    ("path", "text", "aspect", "changed"),
    [
        ("models/scores.sql", "select id, f(x + 1) as s from {{ ref('raw') }}", "body", "scores"),
        ("seeds/raw.csv", "id,x\n1,9.0\n", "body", "raw"),
        ("models/above.yml", "models: [{name: above, config: {materialized: view}}]", "configs", "above"),
        ("models/above.yml", "models: [{name: above, config: {alias: top}}]", "relation", "above"),
        ("macros/m.sql", "{% macro one() %}2{% endmacro %}\n{% macro two() %}{{ one() }}+1{% endmacro %}\n", "macros",
         "counted"),
    ],
)  # fmt: skip
def test_a_change_is_modified_in_its_own_aspect_only(
    chain: Shop, path: str, text: str, aspect: str, changed: str
) -> None:
    chain.put(path, text)
    assert listed(chain, "state:modified") == [changed]
    assert listed(chain, f"state:modified.{aspect}") == [changed]
    others = {"body", "configs", "relation", "macros", "functions", "contract"} - {aspect}
    assert [listed(chain, f"state:modified.{other}") for other in sorted(others)] == [[]] * 5


def test_a_new_model_file_modifies_what_calls_the_function(chain: Shop) -> None:
    from sqlinfer.testing.onnx_builder import linear

    linear([7.0], 1.0, element_type="double", path=chain.root / "functions/f.onnx")
    assert listed(chain, "state:modified.functions") == ["scores"]
    assert listed(chain, "state:modified+") == ["above", "scores"]


def test_a_new_node_is_new_and_modified_and_an_old_one_old(chain: Shop) -> None:
    chain.model("select 1 as one", name="fresh")
    assert listed(chain, "state:new") == listed(chain, "state:modified") == ["fresh"]
    assert listed(chain, "state:old") == ["above", "counted", "raw", "scores"]


def test_result_takes_the_statuses_of_the_earlier_run(chain: Shop) -> None:
    results = chain.root / "prod/run_results.json"
    content = json.loads(results.read_text())
    next(one for one in content["results"] if one["unique_id"].endswith(".scores"))["status"] = "error"
    results.write_text(json.dumps(content))
    assert listed(chain, "result:error") == ["scores"]
    assert listed(chain, "result:error+") == ["above", "scores"]
    assert listed(chain, "result:success,state:unmodified") == ["above", "counted", "raw"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--select", "state:modified"], "compares with an earlier run"),
        (["--select", "state:modifed", "--state", "prod"], "did you mean 'modified'"),
        (["--select", "state:new", "--state", "nowhere"], "there is no manifest.json in"),
        (["--select", "result:eror", "--state", "prod"], "did you mean 'error'"),
        (["--selector", "nightly"], "no selector is named 'nightly'"),
        (["--selector", "nightly", "--select", "above"], "--selector stands alone"),
    ],
)
def test_what_cannot_be_compared_is_an_error_of_usage(chain: Shop, words: list[str], said: str) -> None:
    code, out = chain("ls", *(str(chain.root / word) if word in ("prod", "nowhere") else word for word in words))
    assert code == 2
    assert said in out


def test_state_of_a_damaged_manifest_is_an_error(chain: Shop) -> None:
    (chain.root / "prod/manifest.json").write_text("{")
    code, out = chain("run", "--select", "state:modified", "--state", str(chain.root / "prod"))
    assert code == 2
    assert "cannot be read" in out


def test_defer_reads_what_the_target_lacks_from_the_earlier_run(chain: Shop) -> None:
    state = ["--state", str(chain.root / "prod")]
    code, out = chain("run", "--select", "above", *state)
    assert code == 1, out
    code, out = chain("run", "--select", "above", "--defer", *state)
    assert code == 0, out
    assert chain.db("select * from dev.above order by id") == chain.db("select * from prod.scores order by id")


def test_favor_state_reads_the_earlier_run_where_the_target_has_it_too(chain: Shop) -> None:
    chain.db("create schema if not exists dev; create table dev.scores as select 99 as id, 0.0 as s")
    state = ["--state", str(chain.root / "prod"), "--defer"]
    assert chain("run", "--select", "above", *state)[0] == 0
    assert chain.db("select id from dev.above") == [(99,)]
    assert chain("run", "--select", "above", *state, "--favor-state")[0] == 0
    assert chain.db("select id from dev.above order by id") == [(1,), (2,)]


def test_a_relationship_is_deferred_too(chain: Shop) -> None:
    chain.model(
        "select * from {{ ref('scores') }}",
        "    columns:\n      - name: id\n        data_tests:\n"
        "          - relationships: {arguments: {to: ref('raw'), field: id}}\n",
        name="above",
    )
    code, out = chain("build", "--select", "above", "--defer", "--state", str(chain.root / "prod"))
    assert code == 0, out


def test_defer_without_a_state_is_an_error_of_usage(chain: Shop) -> None:
    code, out = chain("run", "--defer")
    assert code == 2
    assert "--state PATH" in out


def test_the_environment_names_the_state(chain: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBT_STATE", str(chain.root / "prod"))
    assert chain("ls", "--select", "state:modified")[0] == 0
