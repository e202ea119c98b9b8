"""Arguments may be called whatever a table calls its columns, so that ``predict('f', *)`` fits tables as they are."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.relation import quote
from sqlinfer.testing import onnx_builder

NAMES = [
    "Monthly Charges",
    'it\'s "x": 1, %',
    "a.b",
    "select",
    "raw",
    "key",
    "status",
    "guard",
    "x_raw",
    "Größe €",
    "1",
]
TYPES = {"raw": "integer", 'it\'s "x": 1, %': "integer"}
"""``raw`` is text in the table, so that it is cast."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("functions", "models"):
        (tmp_path / folder).mkdir()
    onnx_builder.linear([1.0] * len(NAMES), path=tmp_path / "functions" / "f.onnx")
    arguments = "".join(f"      - {{name: {_yml(name)}, data_type: {TYPES.get(name, 'real')}}}\n" for name in NAMES)
    functions = ""
    for name, reuse in (("f", "true"), ("g", "false")):
        functions += f"  - name: {name}\n    model: {{path: f.onnx}}\n    arguments:\n{arguments}"
        functions += f"    returns: {{data_type: double}}\n    config: {{reuse: {reuse}}}\n"
    (tmp_path / "functions" / "f.yml").write_text("functions:\n" + functions)
    (tmp_path / "sqlinfer_project.yml").write_text("name: p\nprofile: p\n")
    (tmp_path / "profiles.yml").write_text("p: {target: dev, outputs: {dev: {type: duckdb, path: p.duckdb}}}\n")
    with duckdb.connect(str(tmp_path / "p.duckdb")) as con:
        columns = (
            f"(i * {n})::{'varchar' if name == 'raw' else 'double'} as {quote(name)}" for n, name in enumerate(NAMES)
        )
        con.execute(f"create table t as select i as id, {', '.join(columns)} from range(4) r(i)")
    return tmp_path


def _yml(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def run(project: Path, sql: str) -> list[tuple[object, ...]]:
    (project / "models" / "m.sql").write_text(sql)
    assert invoke(["run", "--project-dir", str(project), "--profiles-dir", str(project)]) == 0
    with duckdb.connect(str(project / "p.duckdb"), read_only=True) as con:
        return con.execute("select * from m order by id").fetchall()


WEIGHT = sum(range(len(NAMES)))


@pytest.mark.parametrize("function", ["f", "g"])
@pytest.mark.parametrize("arguments", ["*", "t.*", ", ".join(map(quote, NAMES))])
def test_any_column_names_feed_a_function(project: Path, function: str, arguments: str) -> None:
    found = run(project, f"select id, predict('{function}', {arguments}) as p from t")
    assert found == [(i, float(i * WEIGHT)) for i in range(4)]


def test_names_are_quoted_in_named_arguments(project: Path) -> None:
    named = ", ".join(f"{quote(name)} => {quote(name)}" for name in reversed(NAMES))
    assert run(project, f"select id, f({named}) as p from t")[3] == (3, 3.0 * WEIGHT)


def test_a_guarded_call_reads_columns_with_names_like_ours(project: Path) -> None:
    ours = "x_raw, guard, status, key, raw"
    sql = f"select id, case when id > 1 then predict('f', *) end as p, {ours} from t where g(*) >= 0"
    assert [row[1] for row in run(project, sql)] == [None, None, 2.0 * WEIGHT, 3.0 * WEIGHT]


def test_an_error_names_the_whole_argument(project: Path) -> None:
    with duckdb.connect(str(project / "p.duckdb")) as con:
        con.execute(f"update t set {quote(NAMES[1])} = 1e30 where id = 2")
    sql = "{{ config(max_error_rate=1) }} select id, predict('f', *) as p from t"
    assert run(project, sql)[2] == (2, None)
    with duckdb.connect(str(project / "p.duckdb"), read_only=True) as con:
        assert con.execute("select error_class, message from sqlinfer_errors").fetchall() == [
            ("cast_error", f"argument '{NAMES[1]}' does not fit its declared type")
        ]
