"""Rows of a call before anything is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Forecast
from sqlinfer.adapters.postgres.pinned import PostgresPinned
from sqlinfer.adapters.postgres.store import store_relation
from sqlinfer.adapters.shared import error_rows
from sqlinfer.relation import quote
from sqlinfer.spec.names import ROW
from sqlinfer.spec.plan import SKIPPED, Call

if TYPE_CHECKING:
    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace


def forecast(work: PostgresWorkspace, pinned: PostgresPinned, call: Call) -> Forecast:
    stage = pinned.stage.relation.sql()
    status = quote(call.status) if call.status else "NULL::text"
    missing = " OR ".join(f"{quote(name)} IS NULL" for name in call.arguments) or "FALSE"
    key = quote(call.key) if call.key else ROW
    scored = f"NOT ({missing}) AND {status} IS NULL"
    rows, errors, out, inputs, distinct = work.session.rows(
        f"SELECT count(*), count(*) FILTER (WHERE {error_rows.is_bad(status)}), "
        f"count(*) FILTER (WHERE {status} = '{SKIPPED}'), "
        f"count(*) FILTER (WHERE {scored}), count(DISTINCT {key}) FILTER (WHERE {scored}) FROM {stage}"
    )[0]
    known = _known(work, pinned, call) if call.key else 0
    return Forecast(rows - out, distinct, known, rows - out - errors - inputs, errors)


def _known(work: PostgresWorkspace, pinned: PostgresPinned, call: Call) -> int:
    key, stage = quote(call.key or ""), work.session.there(pinned.stage.relation)
    store = work.durable_store(store_relation(work.settings, call.function, call.digest))
    if store is None:
        return 0
    with work.session.durable():
        return int(work.session.value(
            f"SELECT count(DISTINCT q.{key}) FROM {stage.sql()} AS q "
            f"JOIN {store.sql()} AS s ON s.input_key = q.{key}"
        ))  # fmt: skip
