"""The recipes of docs/recipes.md, as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from sqlinfer.cli.main import invoke

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of ``sqlinfer init``, scored once."""
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "shop", "--quiet"]) == 0
    for command in ("seed", "run"):
        assert invoke([command, "--quiet", "--project-dir", str(tmp_path / "shop")]) == 0
    return tmp_path / "shop"


def test_the_cells_of_a_notebook_give_what_was_published(shop: Path) -> None:
    script = shop.parent / "cells.py"
    planned, registered = blocks("python")
    script.write_text(
        planned + "a = {row['customer_id']: row['p'] for row in rows.to_pylist()}\n"
        + registered + "b = dict(rows.fetchall())\n"
        "connection.close()\n"
        "published = dict(duckdb.connect('shop/target/shop.duckdb').sql('from churn_scores').fetchall())\n"
        "assert len(a) == 3 and b == published and a.items() <= b.items()\n"
    )  # fmt: skip
    done = subprocess.run([sys.executable, str(script)], cwd=shop.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.extra
def test_jupysql_reads_the_published_table(shop: Path) -> None:
    pytest.importorskip("sql.magic", reason="jupysql is not installed")
    (lines,) = (block for block in blocks("text") if "%load_ext" in block)
    script = shop.parent / "cells.ipy"
    script.write_text(lines.replace("%sql select", "found = %sql select") + "print('rows:', len(found))\n")
    command = [sys.executable, "-m", "IPython", "--no-banner", str(script)]
    done = subprocess.run(command, cwd=shop.parent, capture_output=True, text=True, check=False)
    assert "rows: 3" in done.stdout, done.stdout + done.stderr


def test_a_bi_tool_reads_the_exported_file_and_the_run_record(shop: Path) -> None:
    export, chart = blocks("sql")
    (shop / "models" / "churn_export.sql").write_text(export)
    assert invoke(["run", "--quiet", "--project-dir", str(shop)]) == 0
    with duckdb.connect() as tool:
        rows = tool.sql(chart.replace("target/", f"{shop}/target/")).fetchall()
    assert rows
    with duckdb.connect(str(shop / "target" / "shop.duckdb"), read_only=True) as tool:
        assert sum(count for _, count in rows) == tool.sql("select count(*) from churn_scores").fetchall()[0][0]
        (asked,) = re.findall(r"`(select max\(finished_at\).*?)`", PAGE)
        assert tool.sql(asked).fetchall()[0][0] is not None


@pytest.mark.extra
def test_harlequin_shows_functions_tables_and_predictions(shop: Path) -> None:
    pytest.importorskip("harlequin")
    from harlequin.exception import HarlequinQueryError

    from sqlinfer.harlequin import SqlinferAdapter

    opened = SqlinferAdapter((str(shop),), target="dev", **{"profiles-dir": None, "theme": "x"}).connect()
    functions, main = opened.get_catalog().items
    assert [item.query_name for item in functions.children] == ["churn_score"]
    scores = next(item for item in main.children if item.label == "churn_scores")
    assert [(column.label, column.type_label) for column in scores.children] == [
        ("customer_id", "##"), ("churn_probability", "#.#"),
    ]  # fmt: skip
    sql = "select customer_id, predict('churn_score', *) as p from {{ ref('customers') }}"
    found = opened.execute(sql)
    assert found.columns() == [("customer_id", "##"), ("p", "#.#")]
    assert found.set_limit(3).fetchall().num_rows == 3
    with pytest.raises(HarlequinQueryError) as failed:
        opened.execute("select predict('churn_scor', 1)")
    assert "did you mean 'churn_score'?" in failed.value.msg
    with pytest.raises(HarlequinQueryError):
        opened.execute("drop table churn_scores")
    with duckdb.connect(str(shop / "target" / "shop.duckdb")) as writer:  # nothing is held between queries
        assert writer.sql("select count(*) from churn_scores").fetchall()[0][0] > 0


@pytest.mark.extra
def test_harlequin_is_told_why_a_project_does_not_open(tmp_path: Path) -> None:
    pytest.importorskip("harlequin")
    from harlequin.exception import HarlequinConnectionError

    from sqlinfer.harlequin import SqlinferAdapter

    with pytest.raises(HarlequinConnectionError, match="project"):
        SqlinferAdapter((str(tmp_path),)).connect()
