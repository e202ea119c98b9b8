"""What ``compile`` shows: what a person asks, on lines that fit a terminal; the SQL on request, to be run by hand."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.jobs.tree import Tree
from sqlinfer.shown import columns

LONG = "a_customer_table_with_a_name_that_is_longer_than_any_terminal_that_a_person_would_want_to_read_it_on"


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert invoke(["init", "shop", "--project-dir", str(tmp_path)]) == 0
    assert invoke(["seed", "--project-dir", str(tmp_path / "shop")]) == 0
    capsys.readouterr()
    return tmp_path / "shop"


def compiled(shop: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert invoke(["compile", "--project-dir", str(shop), *arguments]) == 0
    return capsys.readouterr().out


def add_model(shop: Path, name: str, sql: str) -> None:
    (shop / "models" / f"{name}.sql").write_text(sql)


def test_a_plan_answers_what_a_person_asks_in_a_screen(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = compiled(shop, capsys, "churn_scores", "--estimate")
    assert len(out.splitlines()) < 24
    for said in (
        "├─ reads: shop.main.customers\n", "score churn_score@", "strategy: store: reuse: true",
        "estimate: 8 rows, 8 distinct inputs, 0 remembered, 8 to score",
        "tests before publication: unique(customer_id), ",
        "publication: shop.main.churn_scores, first run writes it whole",
        "SQL: target/compiled/shop/models/churn_scores.sql",
    ):  # fmt: skip
        assert said in out
    assert "SELECT" not in out


def test_without_an_estimate_the_flag_that_counts_is_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "rows to score: --estimate counts them" in compiled(shop, capsys)


def test_what_is_applied_below_the_model_is_shown(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select predict('churn_score', *) as p from {{ ref('customers') }} where customer_id > 3"
    assert 'below the model: filter: "customers"."customer_id" > 3' in compiled(shop, capsys, "--inline", sql)


def test_no_line_is_wider_than_80_columns(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = "客户" * 60
    add_model(
        shop, LONG,
        "{{ config(materialized='table') }} "
        f"select *, predict('churn_score', tenure_months + 0 * length('{wide}'), monthly_charges,\n support_tickets) "
        f"as p from {{{{ ref('customers') }}}} where '{LONG}' <> '{wide}'",
    )  # fmt: skip
    out = compiled(shop, capsys, "--estimate")
    assert [line for line in out.splitlines() if columns(line) > 80] == []
    assert wide[:10] in out


def test_a_model_without_predictions_says_so(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_model(shop, "plain", "{{ config(materialized='view') }} select * from {{ ref('customers') }}")
    out = compiled(shop, capsys, "plain")
    assert "scores nothing" in out
    assert "publication: view shop.main.plain" in out


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("materialized='table'", "replaced as a whole in one transaction"),
        ("materialized='incremental', unique_key='customer_id'", "does not return stay (on_missing: keep)"),
        ("materialized='incremental', unique_key='customer_id', on_missing='delete'", "(on_missing: delete)"),
        ("materialized='incremental'", "append: the rows of the query are added"),
        ("materialized='incremental', on_missing='delete'", "replaced as a whole in one transaction"),
        ("materialized='incremental', unique_key='customer_id', full_refresh=true", "rebuilt: full refresh"),
    ],
)  # fmt: skip
def test_what_becomes_of_the_table_is_one_sentence(
    shop: Path, capsys: pytest.CaptureFixture[str], config: str, said: str
) -> None:
    add_model(shop, "m", f"{{{{ config({config}) }}}} select customer_id from {{{{ ref('customers') }}}}")
    assert said in " ".join(compiled(shop, capsys, "m").replace("│", "").split())


def test_a_stream_chosen_by_cost_says_what_to_set(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shop / "functions" / "churn.yml"
    path.write_text(path.read_text().replace("reuse: true", "reuse: auto"))
    out = " ".join(compiled(shop, capsys).replace("│", "").split())
    assert "scoring again is cheaper than a look-up; config: {reuse: true} remembers scores" in out


def test_the_compiled_file_runs_by_hand_on_a_read_only_warehouse(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_model(
        shop, "two",
        "{{ config(materialized='table') }} select predict('churn_score', tenure_months, p * 10, 1) as q, p from ("
        "select *, predict('churn_score', tenure_months, monthly_charges, support_tickets /* ; -- */) as p"
        " from {{ ref('customers') }}) as c",
    )  # fmt: skip
    compiled(shop, capsys)
    for name, width in (("churn_scores", 2), ("two", 2)):
        script = (shop / "target" / "compiled" / "shop" / "models" / f"{name}.sql").read_text()
        with duckdb.connect(str(shop / "target" / "shop.duckdb"), read_only=True) as connection:
            rows = connection.execute(script).fetchall()
        assert (len(rows), {len(row) for row in rows}) == (8, {width})


def test_sql_on_request_is_the_compiled_file(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = compiled(shop, capsys, "churn_scores", "--sql")
    assert (shop / "target" / "compiled" / "shop" / "models" / "churn_scores.sql").read_text().strip() in out


def test_json_holds_the_same_answers(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plan,) = json.loads(compiled(shop, capsys, "--output", "json"))
    assert plan["reads"] == ["shop.main.customers"]
    assert "unique(customer_id)" in plan["tests"]
    assert plan["compiled_path"] == "target/compiled/shop/models/churn_scores.sql"


def test_wrapped_labels_stay_inside_their_branch() -> None:
    tree = Tree("head", (Tree("one two three four five six", (Tree("leaf"),)), Tree("end")))
    assert list(tree.lines(22)) == ["head", "├─ one two three", "│  │  four five six", "│  └─ leaf", "└─ end"]
