"""Scored rows that are written once: straight into the version that is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sqlinfer import api
from sqlinfer.adapters.spark import materialize
from sqlinfer.adapters.spark.adapter import SparkAdapter
from sqlinfer.adapters.spark.adoption import _projected
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.relation import Relation
from sqlinfer.testing import onnx_builder

FUNCTION = """functions:
  - name: f
    model: {{path: f.onnx}}
    arguments: [{{name: x, data_type: double}}]
    returns: {{data_type: double}}
    config: {{reuse: {reuse}, max_error_rate: 1}}
"""
TESTED = "models: [{name: m, columns: [{name: key, data_tests: [unique, not_null]}]}]\n"


def project(folder: Path, output: dict[str, Any], reuse: str) -> None:
    files = {
        "sqlinfer_project.yml": "name: shop\nprofile: shop\n",
        "profiles.yml": json.dumps({"shop": {"target": "dev", "outputs": {"dev": output}}}),
        "functions/f.yml": FUNCTION.format(reuse=reuse),
        "models/m.sql": f"select id as key, g, predict('f', x) as y from {output['schema']}.t",
        "models/m.yml": TESTED,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=folder / "functions" / "f.onnx")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("reuse", ["true", "false"])
def test_rows_with_errors_and_tests_are_written_once(
    adapter: SparkAdapter, spark_output: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reuse: str
) -> None:
    project(tmp_path, spark_output, reuse)
    with SparkSqlSession(adapter.settings) as session:
        session.execute("create table t using parquet as select id, 7 as g, if(id = 3, 'three', string(id)) as x "
                        "from range(8)")  # fmt: skip
    monkeypatch.setattr(materialize, "fill", lambda *_: pytest.fail("the rows were copied"))
    (node,) = [one for one in api.build(api.RunOptions(tmp_path)).results if one.unique_id == "model.shop.m"]
    assert (node.status, node.rows, node.counts.errors) == ("success", 8, 1)
    shown = adapter.query("select * from m order by key").to_pylist()
    assert shown == [{"key": i, "g": 7, "y": None if i == 3 else 2.0 * i + 1} for i in range(8)]
    (record,) = adapter.query("select key_columns from sqlinfer_errors").to_pylist()
    assert json.loads(record["key_columns"])["key"] == 3


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("select s.id as k, s.p as y from w.scored as s", (("k", "id"), ("y", "p"))),
        ("select s.id, s.p + 1 as y from w.scored as s", ()),
        ("select s.id from w.scored as s where s.p > 1", ()),
        ("select s.id from w.scored as s limit 3", ()),
        ("select distinct s.id from w.scored as s", ()),
        ("select s.id, t.x from w.scored as s join t using (id)", ()),
        ("select s.id as a, s.p as A from w.scored as s", ()),
        ("select * from w.scored", ()),
        ("select s.id from w.other as s", ()),
        ("select id from w.scored union all select id from w.scored", ()),
    ],
)
def test_only_columns_of_the_scored_relation_are_adopted(sql: str, columns: tuple[tuple[str, str], ...]) -> None:
    assert _projected(sql, Relation("scored", "w")) == columns
