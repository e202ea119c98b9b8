from __future__ import annotations

import pytest

from sqlinfer.adapters.postgres.renaming import renamed
from sqlinfer.relation import Relation

PLACES = {Relation("t", "s"): Relation("t", "tmp"), Relation("u", "s"): Relation("u1", "tmp")}


def other(relation: Relation) -> Relation | None:
    return PLACES.get(Relation(relation.name, relation.schema))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('select * from "db"."s"."t"', 'select * from "tmp"."t"'),
        ("select S.T.x from s.t", 'select "t".x from "tmp"."t"'),
        ("select * from s.u where 's.u' = x", 'select * from "tmp"."u1" AS "u" where \'s.u\' = x'),
        ("select * from s.u as a, s.u b", 'select * from "tmp"."u1" as a, "tmp"."u1" b'),
        ("select t.x from other.t as t", "select t.x from other.t as t"),
        ("select s.t(1) -- s.t", "select s.t(1) -- s.t"),
        ('select "S"."T".* from "S"."T"', 'select "S"."T".* from "S"."T"'),
    ],
)
def test_relations_with_their_schema_get_their_other_name(before: str, after: str) -> None:
    assert renamed(before, "db", other).sql == after


def test_places_are_those_of_the_text_as_it_was_written() -> None:
    before = 'select a,\n nothing from "db"."s"."u" join s.t on wrong'
    text = renamed(before, "db", other)
    for word in ("nothing", "wrong", "join"):
        assert text.before(text.sql.index(word)) == before.index(word)
