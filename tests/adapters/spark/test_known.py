"""What a run knows of the schema of ours follows the statements that it runs."""

from __future__ import annotations

import pytest

from sqlinfer.adapters.spark.known import Entry, Known


@pytest.fixture
def known() -> Known:
    return Known("ml_sqlinfer", {"t": Entry(False), "v": Entry(True)})


@pytest.mark.parametrize(
    ("sql", "name", "after"),
    [
        ("CREATE TABLE `ml_sqlinfer`.`new` (x int) USING parquet", "new", Entry(False)),
        ("CREATE TABLE IF NOT EXISTS `ml_sqlinfer`.`new` (x int)", "new", Entry(False)),
        ("CREATE VIEW `ml_sqlinfer`.`New` AS SELECT 1\nAS x", "new", Entry(True, "SELECT 1\nAS x")),
        ("CREATE OR REPLACE VIEW `ml_sqlinfer`.`v` AS SELECT 2", "v", Entry(True, "SELECT 2")),
        ("ALTER VIEW `ML_sqlinfer`.`v` AS SELECT 3", "v", Entry(True, "SELECT 3")),
        ("ALTER TABLE `ml_sqlinfer`.`t` ADD PARTITION (s = '1')", "t", Entry(False)),
        ("DROP TABLE IF EXISTS `ml_sqlinfer`.`t`", "t", None),
        ("DROP VIEW `ml_sqlinfer`.`v`", "v", None),
        ("DROP TABLE IF EXISTS `ml`.`t`", "t", Entry(False)),
        ("SELECT * FROM `ml_sqlinfer`.`new`", "new", None),
    ],
)
def test_statements_tell_what_they_change(known: Known, sql: str, name: str, after: Entry | None) -> None:
    known.heard(sql)
    assert known.entries is not None
    assert known.entries.get(name) == after


def test_after_a_statement_that_failed_the_catalog_is_asked_again(known: Known) -> None:
    known.failed("INSERT INTO `ml_sqlinfer`.`t` SELECT 1")
    known.failed("DROP TABLE `ml`.`t`")
    assert known.entries is not None
    known.failed("DROP TABLE `ml_sqlinfer`.`t`")
    assert known.entries is None
