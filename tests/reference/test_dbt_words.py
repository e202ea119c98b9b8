"""docs/dbt.md ends with a table of dbt's words; each that we accept or refuse stands in it, and so does the starter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sqlinfer.dbt import known_flags
from sqlinfer.dbt.starter import Subject, function_yml, node_sql
from sqlinfer.project import schema
from sqlinfer.project.validation import known_keys
from sqlinfer.spec.catalog import Column

TEXT = (Path(__file__).parents[2] / "docs/dbt.md").read_text(encoding="utf-8")
TABLES = re.split(r"\n\n(?=\| )", TEXT.split("## dbt's words")[1])[1:]
CONFIG, PROPERTY, FLAG, KEY = TABLES


def words(table: str) -> set[str]:
    """What stands in the first column."""
    return {word for line in table.splitlines()[2:] for word in re.findall(r"`([^`]+)`", line.split(" | ")[0])}


def test_each_config_that_is_accepted_or_refused_stands_in_the_table() -> None:
    assert {*known_keys(schema.ConfigKeys), *schema.REFUSED} - words(CONFIG) == set()
    assert words(CONFIG) - {*known_keys(schema.ConfigKeys), *schema.REFUSED} == set()


def test_each_property_stands_in_the_table() -> None:
    known = {key for model in (schema.ModelProps, schema.TableProps, schema.SourceProps, schema.PropertiesFile)
             for key in known_keys(model)}  # fmt: skip
    assert known - words(PROPERTY) - {"models", "seeds", "version"} == set()


def test_each_flag_of_dbt_build_stands_in_the_table() -> None:
    firsts = {flag.name for flag in known_flags.KNOWN.values()} - {"--write-json"}
    assert {*firsts, *known_flags.REFUSED} - words(FLAG) == set()


def test_each_key_of_the_project_file_stands_in_the_table() -> None:
    assert set(known_keys(schema.ProjectFile)) - words(KEY) == set()


def test_no_cell_is_empty_or_says_that_a_word_does_nothing() -> None:
    cells = [cell.strip() for table in TABLES for line in table.strip().splitlines()[2:] for cell in line.split(" | ")]
    assert all(cells)
    assert not [cell for cell in cells if "ignored" in cell]
    assert TEXT.rstrip().endswith("|")


@pytest.mark.parametrize("made", [function_yml, node_sql])
def test_the_example_is_the_starter(made: object) -> None:
    columns = (Column("customer_id", "INTEGER"), Column("number_of_orders", "BIGINT"),
               Column("customer_lifetime_value", "DOUBLE"))  # fmt: skip
    subject = Subject("customers", Path("models"), columns)
    assert callable(made)
    assert made(subject, "customers_score") in TEXT
