"""The report of a project on PostgreSQL: nights, how predictions are spread, and a version that follows the runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sqlinfer.api as api
from sqlinfer.jobs import report
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.postgres_server import Database
from tests.conftest import Shop

FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
"""


@pytest.mark.parametrize("config", ["materialized='table'", "materialized='incremental', unique_key='id'"])
def test_nights_on_postgres(tmp_path: Path, postgres_database: Database, config: str) -> None:
    shop = Shop(tmp_path)
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    outputs = {"dev": postgres_database.output()}
    shop.put("profiles.yml", json.dumps({"shop": {"target": "dev", "outputs": outputs}}))
    shop.put("functions/f.yml", FUNCTION)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    postgres_database.run("create table t as select i as id, i::float8 as x from generate_series(0, 29999) as i")
    expressions = "predict('f', x) as y, (predict('f', x) * 2)::numeric(12, 2) as \"Price\", predict('f', x) > 9 as big"
    shop.model(f"{{{{ config({config}) }}}} select id, {expressions} from t")
    project = api.load(api.RunOptions(project_dir=tmp_path))
    assert shop("run")[0] == 0
    before = report.version(project, report.reader(project))
    assert shop("run")[0] == 0
    assert report.version(project, report.reader(project)) != before
    (text,) = postgres_database.run("select distributions from sqlinfer_runs order by started_at desc limit 1")[0]
    found = json.loads(text)
    assert set(found) == {"y", "Price", "big"}
    assert 4_500 < sum(found["y"]["counts"]) < 5_500
    assert 4_500 < sum(found["Price"]["counts"]) < 5_500
    assert set(found["big"]["labels"]) <= {"true", "false"}
    code, out = shop("report")
    assert code == 0, out
    assert "2 runs" in (tmp_path / "target/report.html").read_text()
