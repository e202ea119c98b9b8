"""Columns without an alias in published tables, in the nodes that read them, and from Python."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import sqlinfer
from sqlinfer.cli.main import invoke
from sqlinfer.testing.onnx_builder import linear

FUNCTION = """
functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: %s}
"""
MODELS = {
    "scores": "select id, f(x), round(f(x), 1), F( X ) from {{ source('raw', 't') }}",
    "reads": """select "round(f(x), 1)" + 1, "f(X)_1" from {{ ref('scores') }}""",
    "seen": """{{ config(materialized='view') }} select "f(x)" + 1 from {{ ref('scores') }}""",
}


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_tables_have_the_names_of_duckdb(tmp_path: Path, reuse: str) -> None:
    (tmp_path / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "f.yml").write_text(FUNCTION % reuse)
    linear([2.0], 1.0, element_type="double", path=tmp_path / "functions" / "f.onnx")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "s.yml").write_text("sources: [{name: raw, schema: main, tables: [{name: t}]}]\n")
    for name, sql in MODELS.items():
        (tmp_path / "models" / f"{name}.sql").write_text(sql)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("create table t as select i as id, i::double as x from range(3) r(i)")
    assert invoke(["run", "--project-dir", str(tmp_path)]) == 0
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        found = {name: [row[0] for row in connection.execute(f"describe {name}").fetchall()] for name in MODELS}
        rows = connection.execute("from reads order by all").fetchall()
    assert found == {
        "scores": ["id", "f(x)", "round(f(x), 1)", "f(X)_1"],
        "reads": ['("round(f(x), 1)" + 1)', "f(X)_1"],
        "seen": ['("f(x)" + 1)'],
    }
    assert rows == [(2.0, 1.0), (4.0, 3.0), (6.0, 5.0)]
    assert sqlinfer.connect(tmp_path).sql("select f(x), f(x) from t").column_names == ["f(x)", "f(x)"]
