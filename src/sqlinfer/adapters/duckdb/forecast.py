"""What scoring would find: rows of a call before anything is scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Forecast
from sqlinfer.adapters.duckdb.names import SIDE, STORE
from sqlinfer.adapters.duckdb.pinned import DuckDBPinned
from sqlinfer.adapters.shared.admission import streamed_inputs_sql, unknown_inputs_sql
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import store_name
from sqlinfer.spec.plan import SKIPPED, Call

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


def forecast(work: DuckDBWorkspace, pinned: DuckDBPinned, call: Call) -> Forecast:
    stage = pinned.stage.relation.sql()
    status = quote(call.status) if call.status else "NULL"
    missing = " OR ".join(f"{quote(name)} IS NULL" for name in call.arguments) or "FALSE"
    bad = f"coalesce({status}, '') LIKE 'cast_error%' OR coalesce({status}, '') LIKE 'null_error%'"
    skipped = f"coalesce({status}, '') = '{SKIPPED}'"
    key = quote(call.key) if call.key else "rowid"
    scored = f"NOT ({missing}) AND {status} IS NULL"
    rows, errors, out, inputs, distinct = work.rows(
        f"SELECT count(*), count(*) FILTER (WHERE {bad}), count(*) FILTER (WHERE {skipped}), "
        f"count(*) FILTER (WHERE {scored}), count(DISTINCT {key}) FILTER (WHERE {scored}) FROM {stage}"
    )[0]
    known = _known(work, stage, call, scored) if call.key else 0
    return Forecast(rows - out, distinct, known, rows - out - errors - inputs, errors)


def unscored(work: DuckDBWorkspace, pinned: DuckDBPinned, calls: Sequence[Call]) -> int:
    if calls[0].strategy == "stream":
        counting = streamed_inputs_sql(pinned.stage, calls[0])
    else:
        store = Relation(store_name(calls[0].function, calls[0].digest), STORE, SIDE)
        counting = unknown_inputs_sql(pinned.stage, calls, store if work.has(store) else None)
    return int(work.rows(counting)[0][0])


def _known(work: DuckDBWorkspace, stage: str, call: Call, scored: str) -> int:
    name, key = store_name(call.function, call.digest), quote(call.key or "")
    store = Relation(name, STORE, SIDE)
    if not work.has(store) and not work.load_store(name):
        return 0
    found = work.rows(
        f"SELECT count(DISTINCT q.{key}) FROM {stage} AS q WHERE {scored} "
        f"AND EXISTS (SELECT 1 FROM {store.sql()} AS s WHERE s.input_key = q.{key})"
    )
    return int(found[0][0])
