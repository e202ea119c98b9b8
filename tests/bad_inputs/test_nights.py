"""The command line, end to end: what a user gets wrong, said once with place and hint, and yesterday's table stays."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from house import FILES, FUNCTIONS, PROFILES, PROJECT, SCORES, Case, House, check

from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter
from sqlinfer.testing import onnx_builder as onnx
from sqlinfer.testing.patience import patience

MODEL = FILES["functions/score.onnx"]
YML = str(FILES[FUNCTIONS])


def scores(sql: str) -> dict[str, str]:
    return {SCORES: sql}


def artifact(content: bytes | None) -> dict[str, bytes | None]:
    return {"functions/score.onnx": content}


def function(old: str, new: str) -> dict[str, str]:
    assert old in YML
    return {FUNCTIONS: YML.replace(old, new)}


CASES = [
    Case("unknown function", "unknown function 'scor'", scores("select predict('scor', x, y) as s\nfrom customers\n"),
         f"{SCORES}:1:8", "did you mean 'score'?", "predict('scor', x, y)"),
    Case("unknown function, called directly", "scor does not exist",
         scores("select id,\n  scor(x, y) as s\nfrom customers\n"), f"{SCORES}:2:3", "did you mean 'score'?", "scor"),
    Case("too few arguments", "takes 2 arguments", scores("select predict('score', x) as s\nfrom customers\n"),
         f"{SCORES}:1:8"),
    Case("too many arguments", "takes 2 arguments", scores("select\n predict('score', x, y, id) as s\nfrom customers"),
         f"{SCORES}:2:2"),
    Case("no arguments", "takes 2 arguments", scores("select predict('score') as s from customers"), f"{SCORES}:1:8"),
    Case("unknown argument", "no argument 'z'", scores("select predict('score', x => x, z => y) as s from customers"),
         f"{SCORES}:1", "y"),
    Case("argument given twice", "'x'", scores("select predict('score', x => x, x => y) as s from customers"),
         f"{SCORES}:1"),
    Case("positional after named", "argument 'x' of score is given twice",
         scores("select predict('score', x => x, y) as s from customers"), f"{SCORES}:1:8"),
    Case("wrong type", "DATE", scores("select predict('score', x, date '2026-01-01') as s\nfrom customers"),
         f"{SCORES}:1"),
    Case("list for a number", "argument 'y' of score is double", scores("select predict('score', x, [y]) as s\nfrom customers"),
         f"{SCORES}:1:8", "never fits"),
    Case("missing column", "'tenure'", scores("select id,\n  predict('score', x, tenure) as s\nfrom customers"),
         f"{SCORES}:2", under="tenure"),
    Case("nearly a column", "'nam'", scores("select nam, predict('score', x, y) as s\nfrom customers"),
         f"{SCORES}:1:8", "did you mean 'name'?", "nam"),
    Case("missing table", "custmers", scores("select predict('score', x, y) as s\nfrom custmers"), f"{SCORES}:2:6"),
    Case("missing table without predict", "custmers", scores("select 1 as one\nfrom custmers"), f"{SCORES}:2:6",
         under="custmers"),
    Case("by name, column missing", "unknown column 'y'",
         scores("select predict('score', t.*) as s from (select x from customers) t"), SCORES),
    Case("artifact missing", "score.onnx does not exist", artifact(None), f"{FUNCTIONS}:2"),
    Case("artifact truncated", "is not an ONNX model, or it is truncated", artifact(MODEL[: len(MODEL) // 2]),
         f"{FUNCTIONS}:2", "check that the whole file was copied"),
    Case("artifact is no ONNX", "is not an ONNX model", artifact(b"hello, world, this is text"), f"{FUNCTIONS}:2"),
    Case("artifact is empty", "is empty", artifact(b""), f"{FUNCTIONS}:2"),
    Case("artifact has other inputs", "'y'", artifact(onnx.linear([1.0, 2.0], inputs=["x", "z"], packed=False)),
         f"{FUNCTIONS}:2"),
    Case("artifact wants three features", "3", artifact(onnx.linear([1.0, 2.0, 3.0])), f"{FUNCTIONS}:2"),
    Case("artifact wants text", "string", artifact(onnx.string_lookup(name="x")), f"{FUNCTIONS}:2"),
    Case("inputs name no input of the graph", "'features'",
         function("score.onnx}", "score.onnx, inputs: {features: [x, y]}}"), f"{FUNCTIONS}:2"),
    Case("inputs name an unknown argument", "unknown argument 'w'",
         function("score.onnx}", "score.onnx, inputs: {x: [w], y: [y]}}"), f"{FUNCTIONS}:3", code=2),
    Case("output that the graph has not", "the graph has no output 'probability'",
         function("returns: {data_type: double", "returns: {data_type: double, output: probability"),
         f"{FUNCTIONS}:7:5", "known: score"),
    Case("unknown key in yml", "unknown key 'colums'", {"models/p.yml": "models:\n  - name: scores\n    colums: []\n"},
         "models/p.yml:3:5", "did you mean 'columns'?", "colums", code=2),
    Case("unknown key of the project", "unknown key 'modles'", {PROJECT: f"{FILES[PROJECT]}modles: {{}}\n"},
         f"{PROJECT}:4:1", "did you mean 'models'?", "modles", code=2),
    Case("duplicate model name", "duplicate name 'scores'", {"models/old/scores.sql": "select 1 as one"},
         code=2),
    Case("duplicate function name", "duplicate function 'score'", {"functions/again.yml": YML}, code=2),
    Case("two models, one table", "both write", {"models/b.sql": "{{ config(alias='scores') }} select 1 as one"}, code=2),
    Case("cyclic refs", "cycle", {"models/a.sql": "select * from {{ ref('b') }}",
                                  "models/b.sql": "select * from {{ ref('a') }}"}, code=2),
    Case("a model of itself", "cycle", scores("select * from {{ ref('scores') }}"), f"{SCORES}:1", code=2),
    Case("undefined var", "var 'leest' is not defined", scores("select 1 as a\nwhere 1 > {{ var('leest') }}"),
         f"{SCORES}:2", "did you mean 'least'?", "leest", code=2),
    Case("SQL that does not parse", "does not parse", scores("select id,\n  predict('score', x y) as s\nfrom customers"),
         f"{SCORES}:2", under="y"),
    Case("SQL that ends early", "does not parse", scores("select predict('score', x, y as s\nfrom customers"),
         f"{SCORES}:2:1", under="from"),
    Case("plain SQL that does not parse", "syntax error", scores("select id\nfrm customers x"), f"{SCORES}:2:"),
    Case("two statements", "holds several statements", scores("select predict('score', x, y) as s from customers; select 2"),
         SCORES),
    Case("a statement that is no SELECT", "one SELECT",
         scores("create table t as select predict('score', x, y) as s from customers"), f"{SCORES}:1:1"),
    Case("an empty model", "the SQL is empty", scores("-- nothing yet\n{# here #}\n".replace("-- nothing yet", "")), SCORES),
    Case("predict in a lambda", "lambda", scores("select list_transform([x], v -> predict('score', v, v)) as s\n"
                                                "from customers"), f"{SCORES}:1"),
    Case("a view that predicts", "cannot be a view",
         scores("{{ config(materialized='view') }}select predict('score', x, y) as s from customers")),
    Case("profile missing", "profile 'shp' is not in", {PROJECT: "name: shop\nprofile: shp\n"}, f"{PROJECT}:2:1",
         "did you mean 'shop'?", code=2),
    Case("profiles.yml missing", "no profiles.yml found", {PROFILES: None}, hint="looked for", code=2),
    Case("target missing", "target 'prod' is not in profile 'shop'", {}, hint="known: dev", code=2,
         args=("run", "--target", "prod")),
    Case("profile missing on the command line", "profile 'lab' is not in", {}, hint="known: shop", code=2,
         args=("run", "--profile", "lab")),
    Case("unknown warehouse", "type 'oracel'", {PROFILES: "shop:\n  outputs:\n    default:\n      type: oracel\n"},
         f"{PROFILES}:4:", code=2),
    Case("warehouse without an adapter", "unknown warehouse type 'trino'",
         {PROFILES: "shop:\n  outputs:\n    default: {type: trino}\n"}, code=2),
    Case("unknown key of the profile", "unknown key 'pth'",
         {PROFILES: "shop:\n  outputs:\n    default: {type: duckdb, pth: wh.duckdb}\n"}, hint="did you mean 'path'?",
         code=2),
    Case("the warehouse is no database", "DuckDB", {}, prepare=lambda h: (h.root / "wh.duckdb").write_bytes(b"x" * 9000)),
    Case("the warehouse is a folder", "DuckDB", {PROFILES: "shop:\n  outputs:\n    default: {type: duckdb, path: models}\n"}),
    Case("an unknown setting of DuckDB", "no_such_setting",
         {PROFILES: "shop:\n  outputs:\n    default: {type: duckdb, path: wh.duckdb, settings: {no_such_setting: 1}}\n"}),
    Case("a device that is not there", "cuda", {}, args=("run", "--device", "cuda:7")),
    Case("a device that does not exist", "unknown device 'tpu'", {}, args=("run", "--device", "tpu"), hint="cuda:N"),
    Case("a selector that finds nothing", "scors", {}, args=("run", "--select", "scors"), code=0),
    Case("a selector of an unknown method", "colour", {}, args=("run", "--select", "colour:red"), code=2),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_bad_night_says_what_is_wrong_and_publishes_nothing(case: Case, house: Callable[..., House]) -> None:
    check(case, house(case.files))


def test_an_empty_table_publishes_an_empty_table_with_the_right_columns(house: Callable[..., House]) -> None:
    shop = house()
    shop.sql("delete from customers")
    done = shop.sqlinfer("run")
    assert done.code == 0, done.text
    assert "0 rows" in done.out
    assert shop.sql("select * from scores") == []
    assert [row[:2] for row in shop.sql("describe scores")] == [("id", "INTEGER"), ("s", "DOUBLE")]


def test_a_filter_that_leaves_nothing_publishes_an_empty_table(house: Callable[..., House]) -> None:
    shop = house(scores("select name, predict('score', x, y) as s from customers where id < 0"))
    assert shop.sqlinfer("run").code == 0
    assert [row[:2] for row in shop.sql("describe scores")] == [("name", "VARCHAR"), ("s", "DOUBLE")]


@contextmanager
def holder(shop: House) -> Iterator[int]:
    """Another process that has the warehouse open for writing."""
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(shop.root / "wh.duckdb")], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.kill()


def test_a_locked_database_names_its_holder(house: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DuckDBAdapter.__init__, "__defaults__", (0.2, *DuckDBAdapter.__init__.__defaults__[1:]))
    shop = house()
    before = shop.published()
    with holder(shop) as pid:
        began = time.monotonic()
        done = shop.sqlinfer("run")
        assert time.monotonic() - began < patience(25)
    assert done.code == 1
    assert f"is held by process {pid}" in done.text
    assert "hint: close the program" in done.text
    assert shop.published() == before
    assert shop.sqlinfer("run").code == 0
