"""Rows of a call before anything is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Forecast
from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.spark.pinned import SparkPinned
from sqlinfer.adapters.spark.scored import spark
from sqlinfer.adapters.spark.store import SparkStore
from sqlinfer.relation import quote
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plan import SKIPPED, Call

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring


def forecast(work: SparkScoring, pinned: SparkPinned, call: Call) -> Forecast:
    assert pinned.source is not None
    stage = pinned.source.sql()
    status = quote(call.status) if call.status else "CAST(NULL AS TEXT)"
    missing = " OR ".join(f"{quote(name)} IS NULL" for name in call.arguments) or "FALSE"
    scored = f"NOT ({missing}) AND {status} IS NULL"
    distinct = f"count(DISTINCT CASE WHEN {scored} THEN {quote(call.key)} END)" if call.key else "0"
    sql = (
        f"SELECT count(*), count(CASE WHEN {error_rows.is_bad(status)} THEN 1 END), "
        f"count(CASE WHEN {status} = '{SKIPPED}' THEN 1 END), count(CASE WHEN {scored} THEN 1 END), {distinct} "
        f"FROM {stage}"
    )
    rows, errors, out, inputs, different = work.session.rows(spark(sql))[0]
    known = _known(work, pinned, call) if call.key else 0
    return Forecast(rows - out, different if call.key else inputs, known, rows - out - errors - inputs, errors)


def _known(work: SparkScoring, pinned: SparkPinned, call: Call) -> int:
    store = SparkStore.of(work, FunctionContract(call.function, call.digest, (), ()))
    assert pinned.source is not None
    key, stage = quote(call.key or ""), work.session.there(pinned.source).sql()
    with work.session.durable():
        if store.table() is None:
            return 0
        return int(work.session.value(spark(
            f"SELECT count(DISTINCT q.{key}) FROM {stage} AS q "
            f"JOIN {store.relation.sql()} AS s ON s.input_key = q.{key}"
        )))  # fmt: skip
