# ruff: noqa: E501
"""No hook ends the transaction that publishes its node, however it is spelled."""

from __future__ import annotations

import json
from pathlib import Path

import house as houses
import pytest
from house import House

from sqlinfer.project.hooks import ends_transaction

ENDING = [
    "insert into customers values (9, 9, 9, '--'); commit", "select '/*'; commit; select '*/'", "/* /* */ */ commit",
    "select '--'; rollback", r"select e'\''; commit; --'", "$$a;$$; abort", r"select '\'; commit", 'select 1 as "--"; end',
    "select $a$ $$ $a$; commit", "-- a\ncommit", ";;commit",
]  # fmt: skip
HARMLESS = [
    "select $a$ ; commit; $a$", "select 'a; commit'", 'select 1 as "; commit"', "-- commit\nselect 1", "select 1 /* ; commit; */",
    "/* /* */ ; commit; */ select 1", "select case when true then 1 end", "select 'it''s; commit'",
]  # fmt: skip


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.mark.parametrize("sql", ENDING)
def test_a_word_that_ends_a_transaction_is_found(sql: str) -> None:
    assert ends_transaction(sql) is not None


@pytest.mark.parametrize("sql", HARMLESS)
def test_texts_names_and_comments_end_nothing(sql: str) -> None:
    assert ends_transaction(sql) is None


@pytest.mark.parametrize("sql", [ENDING[0], ENDING[2], ENDING[3]])
def test_a_hook_that_would_commit_publishes_nothing(sql: str, morning: House, tmp_path: Path) -> None:
    shop = houses.copy(morning, tmp_path / "shop", {
        houses.SCORES: f"{{{{ config(post_hook={json.dumps(sql)}) }}}}\nselect id, predict('score', x, y) + 1 as s from customers",
    })  # fmt: skip
    before = shop.sql("select * from scores order by id"), shop.sql("select count(*) from customers")
    done = shop.sqlinfer("run")
    assert done.code == 1
    assert "runs inside the transaction that publishes the node" in done.text
    assert (shop.sql("select * from scores order by id"), shop.sql("select count(*) from customers")) == before
