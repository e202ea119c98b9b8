"""Rows of a stage with what stores hold of them: frames that are counted while they are written, for ``find`` and
``look_up``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.shared.lookups import key_of, latest, status_of
from sqlinfer.adapters.spark.pinned import Compared, SparkPinned
from sqlinfer.adapters.spark.scored import spark, written
from sqlinfer.adapters.spark.session import name, table_name
from sqlinfer.adapters.spark.store import SparkStore
from sqlinfer.relation import literal, quote
from sqlinfer.spec.names import OURS, SCORED_AT, SCORED_BY
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Call

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring

_FACTS = ("status", "wanted", "found", "late")
"""Of each call, in columns that are counted and not published."""


@dataclass(frozen=True, slots=True)
class Beside:
    frame: Any
    """Columns of the scored relation, facts of its calls, and what was asked for besides."""
    columns: tuple[str, ...]
    """Of the scored relation."""
    metrics: Mapping[str, str]
    """Aggregates of the facts: ``Counts`` of the calls, by their positions."""


def rows(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> Beside:
    """Of the whole stage, once all its inputs are scored."""
    compared = pinned.compared
    if compared is None:
        assert pinned.source is not None
        return _looked_up(work, pinned, calls, pinned.source.sql())
    place, lacking = compared.relation.sql(), _lacking(calls)
    left = f"(SELECT * FROM {place} WHERE {lacking})"
    new = _looked_up(work, pinned, calls, left, new=len(calls) == 1)
    same = work.session.frame(spark(f"SELECT * FROM {place} WHERE NOT ({lacking})"))
    return replace(new, frame=same.select(*map(name, new.frame.columns)).unionAll(new.frame))


def compare(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> Compared:
    """A table of all rows with what the store has of them, which ``calls`` alone have to do with."""
    assert pinned.source is not None
    more = [one for call in calls for one in (call.key, call.status) if one]
    found = _looked_up(work, pinned, calls, pinned.source.sql(), more=more)
    table, counts = written(work, None, f"{pinned.stage.relation.name}__compared", found.frame, found.metrics)
    return Compared(table, found.columns, counts)


def lacking_keys(compared: Compared, calls: Sequence[Call]) -> str:
    """SQL of ``input_key`` of inputs that the store lacked."""
    place = table_name(compared.relation)
    return " UNION ALL ".join(
        f"SELECT {name(call.key or '')} AS input_key FROM {place} WHERE {_lacks(position)}"
        for position, call in enumerate(calls)
    )


def counted(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> dict[str, int]:
    """Counts alone, of calls after which the stage has others."""
    assert pinned.source is not None
    source, aliases, _ = _joined(work, pinned, calls, pinned.source.sql())
    facts = ", ".join(item for i, call in enumerate(calls) for item in _facts(call, i, aliases[i]))
    metrics = {"rows": "count(*)", **_metrics(calls)}
    listed = ", ".join(f"{sql} AS {key}" for key, sql in metrics.items())
    found = work.session.rows(f"SELECT {listed} FROM ({spark(f'SELECT {facts} FROM {source}')}) AS f")[0]
    return {key: int(value or 0) for key, value in zip(metrics, found, strict=True)}


def _looked_up(
    work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call], source: str, *, new: bool = False,
    more: Sequence[str] = (),
) -> Beside:  # fmt: skip
    """
    Args:
        calls: those that are counted.
        source: the stage's rows, as something to select from.
        new: the store has nothing of these rows but what this run has scored.
        more: columns of the stage that are handed on, though no query reads them.
    """
    stage = pinned.stage
    stored = [call for call in stage.calls if call.strategy == "store"]
    joined, aliases, stores = _joined(work, pinned, stored, source, new=new)
    items = {column: f"s.{quote(column)}" for column in stage.columns}
    for call, alias, store in zip(stored, aliases, stores, strict=True):
        values = [f"{alias}.{quote(column)}" for column in store.columns]
        items |= dict(zip(call.columns or (call.output,), values, strict=True))
    for call in stage.calls:
        if call.strategy == "stream":
            items |= {one: f"s.{quote(one)}" for one in (call.columns or (call.output,))}
    listed = [f"{sql} AS {quote(one)}" for one, sql in items.items()]
    columns = [*items]
    if pinned.options.lineage:
        listed += latest(aliases)
        columns += [SCORED_BY, SCORED_AT]
    listed += [f"s.{quote(one)}" for one in more if one not in items]
    for position, call in enumerate(calls):
        listed += _facts(call, position, aliases[stored.index(call)])
    frame = work.session.frame(spark(f"SELECT {', '.join(listed)} FROM {joined}"))
    return Beside(frame, tuple(columns), _metrics(calls))


def _joined(
    work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call], source: str, *, new: bool = False
) -> tuple[str, list[str], list[SparkStore]]:
    """FROM with a store for each call, their aliases and stores."""
    stores = [SparkStore.of(work, pinned.options.contracts[call.function]) for call in calls]
    source, aliases = f"{source} AS s", [f"l{position}" for position in range(len(calls))]
    for call, alias, store in zip(calls, aliases, stores, strict=True):
        place = store.relation.sql()
        if new:
            place = f"(SELECT * FROM {place} WHERE run_id = {literal(work.run_id)})"
        source += f" LEFT JOIN {place} AS {alias} ON {alias}.input_key = {key_of(call)}"
    return source, aliases, stores


def _facts(call: Call, position: int, alias: str) -> list[str]:
    """SELECT items over the stage ``s`` beside a store."""
    key, there = key_of(call), "CASE WHEN {} IS NULL THEN 0 ELSE 1 END"
    values = (status_of(call), *map(there.format, (key, f"{alias}.input_key", f"{alias}.error")))
    return [f"{value} AS {_fact(kind, position)}" for kind, value in zip(_FACTS, values, strict=True)]


def _fact(kind: str, position: int) -> str:
    return f"{OURS}_{kind}_{position}"


def _metrics(calls: Sequence[Call]) -> dict[str, str]:
    """Aggregates over columns of facts."""
    found = dict[str, str]()
    for i in range(len(calls)):
        status = _fact("status", i)
        found |= {
            f"inputs_{i}": f"count_if(NOT ({status} <=> '{SKIPPED}'))",
            f"nulls_{i}": f"count_if({status} = '{NULL_INPUT}')",
            f"early_{i}": f"count_if({_spelled(error_rows.is_bad(status))})",
        }
        found |= {f"{kind}_{i}": f"sum({_fact(kind, i)})" for kind in _FACTS[1:]}
    return found


def _lacking(calls: Sequence[Call]) -> str:
    """SQL over a compared row: an input of one of the calls is not in the store."""
    return " OR ".join(_lacks(position) for position in range(len(calls)))


def _lacks(position: int) -> str:
    return f"{_fact('wanted', position)} > {_fact('found', position)}"


def _spelled(condition: str) -> str:
    return spark(f"SELECT {condition}").removeprefix("SELECT ")
