"""``lookup``: one published prediction by its key, when and by which function it was made, and whether it still holds.

A warehouse whose readers keep a night out (DuckDB) is copied into memory where more than one row is asked for; others
are asked each time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from shlex import quote
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.shared.impact import only_sampled
from sqlinfer.adapters.shared.served import key_row_sql, matching_sql, served_sql, unserved_sql
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import AdapterError, DatabaseLocked, StoreError, UsageError
from sqlinfer.jobs.night import Night, compile_nodes
from sqlinfer.jobs.served import ServedRows, is_same
from sqlinfer.jobs.staleness import (
    SLICED,
    compared_with,
    made_by,
    named,
    no_prediction,
    refuse_plain,
    started,
    with_times,
)
from sqlinfer.jobs.warm import WarmSessions
from sqlinfer.project import Node
from sqlinfer.relation import fold, literal
from sqlinfer.runner.inputs import Traced, functions_of, narrowed, row_key, trace
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.names import FUNCTION, LINEAGE, SCORED_NOW, SERVED_AT, STALE
from sqlinfer.spec.seconds import Seconds
from sqlinfer.types import of_column

if TYPE_CHECKING:
    import pyarrow as pa

_ASKED = "asked"
_LEAST_PAUSE, _SHARE = 1.0, 10.0
"""A copy is made anew this many seconds after the last at the earliest, and so many times what it took."""

Row = dict[str, Any]


@dataclass(slots=True)
class Lookup:
    """Predictions of one table by key. Stays open; not for several threads.

    A row is a dict of the table's columns and ``_scored_at`` (datetime), ``_function`` (name@digest, several separated
    by commas), ``_stale`` (whether the query's inputs for the row have changed since; None: not known) and
    ``_scored_now``.
    """

    night: Night
    node: Node
    item: CompiledNode
    or_score: bool = False
    """Score a row now where it is missing or stale; nothing is written."""
    key: tuple[str, ...] = field(init=False)
    _copy: ServedRows | None = None
    _stamp: object = None
    _due: float = 0.0

    def __post_init__(self) -> None:
        keyed = replace(self.node, config=replace(self.node.config, unique_key=self.item.unique_key))
        self.key = row_key(keyed)
        if not self.key:
            raise UsageError(
                f"the rows of '{self.node.name}' have no key to look them up by",
                hint="add unique_key='…' to its config, or a unique test",
            )
        self.night.sessions = WarmSessions()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Sessions and the copy go."""
        self._copy = None
        if self.night.sessions is not None:
            self.night.sessions.close()

    def get(self, *values: object, or_score: bool | None = None, **named: object) -> Row | None:
        """The row, None where there is none: ``get(42)``, ``get(customer_id=42)``, ``get({"place": "a", "hour": 8})``.

        Args:
            or_score: None: as the object was opened.

        Raises:
            UsageError: other columns than the key, a value that does not fit, a key that several rows have.
        """
        wanted = self._wanted(values, named)
        return self._or_scored(self._served(wanted), wanted, self.or_score if or_score is None else or_score)

    __call__ = get

    def once(self, key: Mapping[str, object]) -> Row | None:
        """As ``get``, for an object that is asked for one row alone: no copy is made."""
        wanted = self._wanted((), key)
        return self._or_scored(self._asked(wanted), wanted, self.or_score)

    def _or_scored(self, row: Row | None, wanted: tuple[object, ...], again: bool) -> Row | None:
        if again and (row is None or row[STALE] is not False):
            return self._scored(wanted) or row
        return row

    def _wanted(self, values: Sequence[object], named: Mapping[str, object]) -> tuple[object, ...]:
        """Values of the key's columns, in their order."""
        first = values[0] if values else None
        if isinstance(first, Mapping):
            values, named = values[1:], {**first, **named}
        if values:
            named = {**dict(zip(self.key, values, strict=False)), **named}
            if len(values) > len(self.key):
                raise self._other_key(f"{len(values)} values were given")
        given = {fold(str(name)): value for name, value in named.items()}
        if len(given) < len(named):
            raise self._other_key("a column is named twice")
        for name in named:
            if fold(str(name)) not in {fold(one) for one in self.key}:
                raise self._other_key(f"'{name}' is not part of it")
        missing = [name for name in self.key if fold(name) not in given]
        if missing:
            raise self._other_key(f"'{missing[0]}' is missing")
        return tuple(given[fold(name)] for name in self.key)

    def _other_key(self, why: str) -> UsageError:
        spelled = " ".join(
            f"--key {name}=…" if name.isidentifier() else f"--key {quote(f'{name}=…')}" for name in self.key
        )
        return UsageError(f"the key of '{self.node.name}' is {', '.join(self.key)}: {why}", hint=spelled)

    def _served(self, wanted: tuple[object, ...]) -> Row | None:
        stamp = self.night.adapter.stamp()
        if stamp is None:
            return self._asked(wanted)
        self._refresh(stamp)
        assert self._copy is not None
        found = self._copy.find(wanted)
        return None if found is None else {**found, SCORED_NOW: False}

    def _refresh(self, stamp: object) -> None:
        if self._copy is not None and (stamp == self._stamp or time.monotonic() < self._due):
            return
        began = time.monotonic()
        try:
            self._copy = ServedRows.of(self._all(), self.key, self.node.name)
        except (StoreError, DatabaseLocked):  # a night is at work: what is known stays until it is done
            if self._copy is None:
                raise
        else:
            self._stamp = stamp
        now = time.monotonic()
        self._due = now + max(_LEAST_PAUSE, (now - began) * _SHARE)

    def _asked(self, wanted: tuple[object, ...]) -> Row | None:
        """One row, read from the warehouse alone."""
        with self._reading() as work:
            row = self._row(work, self._served_sql(work, self._literals(work, wanted)))
        return None if row is None else {**row, SCORED_NOW: False}

    def _row(self, work: Workspace, sql: str) -> Row | None:
        rows = work.rows(sql)
        if len(rows) > 1:
            raise several(self.node.name, len(rows))
        if not rows:
            return None
        return dict(zip(work.header(sql), rows[0], strict=True))

    def _all(self) -> pa.Table:
        with self._reading() as work:
            self._key_columns(work)
            with work.reader(self._served_sql(work, None), plain=True) as reader:
                return reader.read_all()

    @contextmanager
    def _reading(self) -> Iterator[Workspace]:
        with self.night.adapter.scratch() as work, work.warehouse():
            if not work.has(self.node.relation):
                raise UsageError(f"'{self.node.name}' is not built yet", hint="`sqlinfer run` builds it")
            yield work

    def _served_sql(self, work: Workspace, values: tuple[str, ...] | None) -> str:
        last = work.last_run(self.node.relation, self.node.unique_id)
        found = compared_with(self.night, self.node, self.item, work, last)
        if isinstance(found, str):
            self.night.warn((f"whether inputs of '{self.node.name}' have changed is not known: {found}",))
            of_run = (work, self.node, last.run_id, work.dialect) if last else None
            at, functions = (started(*of_run), made_by(*of_run)) if of_run else (None, ())
            return unserved_sql(self.node.relation, self.key, values, at, functions, work.dialect)
        known, traced = found
        if known.same_calls and not traced.grouped:
            known = with_times(known, traced, work)
        return served_sql(known, values)

    def _literals(self, work: Workspace, wanted: Sequence[object]) -> tuple[str, ...]:
        """SQL of the values, cast to the types of the key's columns."""
        columns = self._key_columns(work)
        found = tuple(_literal(column, value, work.dialect) for column, value in zip(columns, wanted, strict=True))
        _refuse_unfit(work, found, columns, wanted)
        return found

    def _key_columns(self, work: Workspace) -> list[Column]:
        """Raises UsageError: the table has lost one."""
        types = {fold(column.name): column for column in work.describe(self.node.relation.query(work.dialect))}
        gone = next((name for name in self.key if fold(name) not in types), None)
        if gone is not None:
            raise UsageError(f"'{self.node.name}' has no column '{gone}' any more", hint="`sqlinfer run` makes it anew")
        return [types[fold(name)] for name in self.key]

    def _scored(self, wanted: tuple[object, ...]) -> Row | None:
        """The row as the query gives it now, by the same plan and policies. Nothing outlives the call."""
        traced = SLICED if self.item.is_slice else trace(self.item.plan, self.key)
        if isinstance(traced, str):
            raise UsageError(f"a row of '{self.node.name}' cannot be scored by itself: {traced}")
        if others := self.item.plan.result.sees_others:
            raise UsageError(f"a row of '{self.node.name}' cannot be scored by itself: it depends on others ({others})")
        with self._narrowed(traced, wanted) as (work, plan, values):
            row = self._row(work, matching_sql(plan.result.sql, self.key, values, work.dialect))
        if row is None:
            return None
        now, functions = datetime.now(UTC), ", ".join(functions_of(plan))
        lineage = dict(zip(LINEAGE, (None, now, functions), strict=True)) if self.node.config.lineage else {}
        return {**row, **lineage, SERVED_AT: now, FUNCTION: functions, STALE: False, SCORED_NOW: True}

    @contextmanager
    def _narrowed(self, traced: Traced, wanted: tuple[object, ...]) -> Iterator[tuple[Workspace, Any, tuple[str, ...]]]:
        """The plan over the rows of one key, scored."""
        from sqlinfer.runner.scoring import score_plan

        with self.night.adapter.scratch() as work, work.warehouse():
            values = self._literals(work, wanted)
            work.keep_inputs(_ASKED, key_row_sql(values))
            asked = work.kept_inputs(_ASKED)
            assert asked is not None
            plan = narrowed(self.item.plan, traced, only_sampled(traced.stage.sql, traced.keys, asked, work.dialect))
            env = replace(self.night.environment(None), workspace=work, fuse_bytes=None)
            score_plan(env, plan, Identity(), Seconds(), remembered=True)
            yield work, plan, values


def opened(night: Night, table: str, *, or_score: bool = False) -> Lookup:
    """Raises UsageError where ``table`` is none of a prediction node, or its rows have no key."""
    node = named([one for one in night.project.nodes.values() if one.resource_type == "model"], table)
    if node.config.materialized in ("external", "ephemeral", "view"):
        raise UsageError(f"'{node.name}' is {node.config.materialized}: there is no table to look up in")
    refuse_plain(night.project, node)
    with night.compiler() as compiler:
        item = compile_nodes(compiler, [node.unique_id], night.project)[node.unique_id]
    if not isinstance(item, CompiledNode):
        raise item
    if not item.plan.stages:
        raise no_prediction(node)
    return Lookup(night, node, item, or_score)


def several(name: str, rows: int) -> UsageError:
    return UsageError(f"{rows} rows of '{name}' have that key", hint="a unique test on the key keeps such rows out")


def _literal(column: Column, value: object, dialect: str) -> str:
    return f"CAST({literal(str(value), dialect)} AS {column.data_type})"


def _refuse_unfit(work: Workspace, values: Sequence[str], columns: Sequence[Column], wanted: Sequence[object]) -> None:
    """Raises UsageError naming the first value that does not fit its column's type, or that the cast changes: the key
    of another row."""
    try:
        (found,) = work.rows(key_row_sql(values))
    except AdapterError as error:
        for sql, column, value in zip(values, columns, wanted, strict=True):
            if len(values) == 1 or not _fits(work, sql):
                raise _unfit(value, column) from error
        raise
    for value, cast, column in zip(wanted, found, columns, strict=True):
        if not is_same(value, cast, of_column(column.data_type, work.dialect)):
            raise _unfit(value, column)


def _unfit(value: object, column: Column) -> UsageError:
    return UsageError(f"{value!r} does not fit {column.name}, which is {column.data_type}")


def _fits(work: Workspace, sql: str) -> bool:
    try:
        work.rows(key_row_sql((sql,)))
    except AdapterError:
        return False
    return True
