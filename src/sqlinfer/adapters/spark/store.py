"""The store: a table per function and digest in the schema of ours, one row per distinct input, one partition a slice.

A slice is written into a folder of its own and is there when its partition is added; one that was never added is never
read. What is rewritten becomes another table, and the view of the store's name changes to it at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlinfer import types
from sqlinfer.adapters.shared.store_columns import RESERVED, output_columns
from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.catalog import entry, named_like
from sqlinfer.adapters.spark.scored import fresh, run_token, running
from sqlinfer.adapters.spark.session import name, table_name, text
from sqlinfer.adapters.spark.tables import location
from sqlinfer.errors import StoreError
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import store_name

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring

_BEHIND = re.compile(r"FROM `[^`]+`\.`([^`]+)`\s*$")
"""The end of a view's text: the table that it shows."""
SLICE = "__sqlinfer_slice"


@dataclass(frozen=True, slots=True)
class SparkStore:
    work: SparkScoring
    relation: Relation
    """The view, which look-ups read."""
    outputs: Mapping[str, str]
    """Column → Spark's type."""

    @classmethod
    def of(cls, work: SparkScoring, contract: FunctionContract) -> SparkStore:
        kinds = [types.type_sql(output.data_type, "spark") for output in contract.outputs]
        view = side.relation(work.settings, store_name(contract.name, contract.digest))
        return cls(work, view, dict(zip(output_columns(contract), kinds, strict=True)))

    @classmethod
    def named(cls, work: SparkScoring, store: str) -> SparkStore:
        """``store``: ``names.store_name``, of a store that is there."""
        view = side.relation(work.settings, store)
        columns = work.session.describe(f"SELECT * FROM {table_name(view)}")
        return cls(work, view, {one.name: one.data_type for one in columns if one.name not in RESERVED})

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.outputs)

    @property
    def listed(self) -> str:
        """The columns of a row, in their order."""
        return ", ".join(map(name, ("input_key", *self.columns, "error", "scored_at", "run_id")))

    def table(self) -> Relation | None:
        """The table behind the view; None where there is no store."""
        if self.work.session.is_scratch:
            return self.relation if self.relation.name in self.work.scratch_parts else None
        known = self.work.stores.get(self.relation.name) if self.work.persistent else None
        if known is None:
            view = entry(self.work.session, self.work.settings, self.relation)
            found = _BEHIND.search(view.query) if view is not None else None
            known = replace(self.relation, name=found[1]) if found else None
        if known is not None and self.work.persistent:
            self.work.stores[self.relation.name] = known
        return known

    def make(self) -> Relation:
        """The table, unless it is there; what killed runs left beside it goes."""
        if not self.work.persistent:
            self.work.scratch_parts.setdefault(self.relation.name, [])
            self.show_parts()
            return self.relation
        found = self.table()
        if found is not None and self.relation.name in self.work.cleaned:
            return found
        self._clean(found)
        self.work.cleaned.add(self.relation.name)
        if found is None:
            found = self._created()
            self._show(found)
        return found

    def _created(self) -> Relation:
        made = fresh(self.work, f"{self.relation.name}__v")
        outputs = "".join(f", {name(column)} {kind}" for column, kind in self.outputs.items())
        self.work.session.execute(
            f"CREATE TABLE {table_name(made)} (input_key STRING{outputs}, error STRING, scored_at TIMESTAMP, "
            f"run_id STRING, {SLICE} STRING) USING parquet PARTITIONED BY ({SLICE})"
        )
        return made

    def _show(self, table: Relation) -> None:
        """``CREATE OR REPLACE`` would drop the view first; ALTER is one change of the catalog."""
        session, view = self.work.session, table_name(self.relation)
        query = f"SELECT {self.listed} FROM {table_name(table)}"
        verb = "CREATE OR REPLACE" if self.table() is None else "ALTER"
        session.execute(f"{verb} VIEW {view} AS {query}")
        self.work.stores[self.relation.name] = table

    def _clean(self, current: Relation | None) -> None:
        for one in named_like(self.work.session, self.relation.schema or "", f"{self.relation.name}__v__*"):
            if current is None or one.casefold() != current.name.casefold():
                self.work.session.execute(f"DROP TABLE IF EXISTS {table_name(replace(self.relation, name=one))}")

    # slices

    def folder(self, location: str, slice_name: str) -> str:
        return f"{location}/{SLICE}={slice_name}"

    def add(self, table: Relation, slice_name: str) -> None:
        """Show a slice that is written."""
        self.work.session.execute(f"ALTER TABLE {table_name(table)} ADD PARTITION ({SLICE} = {text(slice_name)})")

    # in a scratch workspace: a temporary view of what is remembered, and of what was scored there

    def show_parts(self) -> None:
        session = self.work.session
        empty = session.raw.createDataFrame([], ", ".join(
            ["input_key STRING", *(f"{name(one)} {kind}" for one, kind in self.outputs.items()), "error STRING",
             "scored_at TIMESTAMP", "run_id STRING"]
        ))  # fmt: skip
        for one in self.work.scratch_parts[self.relation.name]:
            empty = empty.unionAll(one.select(*empty.columns))
        empty.createOrReplaceTempView(self.relation.name)

    def remember(self, keys: str) -> None:
        """What the durable store has of some keys. ``keys``: SQL."""
        session = self.work.session
        wanted = session.frame(keys)
        with session.durable():
            if self.table() is None:
                return
            frame = session.frame(f"SELECT {self.listed} FROM {table_name(self.relation)}")
        self.add_part(frame.join(wanted, "input_key", "left_semi"))

    def add_part(self, frame: Any) -> None:
        self.work.scratch_parts[self.relation.name].append(frame)
        self.show_parts()

    def rewrite(self, frame: Any) -> None:
        """Rows of a frame in the place of all that the store holds: the old ones until the view changes, then these."""
        old, made = self.table(), self._created()
        slice_name = f"{run_token(self.work)}_all"
        place = self.folder(location(self.work.session, made), slice_name)
        running(self.work, lambda: frame.write.parquet(place))
        self.add(made, slice_name)
        fail_point("before_store_swap")
        self._show(made)
        if old is not None:
            self.work.session.execute(f"DROP TABLE IF EXISTS {table_name(old)}")

    def keep_those(self, keys: str) -> None:
        """``keys``: SQL with a column ``input_key``; what it does not have goes."""
        listed = ", ".join(f"s.{one}" for one in self.listed.split(", "))
        joined = f"LEFT SEMI JOIN ({keys}) AS u ON u.input_key = s.input_key"
        self.rewrite(self.work.session.frame(f"SELECT {listed} FROM {table_name(self.relation)} AS s {joined}"))

    def drop(self) -> None:
        found = self.table()
        self.work.stores.pop(self.relation.name, None)
        self.work.session.execute(f"DROP VIEW IF EXISTS {table_name(self.relation)}")
        if found is not None:
            self.work.session.execute(f"DROP TABLE IF EXISTS {table_name(found)}")


def forget_errors(work: SparkScoring, contract: FunctionContract, error_class: str = "") -> int:
    """Drop remembered failures, so that this run tries those inputs again. Returns how many there were."""
    store = SparkStore.of(work, contract)
    if store.table() is None:
        return 0
    bad, rows = f"(error IS NOT NULL AND startswith(error, {text(error_class)}))", table_name(store.relation)
    found = int(work.session.value(f"SELECT count(*) FROM {rows} WHERE {bad}"))
    if found:
        store.rewrite(work.session.frame(f"SELECT {store.listed} FROM {rows} WHERE NOT {bad}"))
    return found


def slices(work: SparkScoring, store: str) -> int:
    table = SparkStore(work, side.relation(work.settings, store), {}).table()
    return len(work.session.rows(f"SHOW PARTITIONS {table_name(table)}")) if table else 0


def drop_store(work: SparkScoring, store: str) -> None:
    """``store``: ``names.store_name``."""
    SparkStore(work, side.relation(work.settings, store), {}).drop()


def holds_twice(function: str, rows: int, became: int) -> StoreError:
    """A look-up made ``became`` rows of ``rows``: published, it would repeat rows."""
    return StoreError(
        f"the store of '{function}' holds a key twice: {rows} rows became {became}",
        hint="drop its view and table in the schema of sqlinfer; everything is then scored again",
    )
