"""External models on Spark: rows come through Arrow into files and folders of versions, by the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sqlinfer import storage
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.cli.main import invoke
from sqlinfer.storage.reading import dataset
from sqlinfer.testing import onnx_builder

QUERY = "select id, cast(id % 3 as string) as part, predict('f', x) as y from t"
FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true}
"""


@pytest.fixture
def shop(spark_output: dict[str, Any], tmp_path: Path) -> Iterator[Path]:
    """f(x) = 2x + 1, a table t of 1,000 numbers."""
    files = {
        "sqlinfer_project.yml": "name: shop\nprofile: shop\n",
        "profiles.yml": json.dumps({"shop": {"target": "dev", "outputs": {"dev": spark_output}}}),
        "functions/f.yml": FUNCTION,
    }
    for name, text in files.items():
        put(tmp_path, name, text)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    settings = SparkSettings.parse(spark_output, tmp_path)
    with SparkSqlSession(settings) as session:
        session.execute(f"CREATE SCHEMA {settings.schema}")
        session.use_schema()
        session.execute("CREATE TABLE t USING parquet AS SELECT id, CAST(id AS DOUBLE) AS x FROM range(1000)")
        yield tmp_path
        for schema in (settings.schema, settings.side_schema):
            session.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def put(shop: Path, name: str, text: str) -> None:
    (shop / name).parent.mkdir(exist_ok=True)
    (shop / name).write_text(text)


def external(shop: Path, location: str, more: str = "", query: str = QUERY) -> None:
    config = f"{{{{ config(materialized='external', location='{location}'{more}) }}}}"
    put(shop, "models/m.sql", f"{config} {query}")


def run(shop: Path, *words: str, code: int = 0) -> None:
    assert invoke([*words, "--project-dir", str(shop)]) == code


def test_a_file_is_written_as_a_whole(shop: Path) -> None:
    external(shop, "out/m.parquet")
    run(shop, "run")
    found = pq.read_table(shop / "out/m.parquet").sort_by("id")
    assert found.column_names == ["id", "part", "y"]
    assert found["y"].to_pylist() == [2.0 * number + 1 for number in range(1_000)]


def test_a_folder_has_versions_whose_partitions_are_replaced(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ", partition_by='part', incremental_strategy='insert_overwrite'"
    external(shop, f"{shop}/out/", more)
    run(shop, "run")
    external(shop, f"{shop}/out/", more, f"{QUERY.replace('as y', '+ 100 as y')} where id % 3 = 1")
    run(shop, "run")
    found = dataset(f"{shop}/out/", storage.NOWHERE).to_table().sort_by("id")
    assert found["y"].to_pylist() == [2.0 * n + 1 + 100 * (n % 3 == 1) for n in range(1_000)]
    assert len(storage.at(shop / "out").folders()) == 2
    put(shop, "models/n.sql", "select count(*) as n from {{ ref('m') }}")
    capsys.readouterr()
    run(shop, "run", "--select", "n", code=1)
    said = " ".join("".join(capsys.readouterr()).split())
    assert "'m' is an external model, and spark does not read its files" in said
    assert "models/n.sql:1" in said


def test_compile_says_how_a_table_is_replaced(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(shop, "models/m.sql", QUERY)
    run(shop, "compile", "m")
    said = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert "replaced as a whole by a view that shows the new version" in said
