"""Names are quoted as sqlglot quotes them, without importing it for the warehouses where that is simple."""

from __future__ import annotations

import pytest
from sqlglot import exp

from sqlinfer.relation import Relation, quote

NAMES = ["a", "A b", 'a"b', '""', "select", "ä\n", "x.y", "it's", "`q`", "\\n", "$1", "%s"]


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "spark"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_quoted_as_sqlglot_quotes_it(name: str, dialect: str) -> None:
    assert quote(name, dialect) == exp.to_identifier(name, quoted=True).sql(dialect=dialect)
    for schema in (None, *NAMES):
        for catalog in (None, "c", 'd"e'):
            relation = Relation(name, schema, catalog)
            assert relation.sql(dialect) == relation.expression().sql(dialect=dialect)
