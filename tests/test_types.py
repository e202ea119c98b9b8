"""Types in DuckDB's own words are spelled without a parser, and as the parser spells them."""

from __future__ import annotations

import pytest

from sqlinfer import types

PLAIN = [*types._PLAIN, "DECIMAL(18,3)", "DECIMAL(9, 2)"]


@pytest.mark.parametrize("suffix", ["", "[]", "[3]", "[3][2]"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_well_known_type_is_spelled_as_the_parser_does(name: str, suffix: str) -> None:
    assert types._well_known(name + suffix) == types._parsed(name + suffix, "duckdb")


@pytest.mark.parametrize("name", PLAIN)
def test_a_well_known_type_of_the_warehouse_stays_what_it_is(name: str) -> None:
    spelled = types.canonical(name)
    assert types.canonical(types.type_sql(spelled, "duckdb")) == spelled


@pytest.mark.parametrize("text", ["STRUCT(a INTEGER)", "varchar(20)", "double precision", "ENUM('a', 'b')", "[]", ""])
def test_others_are_parsed(text: str) -> None:
    assert types._well_known(text) is None
