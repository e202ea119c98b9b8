"""Clock and coins in a published table: one value for a run, one draw for a row, whatever reads them again."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

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
    "stamped": "select id, current_timestamp as scored_at, uuid() as u, random() as r, f(x) as p from t "
    "where d <= current_date and f(x) > 1 and random() < 2",
    "later": "with c as (select id, d, f(x) as p, now() as a from t) "
    "select id, p, a = now() as same, now() as b from c where p > 1 and d < now()",
    "grouped": "select now() as b, d <= current_date as past, count(*) as n, sum(f(x)) as s from t group by all",
}
TESTS = "models: [{name: stamped, columns: [{name: u, data_tests: [unique, not_null]}]}]\n"


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_a_run_has_one_clock_and_a_row_one_draw(tmp_path: Path, reuse: str) -> None:
    (tmp_path / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "f.yml").write_text(FUNCTION % reuse)
    linear([2.0], 1.0, element_type="double", path=tmp_path / "functions" / "f.onnx")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tests.yml").write_text(TESTS)
    for name, sql in MODELS.items():
        (tmp_path / "models" / f"{name}.sql").write_text(sql)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute(
            "create table t as select i as id, i::double as x, current_date - 3 + (i % 7)::int as d from range(70) r(i)"
        )
    assert invoke(["run", "--project-dir", str(tmp_path)]) == 0
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        stamped = "select count(*), count(distinct scored_at), count(distinct u), count(distinct r) from stamped"
        assert connection.execute(stamped).fetchone() == (39, 1, 39, 39)
        later = "select count(*), bool_and(same), count(distinct b) from later"
        assert connection.execute(later).fetchone() == (39, True, 1)
        grouped = "select past, n, s from grouped order by past"
        rows = connection.execute(grouped).fetchall()
        plain = "select d <= current_date, count(*), sum(2 * x + 1) from t group by 1 order by 1"
        expected = connection.execute(plain).fetchall()
        assert connection.execute("select count(distinct b) from grouped").fetchone() == (1,)
    assert rows == expected
