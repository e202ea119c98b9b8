"""The command line, end to end: what a user gets wrong, said once with place and hint, and yesterday's table stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from house import FILES, FUNCTIONS, PROFILES, PROJECT, SCORES, Case, House, check

from sqlinfer.testing import onnx_builder as onnx

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
    Case("unknown function, called directly", "scor", scores("select id,\n  scor(x, y) as s\nfrom customers\n"),
         f"{SCORES}:2", under="scor"),
    Case("too few arguments", "takes 2 arguments", scores("select predict('score', x) as s\nfrom customers\n"),
         f"{SCORES}:1:8"),
    Case("too many arguments", "takes 2 arguments", scores("select\n predict('score', x, y, id) as s\nfrom customers"),
         f"{SCORES}:2:2"),
    Case("no arguments", "takes 2 arguments", scores("select predict('score') as s from customers"), f"{SCORES}:1:8"),
    Case("unknown argument", "no argument 'z'", scores("select predict('score', x => x, z => y) as s from customers"),
         f"{SCORES}:1", "y"),
    Case("argument given twice", "'x'", scores("select predict('score', x => x, x => y) as s from customers"),
         f"{SCORES}:1"),
    Case("positional after named", "positional", scores("select predict('score', x => x, y) as s from customers"),
         f"{SCORES}:1"),
    Case("wrong type", "DATE", scores("select predict('score', x, date '2026-01-01') as s\nfrom customers"),
         f"{SCORES}:1"),
    Case("list for a number", "[]", scores("select predict('score', x, [y]) as s\nfrom customers"), f"{SCORES}:1"),
    Case("missing column", "'tenure'", scores("select id,\n  predict('score', x, tenure) as s\nfrom customers"),
         f"{SCORES}:2", under="tenure"),
    Case("nearly a column", "'nam'", scores("select nam, predict('score', x, y) as s\nfrom customers"),
         f"{SCORES}:1:8", "did you mean 'name'?", "nam"),
    Case("missing table", "custmers", scores("select predict('score', x, y) as s\nfrom custmers"), f"{SCORES}:2:6"),
    Case("missing table without predict", "custmers", scores("select 1 as one\nfrom custmers"), f"{SCORES}:2:6"),
    Case("by name, column missing", "'y'", scores("select predict('score', t.*) as s from (select x from customers) t"),
         f"{SCORES}:1"),
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
    Case("output that the graph has not", "'probability'",
         function("{data_type: double}\n", "{data_type: double, output: probability}\n").copy(), f"{FUNCTIONS}:2"),
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
         f"{SCORES}:1"),
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
    Case("the warehouse's folder is missing", "nowhere",
         {PROFILES: "shop:\n  outputs:\n    default: {type: duckdb, path: nowhere/wh.duckdb}\n"}),
    Case("an unknown setting of DuckDB", "no_such_setting",
         {PROFILES: "shop:\n  outputs:\n    default: {type: duckdb, path: wh.duckdb, settings: {no_such_setting: 1}}\n"}),
    Case("a device that is not there", "cuda", {}, args=("run", "--device", "cuda:7")),
    Case("a device that does not exist", "tpu", {}, args=("run", "--device", "tpu"), code=2),
    Case("a selector that finds nothing", "scors", {}, args=("run", "--select", "scors"), code=0),
    Case("a selector of an unknown method", "colour", {}, args=("run", "--select", "colour:red"), code=2),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_bad_night_says_what_is_wrong_and_publishes_nothing(case: Case, house: Callable[..., House]) -> None:
    check(case, house(case.files))
