"""Scored rows that go at once where they are to be published, so that none of them is written twice.

The table is a version of the published one (``publication``): named by this run, shown by nothing until the publication
changes the view, and dropped by the next night where that never comes. Its files may hold more columns than the table
has (the errors of a stream): who reads the table does not see them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.base import Materialization, PinOptions
from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.catalog import VERSION, entry, placed
from sqlinfer.adapters.spark.publication import Pending
from sqlinfer.adapters.spark.published import RUN
from sqlinfer.adapters.spark.session import SparkSqlSession, name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.adapters.spark.tables import create, location
from sqlinfer.relation import Relation, fold
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.plan import Plan, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring


@dataclass(frozen=True, slots=True)
class Adoption:
    """The result of a plan is a scored relation, column by column."""

    how: Materialization
    columns: tuple[tuple[str, str], ...]
    """Name in the published table, name in the scored relation."""

    def items(self, more: Iterable[str] = ()) -> list[str] | None:
        """Columns of the files, as SQL over the scored relation. None: one of ``more`` has the name of another."""
        taken = {fold(shown): source for shown, source in self.columns}
        if any(taken.get(fold(one), one) != one for one in more):
            return None
        extra = [one for one in more if fold(one) not in taken]
        return [f"{name(source)} AS {name(shown)}" for shown, source in self.columns] + [name(one) for one in extra]

    def opened(self, work: SparkScoring, schema: Any) -> tuple[Relation, str]:
        """An empty version and the folder of its files. ``schema``: Spark's, of columns that it has and others."""
        pending = Pending(work.session, work.settings, work.run_id)
        target = placed(work.settings, self.how.target)
        if side.make_schema(work.session, target.schema or ""):
            work.session.use_schema()
        kinds = {fold(field.name): field.dataType.simpleString() for field in schema.fields}
        columns = [Column(shown, kinds[fold(shown)]) for shown, _ in self.columns]
        said = {column.casefold(): text for column, text in self.how.column_descriptions if text}
        version = pending.new_name(target)
        create(work.session, version, columns, {RUN: work.run_id}, said)
        return version, location(work.session, version)


def adoption(work: SparkScoring, plan: Plan, stage: Stage, options: PinOptions) -> Adoption | None:
    """None: the result is more than the stage's scored relation, or it is not published as it is."""
    how = options.into
    if how is None or how.merges or how.kind == "view" or options.lineage or not work.persistent:
        return None
    if stage is not plan.stages[-1] or stage.scored is None:
        return None
    columns = _projected(plan.result.sql, stage.scored)
    return Adoption(how, columns) if columns else None


def _projected(sql: str, scored: Relation) -> tuple[tuple[str, str], ...]:
    """Columns of a query that does nothing but name those of one relation; empty where it does more."""
    from sqlglot import exp, parse_one

    query = parse_one(sql, read="spark")
    if not isinstance(query, exp.Select):
        return ()
    parts = {key for key, value in query.args.items() if value and key not in ("expressions", "kind")}
    source = query.find(exp.Table)
    if not parts <= {"from", "from_"} or source is None or (source.name, source.db) != (scored.name, scored.schema):
        return ()
    found = [(item.alias_or_name, item.unalias()) for item in query.expressions]
    if not all(type(value) is exp.Column and not isinstance(value.this, exp.Star) for _, value in found):
        return ()
    names = [fold(shown) for shown, _ in found]
    return tuple((shown, value.name) for shown, value in found) if len(set(names)) == len(names) else ()


def adopted(session: SparkSqlSession, settings: SparkSettings, target: Relation, sql: str) -> Relation | None:
    """The version that a held result shows, where it was written for this target; None: its rows are to be copied."""
    found = re.fullmatch(r"SELECT \* FROM `([^`]+)`\.`([^`]+)`", sql.strip())
    if found is None or found[1].casefold() != settings.side_schema.casefold():
        return None
    held = entry(session, settings, Relation(found[2], found[1]))
    shown = re.fullmatch(r"SELECT \* FROM `([^`]+)`\.`([^`]+)`", held.query.strip()) if held is not None else None
    named = VERSION.fullmatch(shown[2]) if shown is not None else None
    if shown is None or named is None or named["name"] != target.name.casefold() or shown[1] != target.schema:
        return None
    return replace(target, name=shown[2])
