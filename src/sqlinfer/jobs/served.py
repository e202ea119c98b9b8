"""Rows in memory, found by key: sorted once, then halved."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import UsageError
from sqlinfer.types import is_text

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ServedRows:
    table: pa.Table
    """Sorted by the key; no part of a key is NULL."""
    keys: tuple[pa.ChunkedArray, ...]
    names: tuple[str, ...]
    name: str

    @classmethod
    def of(cls, table: pa.Table, key: Sequence[str], name: str) -> ServedRows:
        """``key``: columns, by their names in any case."""
        import pyarrow.compute as pc

        places = {column.casefold(): column for column in table.column_names}
        names = tuple(places[one.casefold()] for one in key)
        for one in names:
            table = table.filter(pc.is_valid(table.column(one)))
        order = pc.sort_indices(table, sort_keys=[(one, "ascending") for one in names])
        table = table.take(order).combine_chunks()
        return cls(table, tuple(_whole(table.column(one)) for one in names), names, name)

    def find(self, wanted: Sequence[object]) -> dict[str, Any] | None:
        """Raises UsageError: a value does not fit its column, several rows have the key."""
        values = tuple(
            _fitting(value, keys.type, name) for value, keys, name in zip(wanted, self.keys, self.names, strict=True)
        )
        if None in values:
            return None
        low, high = 0, self.table.num_rows
        while low < high:
            middle = (low + high) // 2
            if self._key(middle) < values:
                low = middle + 1
            else:
                high = middle
        if low >= self.table.num_rows or self._key(low) != values:
            return None
        if low + 1 < self.table.num_rows and self._key(low + 1) == values:
            raise UsageError(
                f"several rows of '{self.name}' have that key", hint="a unique test on the key keeps such rows out"
            )
        return {name: self.table.column(place)[low].as_py() for place, name in enumerate(self.table.column_names)}

    def _key(self, row: int) -> tuple[Any, ...]:
        return tuple(keys[row].as_py() for keys in self.keys)


def is_same(given: object, found: object, kind: str = "TEXT") -> bool:
    """Whether a cast to a column's type (``kind``) has left a value what it was.

    >>> is_same("1.7", 2), is_same("2.0", 2), is_same("abcd", "abc"), is_same("2026-01-01 23:00", date(2026, 1, 1))
    (False, True, False, False)
    """
    text = str(given)
    with suppress(ArithmeticError, ValueError):  # spelt as the warehouse alone reads it
        if isinstance(found, (int, Decimal)) and not isinstance(found, bool):
            return Decimal(text.strip()) == found
        if isinstance(found, date):
            moment = datetime.fromisoformat(text.strip())
            cast = found if isinstance(found, datetime) else datetime(found.year, found.month, found.day)
            return moment.tzinfo is not None or cast.tzinfo is not None or moment == cast
        if isinstance(found, str) and is_text(kind):
            return found.rstrip(" ") == text.rstrip(" ")  # ``char(3)`` is padded
    return True


def _whole(column: pa.ChunkedArray) -> Any:
    import pyarrow as pa

    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) if column.chunks else column


def _fitting(value: object, kind: pa.DataType, name: str) -> Any:
    import pyarrow as pa

    if value is None:
        return None
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    try:
        # Arrow casts a value of its own type without loss, and cuts 1.7 to 1 where it makes an integer of it at once.
        own = isinstance(value, (str, float, Decimal, datetime)) and not text
        found = (pa.scalar(value) if own else pa.scalar(value, kind)).cast(kind).as_py()
        if not is_same(value, found):
            raise ValueError
        return found
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{value!r} does not fit {name}, which is {kind}") from error
