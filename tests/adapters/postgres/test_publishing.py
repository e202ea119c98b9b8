"""Tables that others read while they are published."""

from __future__ import annotations

from contextlib import closing

import pytest

from sqlinfer.errors import DatabaseLocked, PublicationError
from sqlinfer.spec.constraint import Constraint, Index
from sqlinfer.testing.postgres_server import Database

THREE = "select g as k, 'b' as s from generate_series(1, 3) as g"


def oid(database: Database) -> int:
    return int(database.run("select 't'::regclass::oid::bigint")[0][0])


def rows(database: Database) -> list[tuple[object, ...]]:
    return database.run("select * from t order by 1, 2")


def test_rights_comments_and_indexes_go_along_with_the_name(postgres_database: Database, publish) -> None:
    publish("select 1 as k, 'a' as s")
    before, reader = oid(postgres_database), f"{postgres_database.name}_reader"
    postgres_database.run(
        f"create role {reader}",
        f"grant select on t to {reader}",
        "create index t_s on t (s)",
        "comment on column t.s is 'said'",
        "alter table t add constraint t_pk primary key (k)",
    )
    try:
        assert publish(THREE).rows == 3
        assert oid(postgres_database) != before
        assert postgres_database.run(f"select has_table_privilege('{reader}', 't', 'SELECT')") == [(True,)]
        assert postgres_database.run("select col_description('t'::regclass, 2)") == [("said",)]
        assert postgres_database.run("select indexname::text from pg_indexes where tablename = 't' order by 1") == [
            ("t_pk",), ("t_s",),
        ]  # fmt: skip
        with pytest.raises(PublicationError, match="break a constraint"):
            publish("select 1 as k, 'b' as s from generate_series(1, 2)")
        assert len(rows(postgres_database)) == 3
    finally:
        postgres_database.run("drop table t", f"drop role {reader}")


def test_indexes_and_rights_of_the_node_are_made_once(postgres_database: Database, publish) -> None:
    one, other = (f"{postgres_database.name}_{name}" for name in ("one", "other"))
    postgres_database.run(f"create role {one}", f"create role {other}")
    indexes = (Index(("K",), unique=True), Index(("s", "k"), method="btree"))
    try:
        for _ in range(2):
            publish(THREE, indexes=indexes, grants=(("select", (one, other)),), unlogged=True)
        publish(THREE, indexes=indexes, grants=(("select", (one,)), ("insert", (one,))), unlogged=True)
        found = postgres_database.run("select indexname::text from pg_indexes where tablename = 't' order by 1")
        assert found == [("t_k_idx",), ("t_s_k_idx",)]
        rights = "has_table_privilege('{}', 't', '{}')"
        asked = ", ".join(rights.format(*pair) for pair in ((one, "SELECT"), (one, "INSERT"), (other, "SELECT")))
        assert postgres_database.run(f"select {asked}") == [(True, True, False)]
        assert postgres_database.run("select relpersistence::text from pg_class where relname = 't'") == [("u",)]
    finally:
        postgres_database.run("drop table t", f"drop role {one}", f"drop role {other}")


def test_a_table_that_a_view_reads_is_refilled_in_place(postgres_database: Database, publish) -> None:
    publish("select 1 as k, 'a' as s")
    postgres_database.run("create view v as select k from t")
    before = oid(postgres_database)
    publish(THREE)
    assert oid(postgres_database) == before
    assert postgres_database.run("select count(*) from v") == [(3,)]
    publish("select 7 as k, 1.5 as more")
    assert postgres_database.run("select k from v") == [(7,)]
    with pytest.raises(PublicationError, match="view v"):
        publish("select 1 as other")
    assert postgres_database.run("select k from v") == [(7,)]


def test_rows_that_others_refer_to_stay(postgres_database: Database, publish) -> None:
    publish(THREE)
    postgres_database.run("alter table t add primary key (k)", "create table child (k int references t)",
                          "insert into child values (1)")  # fmt: skip
    publish("select g as k, 'c' as s from generate_series(1, 2) as g")
    assert rows(postgres_database) == [(1, "c"), (2, "c")]
    with pytest.raises(PublicationError, match="break a constraint"):
        publish("select 2 as k, 'd' as s")
    assert rows(postgres_database) == [(1, "c"), (2, "c")]


def test_a_reader_that_does_not_let_go_delays_nothing_but_a_change_of_columns(
    postgres_database: Database, publish
) -> None:
    publish("select 1 as k, 'a' as s")
    with postgres_database.connected() as connection:
        for statement in ("begin", "select * from t"):
            with closing(connection.cursor()) as cursor:
                cursor.execute(statement)
                _ = cursor.fetchall() if cursor.description else None
        publish(THREE)
        with pytest.raises(DatabaseLocked):
            publish("select 1 as k, 'a' as s, 2 as more")
    assert len(rows(postgres_database)) == 3


def test_constraints_of_a_contract_hold(postgres_database: Database, publish) -> None:
    kept = (Constraint("primary_key", ("k",)), Constraint("check", expression="k < 3"), Constraint("not_null", ("s",)))
    publish("select 1 as k, 'a' as s", constraints=kept)
    with pytest.raises(PublicationError, match="break a constraint") as caught:
        publish(THREE, constraints=kept)
    assert "Failing row" not in caught.value.message
    assert rows(postgres_database) == [(1, "a")]
    names = postgres_database.run("select conname::text from pg_constraint where conrelid = 't'::regclass order by 1")
    assert not any("sqlinfer" in name for (name,) in names)


def test_a_view_that_others_read_is_not_taken_from_them(postgres_database: Database, publish) -> None:
    publish("select 1 as k", kind="view")
    postgres_database.run("create view v as select k from t")
    publish("select 2 as k, 3 as more", kind="view")
    assert postgres_database.run("select k from v") == [(2,)]
    with pytest.raises(PublicationError, match="view v"):
        publish("select 'x' as k")
    assert postgres_database.run("select k from v") == [(2,)]


def test_null_keys_and_values_without_equality_are_merged(postgres_database: Database, publish) -> None:
    how = {"kind": "incremental", "unique_key": ("k",), "on_missing": "delete"}
    publish("select * from (values (1, '{}'::json), (null, '[]'), (3, '1')) as v(k, s)", **how)
    publish("select * from (values (1, '{\"a\":1}'::json), (null, '2'), (4, '1')) as v(k, s)", **how)
    assert postgres_database.run("select k, s::text from t order by k") == [(1, '{"a":1}'), (4, "1"), (None, "2")]


def test_a_value_that_does_not_fit_is_refused_and_not_cut(postgres_database: Database, publish) -> None:
    publish("select 1 as k, 'ab'::varchar(2) as s")
    for unfit in ("select 1 as k, 'abc' as s", "select 12345678901 as k, 'a' as s"):
        with pytest.raises(PublicationError, match="does not fit"):
            publish(unfit, kind="incremental", unique_key=("k",))
    assert rows(postgres_database) == [(1, "ab")]


def test_columns_come_go_and_change_as_the_node_says(postgres_database: Database, publish) -> None:
    publish("select 1 as k, 'a' as s")
    grown = {"kind": "incremental", "unique_key": ("k",), "on_missing": "keep"}
    publish("select 2 as k, 'b' as s, 1.5 as n", on_schema_change="append_new_columns", **grown)
    publish("select 2::bigint as k, 2::float8 as n", on_schema_change="sync_all_columns", **grown)
    assert postgres_database.run("select k, n from t order by k") == [(1, None), (2, 2.0)]


def test_a_value_that_is_equal_and_not_the_same_is_written(postgres_database: Database, publish) -> None:
    """A collation, or a type of its own, takes texts for equal, and an interval takes a month for 30 days."""
    postgres_database.run(
        "create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "create extension citext",
        'create table t (k int, name text collate "ci", short varchar(9) collate "ci", mail citext, span interval, '
        "words citext[])",
        "insert into t values (1, 'a', 'a', 'a', '30 days', '{a}')",
    )
    query = "select 1 as k, {} as name, {}::varchar(9) as short, {}::citext as mail, {}::interval as span, {} as words"
    values = ["'a'", "'a'", "'a'", "'30 days'", "'{a}'::citext[]"]
    for place, other in enumerate(("'A'", "'A'", "'A'", "'1 month'", "'{A}'::citext[]")):
        values[place] = other
        publish(query.format(*values), kind="incremental", unique_key=("k",))
    told = "select name::text, short::text, mail::text, span::text, words::text from t"
    assert postgres_database.run(told) == [("A", "A", "A", "1 mon", "{A}")]
