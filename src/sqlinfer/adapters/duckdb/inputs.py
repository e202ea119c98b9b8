"""Tables of kept inputs in the side file; a scratch workspace reads copies of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.names import META, SIDE, STORE
from sqlinfer.adapters.shared.inputs import short
from sqlinfer.errors import AdapterError, DatabaseLocked, StoreError
from sqlinfer.relation import Relation, literal, quote

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

_HELD = "sqlinfer_remembered"
_PAUSE = 0.1


def kept(name: str) -> Relation:
    return Relation(name, META, SIDE)


def keep(work: DuckDBWorkspace, name: str, sql: str) -> None:
    with work.uncompressed():
        work.execute(f"CREATE OR REPLACE TABLE {kept(name).sql()} AS {sql}")


def drop(work: DuckDBWorkspace, name: str) -> None:
    work.execute(f"DROP TABLE IF EXISTS {kept(name).sql()}")


def times(store: str) -> Relation:
    return Relation(f"times__{store}", META, SIDE)


@dataclass(frozen=True, slots=True)
class SideFile:
    """What a scratch workspace may copy from."""

    path: Path
    wait: float
    """Seconds, for a run to leave."""

    def copy_kept(self, work: DuckDBWorkspace, name: str) -> Relation | None:
        return self._copied(work, kept(name), "*", kept(name))

    def copy_times(self, work: DuckDBWorkspace, store: str) -> Relation | None:
        """When the inputs of a store were scored."""
        columns = f"{short('input_key', 'duckdb')} AS input, scored_at"
        return self._copied(work, Relation(store, STORE, SIDE), columns, times(store))

    def span(self, work: DuckDBWorkspace, store: str) -> tuple[float, float] | None:
        """The first and the last of these times, in seconds since 1970."""
        held = Relation(store, STORE, _HELD)
        with self._attached(work) as is_there:
            if not is_there or not work.has(held):
                return None
            asked = f"SELECT epoch(min(scored_at)), epoch(max(scored_at)) FROM {held.sql()}"
            oldest, newest = work.rows(asked)[0]
        return None if oldest is None else (oldest, newest)

    def _copied(self, work: DuckDBWorkspace, table: Relation, columns: str, copy: Relation) -> Relation | None:
        if work.has(copy):
            return copy
        with self._attached(work) as is_there:
            held = Relation(table.name, table.schema, _HELD)
            if not is_there or not work.has(held):
                return None
            work.execute(f"CREATE TABLE {copy.sql()} AS SELECT {columns} FROM {held.sql()}")
        return copy

    @contextmanager
    def _attached(self, work: DuckDBWorkspace) -> Iterator[bool]:
        """The side file attached for reading, for as long as a copy takes: a night that starts meanwhile waits for it.

        Raises:
            StoreError: a run holds it.
        """
        if not self.path.exists():
            yield False
            return
        deadline = time.monotonic() + self.wait
        while True:
            try:
                work.execute(f"ATTACH {literal(str(self.path))} AS {_HELD} (READ_ONLY)")
                break
            except DatabaseLocked as error:
                if time.monotonic() >= deadline:
                    raise StoreError(
                        f"what was scored is held by {error.holder or 'a run'}, which is at work",
                        hint="ask again when it is done",
                    ) from error
                time.sleep(_PAUSE)
            except AdapterError:
                yield False
                return
        try:
            yield True
        finally:
            work.execute(f"DETACH {quote(_HELD)}")
