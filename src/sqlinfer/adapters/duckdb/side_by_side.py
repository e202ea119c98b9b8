"""Results of the parts of a stage's calls → one scored relation, its rows put together by their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.lookups import LookUp, lookup_columns
from sqlinfer.adapters.duckdb.pinned import part_relation
from sqlinfer.adapters.duckdb.store import count
from sqlinfer.adapters.shared.groups import parts_of
from sqlinfer.errors import RunError
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import SCORED_AT, SCORED_BY
from sqlinfer.spec.plan import Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


def settle(work: DuckDBWorkspace, stage: Stage, number: int, found: Sequence[LookUp]) -> None:
    """The results of a part's look-ups as a table in the order of the stage's rows."""
    items, source = lookup_columns(stage, found, ())
    with work.uncompressed():
        work.execute(
            f"CREATE OR REPLACE TABLE {part_relation(stage, number).sql()} AS "
            f"SELECT {', '.join(items)} FROM {source} ORDER BY s.rowid"
        )


def side_by_side(work: DuckDBWorkspace, stage: Stage, scored: Relation) -> None:
    """Make the scored relation of the stage from its parts.

    Raises:
        RunError: a part has another number of rows than the stage.
    """
    rows, source = count(work, stage.relation), f"{stage.relation.sql()} AS s"
    items = [f"s.{quote(column)}" for column in stage.columns]
    latest: list[str] = []
    for number, calls in enumerate(parts_of(stage.calls)):
        part = part_relation(stage, number)
        if count(work, part) != rows:
            raise RunError(f"{rows} rows were staged, a part of their results has {count(work, part)}")
        source += f" POSITIONAL JOIN {part.sql()} AS r{number}"
        items += [f"r{number}.{quote(call.output)}" for call in calls]
        latest += [f"r{number}"] if calls[0].strategy == "store" else []
    if latest:
        items += _latest(latest)
    work.execute(f"CREATE OR REPLACE VIEW {scored.sql()} AS SELECT {', '.join(items)} FROM {source}")


def _latest(aliases: Sequence[str]) -> list[str]:
    """The run that scored the row last, over all parts."""
    runs = ", ".join(f"{{'at': {alias}.{SCORED_AT}, 'run': {alias}.{SCORED_BY}}}" for alias in aliases)
    newest = f"list_max(list_filter([{runs}], lambda one: one.at IS NOT NULL))"
    return [f"{newest}.run AS {SCORED_BY}", f"{newest}.at AS {SCORED_AT}"]
