"""What stands where a table is to be published: a view of ours over a version, or something of others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from sqlinfer.adapters.spark.catalog import VERSION, columns_of_one, entries, placed
from sqlinfer.adapters.spark.known import Entry
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column

RUN = "sqlinfer.run_id"
"""A property of a version and of the view before it: who has written the rows."""


@dataclass(frozen=True)
class Standing:
    session: SparkSqlSession = field(repr=False)
    relation: Relation
    version: Relation | None = None
    """The table behind a view of ours."""
    is_view: bool = False
    """A view: ours or another's."""
    query: str = ""
    """Of a view."""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return columns_of_one(self.session, self.session.settings, self.relation) or ()

    @property
    def is_table(self) -> bool:
        """As users see it."""
        return self.version is not None or not self.is_view


def standing(session: SparkSqlSession, settings: SparkSettings, target: Relation) -> Standing | None:
    return standings(session, settings, (target,)).get(target)


def standings(
    session: SparkSqlSession, settings: SparkSettings, targets: Iterable[Relation]
) -> Mapping[Relation, Standing]:
    """Of what is there of several in one schema."""
    return {
        target: Standing(session, place, _version(place, one) if one.is_view else None, one.is_view, one.query)
        for target, one in entries(session, settings, targets).items()
        for place in (placed(settings, target),)
    }


def _version(view: Relation, told: Entry) -> Relation | None:
    """The table that a view of ours shows; its text is what we wrote."""
    found = re.fullmatch(r"SELECT \* FROM `([^`]+)`\.`([^`]+)`", told.query.strip())
    if found is None or not VERSION.fullmatch(found[2]):
        return None
    return replace(view, name=found[2], schema=found[1])


def versions(names: Iterable[str], target: Relation) -> list[Relation]:
    """All tables that were made to stand behind the view, the shown one among them."""
    return [replace(target, name=one) for one in sorted(names)
            if (found := VERSION.fullmatch(one)) and found["name"] == target.name.casefold()]  # fmt: skip
