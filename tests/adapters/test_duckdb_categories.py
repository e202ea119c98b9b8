"""Texts read as an ENUM feed the same codes as the texts themselves."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from sqlinfer.adapters.duckdb.categories import MOST, as_enums, select
from sqlinfer.inference.codes import codes_of

WORDS = ["a", "A", "", "o'clock", 'x"y', "ü", "other", " a", "null"]
TEXTS = [*WORDS, None, "zzz", "other_", "OTHER", "a ", "\u0001"]


@pytest.mark.parametrize("lossless", ["true", "false"])
def test_an_enum_column_feeds_the_codes_of_its_texts(lossless: str) -> None:
    texts = pa.table({"id": range(len(TEXTS)), 't"1': TEXTS})
    con = duckdb.connect(config={"arrow_lossless_conversion": lossless})
    enums = as_enums(con, {'t"1': WORDS, "same": WORDS})  # type: ignore[arg-type]
    items = select(("id", 't"1'), enums)
    read = con.sql(f"SELECT {items} FROM texts ORDER BY id").to_arrow_table()
    column = read.column('t"1').combine_chunks()
    assert pa.types.is_dictionary(column.type)
    assert column.is_null().to_pylist() == [text is None for text in TEXTS]
    vocabulary = pa.array(WORDS, pa.large_string())
    plain = texts.column('t"1').combine_chunks().drop_null()
    assert codes_of(column.drop_null(), vocabulary).tolist() == codes_of(plain, vocabulary).tolist()


def test_texts_that_somebody_else_needs_stay_texts() -> None:
    con = duckdb.connect()
    assert list(as_enums(con, {"s": WORDS, "t": WORDS}, carried={"s"})) == ["t"]  # type: ignore[arg-type]
    assert as_enums(con, {"s": [str(n) for n in range(MOST + 1)]}) == {}  # type: ignore[arg-type]
    assert as_enums(con, {}) == {}  # type: ignore[arg-type]


def test_a_query_names_its_categories_and_does_not_spell_them() -> None:
    (sql,) = as_enums(duckdb.connect(), {"s": [f"word {n}" for n in range(1000)]}).values()  # type: ignore[arg-type]
    assert len(sql) < 400
