"""Arguments that differ from read to read (parallel float aggregates, random()) are published without a miss."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.testing import onnx_builder

QUERIES = {
    "averages": "select grp, predict('score', avg(x), sum(y)) as p from {{ source('raw', 'facts') }} group by grp",
    "random": "select id, predict('score', random(), y) as p from {{ source('raw', 'facts') }} where id < 20000",
    "ties": "select grp, predict('score', arg_max(x, z), any_value(y)) as p "
    "from {{ source('raw', 'facts') }} group by grp",
    "unordered_limit": "select id, predict('score', x, y) as p from {{ source('raw', 'facts') }} limit 20000",
    "file": "select id, predict('score', x, y) as p from '{{ var('parquet') }}' where id < 20000",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pinned")
    (root / "functions").mkdir()
    (root / "models").mkdir()
    onnx_builder.linear([0.5, -0.25], bias=0.1, path=root / "functions" / "score.onnx")
    (root / "functions" / "score.yml").write_text(
        "functions:\n  - name: score\n    model: {path: score.onnx}\n"
        "    arguments: [{name: a, data_type: double}, {name: b, data_type: double}]\n"
        "    returns: {data_type: double}\n    config: {reuse: true}\n"
    )
    (root / "sqlinfer_project.yml").write_text(
        f"name: pinned\nversion: '1'\nprofile: pinned\nvars: {{parquet: '{root}/facts.parquet'}}\n"
    )
    (root / "profiles.yml").write_text(
        "pinned:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: pinned.duckdb, threads: 4}\n"
    )
    (root / "models" / "sources.yml").write_text("sources: [{name: raw, schema: main, tables: [{name: facts}]}]\n")
    for name, sql in QUERIES.items():
        (root / "models" / f"{name}.sql").write_text(sql)
    with duckdb.connect(str(root / "pinned.duckdb")) as con:
        con.execute(
            "create table facts as select i as id, (i * 7919) % 20000 as grp, random() * 1e6 as x, "
            "random() / 3 as y, i % 5 as z from range(1_000_000) t(i)"
        )
        con.execute(f"copy facts to '{root}/facts.parquet'")
    return root


@pytest.mark.parametrize("name", QUERIES)
def test_irreproducible_arguments_publish_without_a_miss(project: Path, name: str) -> None:
    args = ["--project-dir", str(project), "--profiles-dir", str(project)]
    assert invoke(["run", "--select", name, *args]) == 0
    (result,) = json.loads((project / "target" / "run_results.json").read_text())["results"]
    answer = result["adapter_response"]
    assert (answer["rows"], answer["errors"], answer["null_inputs"]) == (20_000, 0, 0)
    assert answer["scored"] + answer["reused"] == 20_000
    with duckdb.connect(str(project / "pinned.duckdb"), read_only=True) as con:
        assert con.execute(f"select count(*), count(p) from {name}").fetchone() == (20_000, 20_000)
