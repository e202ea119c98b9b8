"""What every adapter must do. Inherit ``AdapterConformance``, give it ``adapter`` and ``load``, run pytest.

Inherit ``ScoringConformance`` of ``scoring_conformance`` too, in a class of its own.

Plain SQL that any warehouse takes; in what warehouses differ, a class attribute says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from sqlinfer.adapters.base import Adapter, Materialization, Written
from sqlinfer.errors import AdapterError, PublicationError, StoreError
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.plan import Owner
from sqlinfer.spec.records import RUNS, PastRun
from sqlinfer.testing.keeping_conformance import KeepingConformance, Load

STARTED = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
TWO, OTHERS = "(1, 'a'), (2, 'b')", "(2, 'x'), (3, 'c')"


def rows_of(values: str) -> str:
    return f"select k, s from (values {values}) as v(k, s)"


class AdapterConformance(KeepingConformance):
    """Fixtures to provide: ``adapter`` (an Adapter on an empty warehouse) and ``load`` (a ``Load``)."""

    spelled: ClassVar[Mapping[str, str]] = {"integer": "INT", "double precision": "DOUBLE"}
    """What the catalog calls types."""
    compares_case: ClassVar[bool] = False
    """Whether names of relations differ that differ in case alone."""
    tells_length: ClassVar[bool] = True
    """Whether the place of an error has the length of the name that is wrong."""

    def target(self, adapter: Adapter, name: str) -> Relation:
        return replace(adapter.default, name=name)

    def publish(self, adapter: Adapter, sql: str, run_id: str = "r", **how: Any) -> Written:
        with adapter.workspace(run_id) as work, work.publishing(5):
            return work.materialize(Materialization(self.target(adapter, "t"), **how), sql)

    def rows(self, adapter: Adapter) -> list[tuple[object, ...]]:
        table = adapter.query("select k, s from t order by k nulls last, s")
        return [tuple(row.values()) for row in table.to_pylist()]

    # what the catalog builder asks

    def test_lists_relations_with_their_kind(self, adapter: Adapter, load: Load) -> None:
        load("create table a as select 1 as x")
        load("create view b as select * from a")
        kinds = {table.relation.name: table.kind for table in adapter.list_relations()}
        assert kinds == {"a": "table", "b": "view"}

    def test_finds_columns_of_existing_relations_only(self, adapter: Adapter, load: Load) -> None:
        load('create table a as select cast(1 as integer) as x, cast(1.5 as double precision) as "Big y"')
        known, unknown = Relation("a" if self.compares_case else "A"), Relation("nope")
        columns = adapter.columns((known, unknown))
        wanted = (Column("x", self.spelled["integer"]), Column("Big y", self.spelled["double precision"]))
        assert columns == {known: wanted}

    def test_reads_an_empty_warehouse(self, adapter: Adapter) -> None:
        assert adapter.list_relations() == ()
        assert adapter.query("select 1 as one").to_pylist() == [{"one": 1}]

    def test_error_of_a_query_names_its_place(self, adapter: Adapter) -> None:
        with pytest.raises(AdapterError) as caught:
            adapter.describe("select 1 as x,\n  missing_column from (select 2 as y) as q")
        place = caught.value.location
        assert place is not None
        assert (place.line, place.column) == (2, 3)
        assert not self.tells_length or place.length == len("missing_column")

    def test_shadow_finds_columns_of_relations_not_built_yet(self, adapter: Adapter) -> None:
        with adapter.shadow() as shadow:
            shadow.add_table(self.target(adapter, "raw"), (Column("x", "DOUBLE"), Column("s", "DATE")))
            shadow.add_view_as(Relation("mid"), "select x + 1 as y, s from raw")
            found = shadow.describe("select y, s from mid")
            assert [(column.name, column.data_type.upper()) for column in found] == [
                ("y", self.spelled["double precision"].upper()), ("s", "DATE"),
            ]  # fmt: skip
            with pytest.raises(AdapterError):
                shadow.describe("select nothing from mid")

    # the workspace

    def test_only_one_workspace_at_a_time(self, adapter: Adapter) -> None:
        with adapter.workspace("one"), pytest.raises(StoreError, match="run one"), adapter.workspace("two"):
            pass
        with adapter.workspace("three"):
            pass

    def test_what_was_loaded_outlives_the_workspace(self, adapter: Adapter) -> None:
        import pyarrow as pa

        table = pa.table({"x": [1, 2], "Big y": ["3", None]})
        with adapter.workspace("one") as work:
            kept = work.load("kept", table, {"Big y": "integer"})
            assert kept == replace(adapter.namespace, name="kept")
        with adapter.workspace("two") as work:
            assert work.has(kept)
            assert sorted(work.rows(kept.query(work.dialect))) == [(1, 3), (2, None)]
        with adapter.scratch() as work:
            left = work.load("left", table, {})
            assert work.has(left)
        with adapter.workspace("three") as work:
            assert not work.has(left)

    def test_rows_of_a_seed_go_with_its_owner(self, adapter: Adapter) -> None:
        import pyarrow as pa

        owner, other = Owner("codes", "seed.shop.codes"), Owner("codes", "seed.mall.codes")
        with adapter.workspace("one") as work:
            mine, theirs = (work.load(f"{one.side}__seed", pa.table({"x": [1]}), {}) for one in (owner, other))
            work.clear(owner)
            assert [work.has(mine), work.has(theirs)] == [False, True]

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

    def test_queries_are_answered_as_rows_and_as_arrow(self, adapter: Adapter, load: Load) -> None:
        load(f"create table t as {rows_of(TWO)}")
        with adapter.workspace("r") as work, work.warehouse():
            assert work.rows("select k, s from t order by k") == [(1, "a"), (2, "b")]
            assert [column.name for column in work.describe("select k, s as other from t")] == ["k", "other"]
            spelt = f"select k, s as {quote('Other one', work.dialect)} from t"
            assert work.header(spelt) == ("k", "Other one")
            assert [work.has(self.target(adapter, name)) for name in ("t", "nope")] == [True, False]
            guess = work.estimate("select k from t")
            assert guess is None or guess >= 0
            with work.reader("select k from t order by k", plain=True) as reader:
                assert reader.read_all().to_pylist() == [{"k": 1}, {"k": 2}]

    def test_an_error_leaves_the_workspace_in_use(self, adapter: Adapter, load: Load) -> None:
        load("create table t as select 1 as k")
        with adapter.workspace("r") as work, work.warehouse():
            with pytest.raises(AdapterError):
                work.rows("select missing from t")
            assert work.rows("select k from t") == [(1,)]

    def test_statements_of_the_user_commit_by_themselves_or_with_the_publication(self, adapter: Adapter) -> None:
        with adapter.workspace("r") as work:
            with work.writing(5):
                work.run_statement("create table made as select 1 as x")
            with contextlib.suppress(ZeroDivisionError), work.publishing(5):
                work.run_statement("insert into made values (2)")
                raise ZeroDivisionError
            with work.publishing(5):
                work.run_statement("insert into made values (3)")
        assert sorted(row["x"] for row in adapter.query("select x from made").to_pylist()) == [1, 3]

    # publication

    def test_failed_publication_leaves_the_table(self, adapter: Adapter) -> None:
        self.publish(adapter, "select 1 as x")
        target = self.target(adapter, "t")
        with adapter.workspace("r") as work, contextlib.suppress(ZeroDivisionError), work.publishing(5):
            work.materialize(Materialization(target), "select 2 as x")
            raise ZeroDivisionError
        assert adapter.query("select x from t").to_pylist() == [{"x": 1}]

    def test_a_schema_is_made_for_what_is_written_there(self, adapter: Adapter) -> None:
        target = replace(adapter.default, name="t", schema="made_by_us")
        for _ in range(2):
            with adapter.workspace("r") as work, work.publishing(5):
                work.make_place(target)
                assert work.materialize(Materialization(target), "select 1 as x").rows == 1
        assert [str(one.relation.schema) for one in adapter.list_relations()] == ["made_by_us"]

    def test_table_replaces_view_and_view_replaces_table(self, adapter: Adapter) -> None:
        for kind in ("table", "view", "table"):
            self.publish(adapter, "select 1 as x", kind=kind)
            assert [table.kind for table in adapter.list_relations()] == [kind]

    def test_merge_of_the_full_state(self, adapter: Adapter) -> None:
        how: dict[str, Any] = {"kind": "incremental", "unique_key": ("k",), "strategy": "merge", "on_missing": "delete"}
        self.publish(adapter, rows_of("(1, 'a'), (2, 'b'), (null, 'c')"), **how)
        self.publish(adapter, rows_of("(1, 'a'), (null, 'x'), (4, 'd')"), **how)
        assert self.rows(adapter) == [(1, "a"), (4, "d"), (None, "x")]

    def test_missing_keys_stay_where_they_are_to_be_kept(self, adapter: Adapter) -> None:
        for change in ({"on_missing": "keep"}, {"is_slice": True}):
            self.publish(adapter, rows_of(TWO))
            self.publish(adapter, rows_of(OTHERS), kind="incremental", unique_key=("k",), **change)
            assert self.rows(adapter) == [(1, "a"), (2, "x"), (3, "c")]

    def test_append(self, adapter: Adapter) -> None:
        for _ in range(2):
            self.publish(adapter, "select 1 as k, 'a' as s", kind="incremental", strategy="append")
        assert self.rows(adapter) == [(1, "a"), (1, "a")]

    def test_duplicate_keys_are_refused(self, adapter: Adapter) -> None:
        with pytest.raises(PublicationError, match="not unique"):
            self.publish(adapter, rows_of("(1, 'a'), (1, 'b')"), kind="incremental", unique_key=("k",))
        assert adapter.list_relations() == ()

    def test_full_refresh_rebuilds(self, adapter: Adapter) -> None:
        self.publish(adapter, "select 1 as k, 'a' as s")
        self.publish(adapter, "select 2.5 as k", kind="incremental", unique_key=("k",), full_refresh=True)
        assert adapter.query("select * from t").column_names == ["k"]

    def test_what_a_table_will_hold_is_told_before_it_is_written(self, adapter: Adapter) -> None:
        self.publish(adapter, rows_of(TWO))
        how = Materialization(self.target(adapter, "t"), "incremental", ("k",), on_missing="keep")
        with adapter.workspace("r") as work, work.warehouse():
            whole = work.outcome(how, rows_of(OTHERS))
            assert whole is not None
            assert sorted(work.rows(whole)) == [(1, "a"), (2, "x"), (3, "c")]
            assert work.outcome(replace(how, kind="table"), rows_of(OTHERS)) is None
        assert self.rows(adapter) == [(1, "a"), (2, "b")]

    def test_what_cannot_be_written_is_said_before_anything_is_read(self, adapter: Adapter, load: Load) -> None:
        load("create view sqlinfer_runs as select 1 as one")
        how = Materialization(self.target(adapter, "t"))
        with adapter.workspace("r") as work:
            work.check_place(how)
            with pytest.raises(PublicationError, match="cannot be written"):
                work.check_place(Materialization(replace(how.target, schema="information_schema")))
            with work.warehouse():
                work.check_target(how, (Column("k", "INTEGER"),), ("sqlinfer_errors",))
                with pytest.raises(PublicationError, match="is a view"):
                    work.check_target(how, (Column("k", "INTEGER"),), ("sqlinfer_runs",))

    # records

    def test_runs_are_recorded_by_the_names_of_columns(self, adapter: Adapter, load: Load) -> None:
        load("create table sqlinfer_runs as select 'old' as run_id, 'model.shop.t' as node, 'mine' as note")
        target = self.target(adapter, "t")
        row = {"run_id": "new", "node": "model.shop.t", "started_at": STARTED, "functions": ["f@1", "it's"], "rows": 7}
        with adapter.workspace("r") as work:
            with work.publishing(5):
                work.record(RUNS, target, (row, {**row, "node": "model.shop.other", "rows": None}))
            with contextlib.suppress(ZeroDivisionError), work.publishing(5):
                work.record(RUNS, target, ({**row, "run_id": "lost"},))
                raise ZeroDivisionError
        (new, other, old) = adapter.query("select * from sqlinfer_runs order by run_id, node desc").to_pylist()
        assert (new["rows"], new["functions"], new["note"], new["errors"]) == (7, ["f@1", "it's"], None, None)
        assert (other["run_id"], other["rows"], old["note"]) == ("new", None, "mine")
        assert set(RUNS.columns) <= set(new)

    def test_the_last_run_is_the_one_that_started_last(self, adapter: Adapter) -> None:
        target = self.target(adapter, "t")
        with adapter.workspace("r") as work:
            with work.warehouse():
                assert work.last_run(target, "n") is None
            rows = [{"run_id": f"r{day}", "node": "n", "started_at": STARTED + timedelta(day)} for day in (1, 3, 2)]
            with work.publishing(5):
                work.record(RUNS, target, [{**row, "rows": 4, "inputs": 3, "errors": 2} for row in rows])
                assert work.last_run(target, "n", since=STARTED + timedelta(3)) == PastRun("r3", 4, 3, 2)
            with work.warehouse():
                assert work.last_run(target, "n") == PastRun("r3", 4, 3, 2)
                assert work.last_run(target, "n", since=STARTED + timedelta(3, microseconds=1)) is None
                assert work.last_run(target, "it's another") is None
