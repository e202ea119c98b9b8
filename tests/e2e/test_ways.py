"""A relation that is not there: the message names the real node and the command that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.api import connect
from sqlinfer.cli.main import invoke
from sqlinfer.errors import SqlinferError

SEED = "hint: seed customers is not loaded yet: sqlinfer seed --select customers"
MODEL = "hint: plain is not built yet: sqlinfer run --select +plain"
SOURCE = "hint: source raw.events is not in the warehouse: load it, or correct its declaration at "


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert invoke(["init", "shop", "--project-dir", str(tmp_path)]) == 0
    models = tmp_path / "shop" / "models"
    (models / "plain.sql").write_text("{{ config(materialized='view') }}\nselect * from {{ ref('customers') }}\n")
    (models / "after.sql").write_text("select *, predict('churn_score', *) as p from {{ ref('plain') }}\n")
    (models / "src.sql").write_text("select predict('churn_score', *) as p from {{ source('raw', 'events') }}\n")
    (models / "src.yml").write_text("sources:\n  - name: raw\n    tables: [{name: events}]\n")
    capsys.readouterr()
    return tmp_path / "shop"


def said(shop: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert invoke([*arguments, "--project-dir", str(shop)]) != 0
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize(
    "arguments",
    [("run", "-s", "churn_scores"), ("run", "-s", "plain"), ("run", "-s", "after"), ("preview", "customers"),
     ("preview", "churn_scores"), ("compile", "after"),
     ("preview", "--inline", "select * from {{ ref('customers') }}")],
)  # fmt: skip
def test_a_seed_that_is_not_loaded_is_named(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    out = said(shop, capsys, *arguments)
    assert SEED in out
    assert "Did you mean" not in out
    assert "this_model" not in out


@pytest.mark.parametrize("arguments", [("run", "-s", "after"), ("preview", "after")])
def test_a_model_that_is_not_built_is_named(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert invoke(["seed", "-q", "--project-dir", str(shop)]) == 0
    assert MODEL in said(shop, capsys, *arguments)


def test_tests_of_a_table_that_is_not_built_name_it(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(shop, capsys, "test", "-s", "churn_scores")
    assert out.count("hint: churn_scores is not built yet: sqlinfer run --select +churn_scores") == 4


def test_a_source_that_is_not_there_is_named_with_its_declaration(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(shop, capsys, "run", "-s", "src")
    assert SOURCE in out
    assert "src.yml:3" in out


def test_python_gets_the_same_hint(shop: Path) -> None:
    with pytest.raises(SqlinferError) as raised:
        connect(shop).sql("select predict('churn_score', *) as p from {{ ref('customers') }}")
    assert SEED in str(raised.value)


def test_a_relation_of_nobody_gets_the_nearest_name(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["seed", "-q", "--project-dir", str(shop)]) == 0
    out = said(shop, capsys, "preview", "--inline", "select predict('churn_score', *) as p from custmers")
    assert "did you mean 'customers'?" in out


def test_functions_are_declared_where_the_project_says(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "functions").rename(shop / "ml")
    with (shop / "sqlinfer_project.yml").open("a") as file:
        file.write("function-paths: [ml]\n")
    (shop / "ml" / "churn.yml").unlink()
    (shop / "models" / "only.sql").write_text("select predict('churn_score', 1) as p")
    assert "hint: declare it in ml/*.yml" in said(shop, capsys, "compile", "only")


def test_a_dbt_project_is_told_its_own_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    assert "sqlinfer dbt build" in said(tmp_path, capsys, "run")
