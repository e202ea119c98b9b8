"""What every adapter must do. Inherit ``AdapterConformance``, give it ``adapter`` and ``load``, run pytest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sqlinfer.adapters.base import Adapter, Materialization, Written
from sqlinfer.errors import AdapterError, PublicationError, StoreError
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Column

Load = Callable[[str], None]
"""Runs one statement in the warehouse by other means than the adapter."""


class AdapterConformance:
    """Fixtures to provide: ``adapter`` (an Adapter on an empty warehouse) and ``load`` (a ``Load``)."""

    def target(self, adapter: Adapter, name: str) -> Relation:
        return Relation(name, adapter.default.schema, adapter.default.catalog)

    def publish(self, adapter: Adapter, sql: str, run_id: str = "r", **how: Any) -> Written:
        with adapter.workspace(run_id) as work, work.publishing(5):
            target = self.target(adapter, "t")
            return work.materialize(Materialization(target, **how), sql)

    def test_lists_relations_with_their_kind(self, adapter: Adapter, load: Load) -> None:
        load("create table a as select 1 as x")
        load("create view b as select * from a")
        kinds = {table.relation.name: table.kind for table in adapter.list_relations()}
        assert kinds == {"a": "table", "b": "view"}

    def test_finds_columns_of_existing_relations_only(self, adapter: Adapter, load: Load) -> None:
        load('create table a as select 1::int as x, 1.5::double as "Big y"')
        known, unknown = Relation("A"), Relation("nope")
        columns = adapter.columns((known, unknown))
        assert columns == {known: (Column("x", "INT"), Column("Big y", "DOUBLE"))}

    def test_reads_an_empty_warehouse(self, adapter: Adapter) -> None:
        assert adapter.list_relations() == ()
        assert adapter.query("select 1 as one").to_pylist() == [{"one": 1}]

    def test_error_of_a_query_names_its_place(self, adapter: Adapter) -> None:
        with pytest.raises(AdapterError) as caught:
            adapter.describe("select 1 as x,\n  missing_column from (select 2 as y)")
        place = caught.value.location
        assert place is not None
        assert (place.line, place.column, place.length) == (2, 3, len("missing_column"))

    def test_shadow_finds_columns_of_relations_not_built_yet(self, adapter: Adapter, load: Load) -> None:
        load("create macro plus_one(v) as v + 1")
        with adapter.shadow() as shadow:
            shadow.add_table(self.target(adapter, "raw"), (Column("x", "DOUBLE"), Column("s", "TEXT")))
            shadow.add_view_as(Relation("mid"), "select plus_one(x) as y, s from raw")
            assert shadow.describe("select y, s from mid") == (Column("y", "DOUBLE"), Column("s", "TEXT"))
            with pytest.raises(AdapterError):
                shadow.describe("select nothing from mid")

    def test_only_one_workspace_at_a_time(self, adapter: Adapter) -> None:
        with adapter.workspace("one"), pytest.raises(StoreError, match="run one"), adapter.workspace("two"):
            pass
        with adapter.workspace("three"):
            pass

    def test_side_relations_survive_the_workspace(self, adapter: Adapter) -> None:
        import pyarrow as pa

        table = pa.table({"x": [1, 2]})
        with adapter.workspace("one") as work:
            kept = work.load("kept", table, {})
            assert kept == replace(adapter.namespace, name="kept")
        with adapter.workspace("two") as work:
            assert work.rows(f"select count(*) from {kept.sql(work.dialect)}") == [(2,)]
        with adapter.scratch() as work:
            left = work.load("left", table, {})
        with adapter.workspace("three") as work:
            assert not work.has(left)

    def test_notes_outlive_the_workspace_and_follow_the_transaction(self, adapter: Adapter) -> None:
        with adapter.workspace("one") as work:
            work.note("pending", "a", {"n": 1, "of": ["x", None]})
            work.note("pending", "b", {"n": 2})
            work.note("scoring", "a", {"n": 3})
            work.note("pending", "a", {"n": 4, "of": ["x", None]})
            with contextlib.suppress(ZeroDivisionError), work.publishing(5):
                work.note("pending", "b", {"n": 5})
                raise ZeroDivisionError
        with adapter.workspace("two") as work:
            assert list(work.notes("pending").items()) == [("b", {"n": 2}), ("a", {"n": 4, "of": ["x", None]})]
            work.note("pending", "b", None)
            assert list(work.notes("pending")) == ["a"]
            assert work.notes("scoring") == {"a": {"n": 3}}
            assert work.notes("reference") == {}

    def test_failed_publication_leaves_the_table(self, adapter: Adapter) -> None:
        self.publish(adapter, "select 1 as x")
        target = self.target(adapter, "t")
        with adapter.workspace("r") as work, contextlib.suppress(ZeroDivisionError), work.publishing(5):
            work.materialize(Materialization(target), "select 2 as x")
            raise ZeroDivisionError
        assert adapter.query(f"select x from {quote('t')}").to_pylist() == [{"x": 1}]

    def test_table_replaces_view_and_view_replaces_table(self, adapter: Adapter) -> None:
        for kind in ("table", "view", "table"):
            self.publish(adapter, "select 1 as x", kind=kind)
            assert [table.kind for table in adapter.list_relations()] == [kind]

    def test_merge_of_the_full_state(self, adapter: Adapter) -> None:
        how: dict[str, Any] = {"kind": "incremental", "unique_key": ("k",), "strategy": "merge", "on_missing": "delete"}
        self.publish(adapter, "from (values (1, 'a'), (2, 'b'), (null, 'c')) as v(k, s)", **how)
        self.publish(adapter, "from (values (1, 'a'), (null, 'x'), (4, 'd')) as v(k, s)", **how)
        assert self.rows(adapter) == [(1, "a"), (4, "d"), (None, "x")]

    def test_missing_keys_stay_where_they_are_to_be_kept(self, adapter: Adapter) -> None:
        for change in ({"on_missing": "keep"}, {"is_slice": True}):
            self.publish(adapter, "from (values (1, 'a'), (2, 'b')) as v(k, s)")
            self.publish(
                adapter, "from (values (2, 'x'), (3, 'c')) as v(k, s)", kind="incremental", unique_key=("k",), **change
            )
            assert self.rows(adapter) == [(1, "a"), (2, "x"), (3, "c")]

    def test_append(self, adapter: Adapter) -> None:
        for _ in range(2):
            self.publish(adapter, "select 1 as k, 'a' as s", kind="incremental", strategy="append")
        assert self.rows(adapter) == [(1, "a"), (1, "a")]

    def test_duplicate_keys_are_refused(self, adapter: Adapter) -> None:
        with pytest.raises(PublicationError, match="not unique"):
            self.publish(adapter, "from (values (1, 'a'), (1, 'b')) as v(k, s)", kind="incremental", unique_key=("k",))
        assert adapter.list_relations() == ()

    def test_full_refresh_rebuilds(self, adapter: Adapter) -> None:
        self.publish(adapter, "select 1 as k, 'a' as s")
        self.publish(adapter, "select 2.5 as k", kind="incremental", unique_key=("k",), full_refresh=True)
        assert adapter.query("select * from t").column_names == ["k"]

    def rows(self, adapter: Adapter) -> list[tuple[object, ...]]:
        table = adapter.query("select k, s from t order by k nulls last, s")
        return [tuple(row.values()) for row in table.to_pylist()]
