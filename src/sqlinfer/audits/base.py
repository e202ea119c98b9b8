"""What every kind of data test is: a record of its arguments that gives the SQL of the rows that fail."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Literal

from sqlinfer.errors import RunError, did_you_mean
from sqlinfer.relation import fold, literal, quote

_PLAIN = re.compile(r"^[^\W\d]\w*$")
_QUOTED = re.compile(r'^"(?:[^"]|"")+"$')
_DATE = re.compile(r"^\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?$", re.A)
_CASELESS = ("duckdb",)
"""Dialects in which a quoted name finds the column in any case."""
_FLOATS = ("FLOAT", "REAL", "DOUBLE", "DOUBLE PRECISION")
_NUMBERS = (*_FLOATS, "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
            "UINTEGER", "UBIGINT", "UHUGEINT", "DECIMAL", "NUMERIC")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that a test looks at, as SQL: a parenthesised query without an alias."""

    source: str
    types: Mapping[str, str]
    """Column → type, in the warehouse's spelling."""
    dialect: str = "duckdb"

    def name(self, text: str) -> str:
        """SQL of a column, or of an expression where no column has this name.

        >>> Rows("(t)", {"id": "INTEGER", "my id": "INTEGER"}).name("my id")
        '"my id"'
        >>> Rows("(t)", {"id": "INTEGER"}).name("lower(id)")
        '(lower(id))'

        Raises:
            RunError: the text is a plain name, and no column has it.
        """
        text = text.strip()
        plain = text[1:-1].replace('""', '"') if _QUOTED.match(text) else text
        own = self._own(plain)
        if own is not None:
            return quote(plain if self.dialect in _CASELESS else own, self.dialect)
        if plain is text and not _PLAIN.match(text):
            return f"({text})"
        raise RunError(f"there is no column '{plain}'", hint=did_you_mean(plain, list(self.types)))

    def type_of(self, column: str) -> str | None:
        own = self._own(column)
        return None if own is None else self.types[own]

    def _own(self, column: str) -> str | None:
        """The column's name in the table; the same letters in another case are the same name."""
        if column in self.types:
            return column
        return next((name for name in self.types if fold(name) == fold(column)), None)


@dataclass(frozen=True, slots=True)
class Scoring:
    """What a run scored of the node."""

    errors: int = 0
    inputs: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """What one test is run on."""

    rows: Rows
    column: str | None = None
    """SQL of the column or expression that is tested."""
    column_type: str | None = None
    published: Rows | None = None
    """The relation as readers see it now, where it is there and has the column."""
    tonight: Rows | None = None
    """The rows of this run alone, where ``rows`` has those that stay in the table too."""
    other: Callable[[Any], Rows] = field(default=lambda name: _unknown(name))
    """The relation that an argument names."""
    scoring: Scoring | None = None
    """Of the node's run."""

    @property
    def dialect(self) -> str:
        return self.rows.dialect

    @property
    def needed(self) -> str:
        if self.column is None:
            raise RunError("the test needs a column", hint="put it under columns: or give column_name")
        return self.column


def _unknown(name: Any) -> Rows:
    raise RunError(f"nothing is known as '{name}'")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why arguments do not fit. ``argument``: the one that is wrong, None where it is the test as a whole."""

    message: str
    argument: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Audit:
    """One kind of data test. The fields are its arguments, read by ``arguments``."""

    kind: ClassVar[str]
    column_is: ClassVar[Literal["needed", "possible", "refused"]] = "needed"
    aliases: ClassVar[Mapping[str, str]] = {}
    """Another name of an argument → its name."""
    fields: ClassVar[tuple[str, ...]] = ()
    """Columns of the failing rows that are not those of the relation; ``fail_calc`` may use them."""
    reads_warehouse: ClassVar[bool] = False
    """Whether other relations than the tested one are read."""

    def problem(self) -> Problem | None:
        """What is wrong with the arguments together. Arguments are called by their own names."""
        return None

    @abstractmethod
    def failing(self, on: Subject) -> str:
        """SQL whose rows are the failures, with the columns that dbt's test of the kind has."""


def value_sql(value: Any, dialect: str = "duckdb") -> str:
    """A value of a yml file as SQL: text is a string.

    >>> value_sql("it's"), value_sql(2), value_sql(True)
    ("'it''s'", '2', 'TRUE')
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime):
        return f"TIMESTAMP {literal(value.isoformat(' '))}"
    if isinstance(value, date):
        return f"DATE {literal(value.isoformat())}"
    return literal(str(value), dialect)


def bound_sql(value: Any, dialect: str = "duckdb") -> str:
    """A bound of a range: text is an expression, as in dbt_utils; a date without quotes is a date.

    >>> bound_sql("other_column + 1"), bound_sql("2026-01-31")
    ('(other_column + 1)', "'2026-01-31'")
    """
    if isinstance(value, str):
        return literal(value) if _DATE.match(value) else f"({value})"
    return value_sql(value, dialect)


def is_float(data_type: str | None) -> bool:
    return (data_type or "").upper() in _FLOATS


def is_number(data_type: str | None) -> bool:
    return (data_type or "").upper().split("(")[0].strip() in _NUMBERS
