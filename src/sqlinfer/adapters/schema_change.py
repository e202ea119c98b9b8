"""Columns of a query and of the published table that it goes into → what is written, added, dropped, retyped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlinfer.adapters.base import Materialization
from sqlinfer.errors import NoPlaceForPredictions, PublicationError
from sqlinfer.relation import fold
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.names import LINEAGE

_WAY_OUT = "set on_schema_change to append_new_columns or sync_all_columns, or run once with --full-refresh"


@dataclass(frozen=True, slots=True)
class Agreement:
    """``on_schema_change``, applied to two lists of columns."""

    written: tuple[Column, ...]
    """Columns that the query and the table have then: the table's spelling and type."""
    added: tuple[Column, ...] = ()
    dropped: tuple[Column, ...] = ()
    retyped: tuple[Column, ...] = ()
    """With their new type."""
    forgotten: tuple[Column, ...] = ()
    """Columns of the table that tell of the run which scored a row, and that this query does not fill."""


def agree(how: Materialization, new: Sequence[Column], old: Sequence[Column]) -> Agreement:
    """Raises PublicationError where the node does not allow what changed."""
    refuse_twins(how, new)
    refuse_twins(how, old)
    here, there = {fold(c.name): c for c in new}, {fold(c.name): c for c in old}
    both = tuple(c for c in old if fold(c.name) in here)
    added = tuple(c for c in new if fold(c.name) not in there)
    forgotten = tuple(c for c in old if fold(c.name) in LINEAGE and fold(c.name) not in here)
    match how.on_schema_change:
        case "append_new_columns":
            return Agreement((*both, *added), added, forgotten=forgotten)
        case "sync_all_columns":
            dropped = tuple(c for c in old if fold(c.name) not in here)
            wanted = tuple(Column(c.name, here[fold(c.name)].data_type) for c in both)
            retyped = tuple(c for c, before in zip(wanted, both, strict=True) if c.data_type != before.data_type)
            return Agreement((*wanted, *added), added, dropped, retyped)
        case "fail":
            _refuse_changes(how, here, there)
        case "ignore":
            pass
    refuse_missing_predictions(how, old)
    ours = tuple(c for c in added if fold(c.name) in how.uncompared)  # asked for by `lineage: true`
    return Agreement((*both, *ours), ours, forgotten=forgotten)


def refuse_twins(how: Materialization, columns: Sequence[Column]) -> None:
    """Columns of new rows and of the table find each other whatever their case.

    Raises:
        PublicationError: two of the names differ in case alone, which PostgreSQL allows.
    """
    known: dict[str, str] = {}
    for column in columns:
        other = known.setdefault(fold(column.name), column.name)
        if other != column.name:
            said = f"columns '{other}' and '{column.name}' of {how.target} differ only in case"
            raise PublicationError(f"{said}; an incremental table needs names of its own for each", hint="rename one")


def refuse_missing_predictions(how: Materialization, old: Sequence[Column]) -> None:
    """A prediction that has no column to go into would leave the values of an earlier night to be read as today's.

    Raises:
        NoPlaceForPredictions: the node does not allow new columns.
    """
    if how.on_schema_change in ("append_new_columns", "sync_all_columns"):
        return
    known = {fold(column.name) for column in old}
    missing = tuple(name for name in how.predictions if fold(name) not in known)
    if missing:
        raise NoPlaceForPredictions(how.target, missing, hint=_WAY_OUT)


def _refuse_changes(how: Materialization, new: dict[str, Column], old: dict[str, Column]) -> None:
    said = [f"new {new[name].name}" for name in new if name not in old]
    said += [f"gone {old[name].name}" for name in old if name not in new]
    both = [(old[name], new[name]) for name in old if name in new]
    said += [f"{a.name} {a.data_type} → {b.data_type}" for a, b in both if a.data_type != b.data_type]
    if said:
        raise PublicationError(
            f"columns of {how.target} changed: {', '.join(said)}",
            hint="run once with --full-refresh, or set on_schema_change",
        )
