"""A run asks the catalog for the schema of ours once. What others left there before is seen, what others do later is
told by an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.adapter import SparkAdapter
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.cli.main import invoke
from sqlinfer.errors import AdapterError
from sqlinfer.relation import side_name
from sqlinfer.testing import onnx_builder

FUNCTION = """functions:
  - name: {name}
    model: {{path: f.onnx}}
    arguments: [{{name: x, data_type: double}}]
    returns: {{data_type: double}}
    config: {{reuse: {reuse}}}
"""
MODELS = {"stored": "true", "streamed": "false"}
ASKS = ("SHOW ", "DESCRIBE ", "USE ")
MOST = {"stored": 24, "streamed": 24}
"""Questions to the catalog of a night with nothing new."""


@pytest.fixture
def shop(spark_output: dict[str, Any], tmp_path: Path) -> Iterator[SparkSettings]:
    """f(x) = 2x + 1 with a store and without, over a table of ten numbers."""
    files = {
        "sqlinfer_project.yml": "name: shop\nprofile: shop\n",
        "profiles.yml": json.dumps({"shop": {"target": "dev", "outputs": {"dev": spark_output}}}),
    }
    for model, reuse in MODELS.items():
        files[f"functions/{model}.yml"] = FUNCTION.format(name=f"f_{model}", reuse=reuse)
        files[f"models/{model}.sql"] = f"select id, predict('f_{model}', x) as y from t"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    settings = SparkSettings.parse(spark_output, tmp_path)
    with SparkSqlSession(settings) as session:
        session.execute(f"CREATE SCHEMA {settings.schema}")
        session.use_schema()
        session.execute("CREATE TABLE t USING parquet AS SELECT id, CAST(id AS DOUBLE) AS x FROM range(10)")
        yield settings
        for schema in (settings.schema, settings.side_schema):
            session.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def night(folder: Path, model: str) -> None:
    assert invoke(["run", "--select", model, "--project-dir", str(folder)]) == 0


def ours(settings: SparkSettings) -> set[str]:
    with SparkSqlSession(settings) as session:
        return {row[1] for row in session.rows(f"SHOW TABLES IN {settings.side_schema}")}


@pytest.mark.parametrize("model", MODELS)
def test_a_night_with_nothing_new_asks_the_catalog_a_few_times(
    shop: SparkSettings, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    night(tmp_path, model)
    night(tmp_path, model)
    asked, frame, execute = [], SparkSqlSession.frame, SparkSqlSession.execute

    def told(session: SparkSqlSession, sql: str, lead: str = "") -> Any:
        asked.append(sql)
        return frame(session, sql, lead)

    def done(session: SparkSqlSession, sql: str, lead: str = "") -> None:
        asked.append(sql)
        execute(session, sql, lead)

    monkeypatch.setattr(SparkSqlSession, "frame", told)
    monkeypatch.setattr(SparkSqlSession, "execute", done)
    night(tmp_path, model)
    questions = [sql for sql in asked if sql.startswith(ASKS)]
    assert len(questions) <= MOST[model], "\n".join(questions)


@pytest.mark.parametrize("model", MODELS)
def test_what_killed_runs_left_in_the_schema_of_ours_goes(shop: SparkSettings, tmp_path: Path, model: str) -> None:
    night(tmp_path, model)
    kept = ours(shop)
    lead = f"{shop.side_schema}.{side_name(f'model.shop.{model}')}__"
    with SparkSqlSession(shop) as session:
        session.execute(f"CREATE TABLE {lead}s1__dead USING parquet AS SELECT 1 AS x")
        session.execute(f"CREATE VIEW {lead}s1 AS SELECT * FROM {lead}s1__dead")
        for one in kept:
            if "__v__" in one:  # a store that was being written anew
                store = one.split("__v__")[0]
                session.execute(f"CREATE TABLE {shop.side_schema}.{store}__v__dead (x INT) USING parquet")
    night(tmp_path, model)
    assert ours(shop) == kept


def test_a_relation_that_somebody_dropped_is_made_again_after_an_error(adapter: SparkAdapter) -> None:
    place = side.relation(adapter.settings, "inputs__n").sql("spark")
    with adapter.workspace("r") as work, SparkSqlSession(adapter.settings) as other:
        work.keep_inputs("inputs__n", "select 1 as x")
        other.execute(f"DROP VIEW {place}")
        with pytest.raises(AdapterError):
            work.keep_inputs("inputs__n", "select 2 as x")
        work.keep_inputs("inputs__n", "select 3 as x")
        assert other.rows(f"SELECT * FROM {place}") == [(3,)]
