"""What a look-up gives, counted before it is published, and the error records of the rows that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb import error_log
from sqlinfer.adapters.duckdb.key_columns import NO_KEY
from sqlinfer.adapters.duckdb.lookups import LookUp
from sqlinfer.adapters.duckdb.store import holds_twice
from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.shared.lookups import status_of
from sqlinfer.errors import RunError
from sqlinfer.relation import quote
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Counts, Owner, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


def reconcile(work: DuckDBWorkspace, owner: Owner, stage: Stage, one: LookUp, shown: Identity) -> Counts:
    """Count what the look-up will give, write its error records.

    Raises:
        StoreError: a key occurs twice in the store.
        RunError: an input has no result (it is never published as NULL).
    """
    call, rows = one.call, stage.relation.sql()
    status = status_of(call)
    inputs, nulls, early, failed, looked_up = work.rows(
        f"SELECT count(*) FILTER ({status} IS DISTINCT FROM '{SKIPPED}'), count(*) FILTER ({status} = '{NULL_INPUT}'), "
        f"count(*) FILTER ({error_rows.is_bad(status)}), count(*) FILTER ({one.has_failed}), "
        f"count(*) FILTER ({one.is_open}) FROM {rows} AS s"
    )[0]
    late = _looked_up(work, stage, one, looked_up) if looked_up else 0
    late += failed
    if early:
        _record_early(work, owner, stage, one, shown)
    if late:
        _record_late(work, owner, stage, one, shown)
    reused = inputs - nulls - early - late
    if reused < 0:
        raise RunError(f"counts of {call.sql} do not reconcile: {inputs} inputs, {nulls} NULL, {early + late} errors")
    return Counts(inputs, 0, reused, nulls, early + late)


def _looked_up(work: DuckDBWorkspace, stage: Stage, one: LookUp, rows: int) -> int:
    """How many of the ``rows`` whose result is in the joined table failed; each of their keys must be there once."""
    opened = f"SELECT {one.key} FROM {stage.relation.sql()} AS s WHERE {one.is_open}"
    if one.keyed is None or one.keyed.inputs is None or not (one.is_held or one.keyed.store_rows == 0):
        return _failed(work, one, opened, rows)
    inputs = f"SELECT {one.key} FROM {one.keyed.inputs.sql()} AS s"
    failed = _failed_of_same(work, one, inputs)
    if failed is None:
        failed = _failed(work, one, inputs, one.keyed.wanted)
    if failed:
        bad = f"SELECT count(*) FROM ({opened}) AS s{one.join('l')} WHERE l.error IS NOT NULL"
        failed = int(work.rows(bad)[0][0])
    return failed


def _failed_of_same(work: DuckDBWorkspace, one: LookUp, keys: str) -> int | None:
    """How many failed. Compares count and checksum of the keys; None where they differ and a join must tell."""
    if one.table is None:
        return None
    same = "count(*), bit_xor({0}), sum(hash({0}))"
    mine = work.rows(f"SELECT {same.format(one.key)} FROM ({keys}) AS s")[0]
    *found, failed = work.rows(f"SELECT {same.format('input_key')}, count(error) FROM {one.table.sql()}")[0]
    return int(failed) if tuple(found) == mine else None


def _failed(work: DuckDBWorkspace, one: LookUp, keys: str, wanted: int) -> int:
    found, failed, misses = wanted, 0, wanted
    if one.table is not None:
        found, failed, misses = work.rows(
            "SELECT count(*), count(*) FILTER (l.error IS NOT NULL), count(*) FILTER (l.input_key IS NULL) "
            f"FROM ({keys}) AS s{one.join('l')}"
        )[0]
    if found != wanted:
        raise holds_twice(one.call.function, wanted, found)
    if misses:
        raise RunError(f"{misses} inputs of {one.call.sql} have no result in the store; nothing was published")
    return int(failed)


def _record_early(work: DuckDBWorkspace, owner: Owner, stage: Stage, one: LookUp, shown: Identity) -> None:
    """Rows that were bad before scoring: casts, NULLs."""
    status = one.call.status
    assert status is not None
    source = f"{stage.relation.sql()} AS s WHERE {error_rows.is_bad('s.' + quote(status))}"
    _record(work, owner, stage, one, shown, NO_KEY, error_rows.from_status(status, "s"), source)


def _record_late(work: DuckDBWorkspace, owner: Owner, stage: Stage, one: LookUp, shown: Identity) -> None:
    """Rows whose scoring failed; the store says how."""
    source = f"{stage.relation.sql()} AS s JOIN {one.store.relation.sql()} AS l ON l.input_key = {one.key}"
    key, said = "CAST(l.input_key AS VARCHAR)", error_rows.from_error("l.error")
    _record(work, owner, stage, one, shown, key, said, f"{source} WHERE l.error IS NOT NULL")


def _record(
    work: DuckDBWorkspace, owner: Owner, stage: Stage, one: LookUp, shown: Identity, key: str, said: tuple[str, str],
    source: str,
) -> None:  # fmt: skip
    types = work.describe(f"SELECT * FROM {stage.relation.sql()}")
    as_json = error_log.shown_as_json(shown, stage, one.call, types, "s")
    select = error_rows.records(owner, one.call, stage, work.run_id, key, as_json, said, source)
    error_log.add(work, owner, select)
