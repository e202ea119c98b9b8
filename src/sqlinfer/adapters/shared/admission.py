"""How much of a pinned stage is to be scored, for any dialect: asked before the first row is."""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.relation import Relation, quote
from sqlinfer.spec.plan import Call, Stage


def unknown_inputs_sql(stage: Stage, calls: Sequence[Call], store: Relation | None) -> str:
    """Count the distinct inputs of calls of one function that the store lacks. ``store``: None where there is none."""
    keys = " UNION ALL ".join(
        f"SELECT q.{quote(call.key or '')} AS input_key FROM {stage.relation.sql()} AS q" for call in calls
    )
    known = f" AND NOT EXISTS (SELECT 1 FROM {store.sql()} AS s WHERE s.input_key = k.input_key)" if store else ""
    return f"SELECT count(DISTINCT k.input_key) FROM ({keys}) AS k WHERE k.input_key IS NOT NULL{known}"


def streamed_inputs_sql(stage: Stage, call: Call) -> str:
    """Count the rows that a stream scores."""
    names = (*call.arguments, *((call.status,) if call.status else ()))
    ready = [f"q.{quote(name)} IS {'NULL' if name == call.status else 'NOT NULL'}" for name in dict.fromkeys(names)]
    return f"SELECT count(*) FROM {stage.relation.sql()} AS q WHERE {' AND '.join(ready) or 'TRUE'}"
