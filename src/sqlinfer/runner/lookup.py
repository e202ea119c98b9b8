"""What the store knows, put beside the rows of a stage: the scored relation, its counts and its error records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlinfer.errors import RunError
from sqlinfer.relation import Relation, quote
from sqlinfer.runner import errorlog
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.identity import Identity
from sqlinfer.runner.keyed import FAILED, KeyedCall
from sqlinfer.runner.store import StoreTable, holds_twice
from sqlinfer.spec.names import SCORED_AT, SCORED_BY
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Call, Counts, Owner, Stage


@dataclass(frozen=True, slots=True)
class LookUp:
    """Where the results of one call of a stage are. In SQL the stage is ``s``, the joined table ``alias``."""

    call: Call
    store: StoreTable
    table: Relation | None
    """Joined on the key; None where the stage holds every result."""
    keyed: KeyedCall | None = None

    @property
    def key(self) -> str:
        return f"s.{quote(self.call.key or '')}"

    @property
    def is_held(self) -> bool:
        """Whether the stage holds what the store knew when it was made."""
        return self.keyed is not None and self.keyed.known is not None

    def join(self, alias: str) -> str:
        return f" LEFT JOIN {self.table.sql()} AS {alias} ON {alias}.input_key = {self.key}" if self.table else ""

    def value(self, alias: str) -> str:
        if self.keyed is None or self.keyed.known is None:
            return self.store.value(alias)
        if self.table is None:
            return f"s.{self.keyed.known}"
        return f"CASE WHEN {self.keyed.is_new('s')} THEN {self.store.value(alias)} ELSE s.{self.keyed.known} END"

    @property
    def is_open(self) -> str:
        """SQL: the row's result is in the joined table, not in the stage."""
        return self.keyed.is_new("s") if self.keyed and self.is_held else f"{self.key} IS NOT NULL"

    @property
    def has_failed(self) -> str:
        """SQL: the stage knows that scoring the row failed on an earlier night."""
        return f"s.{self.keyed.state} = {FAILED}" if self.keyed and self.is_held else "FALSE"


def lookup_columns(stage: Stage, found: Sequence[LookUp], columns: Sequence[str]) -> tuple[list[str], str]:
    """SELECT items and FROM clause that put the results of calls beside ``columns`` of the stage."""
    items = [f"s.{quote(column)}" for column in columns]
    source = f"{stage.relation.sql()} AS s"
    for position, one in enumerate(found):
        items.append(f"{one.value(f'l{position}')} AS {quote(one.call.output)}")
        source += one.join(f"l{position}")
    if not any(one.is_held for one in found):
        items += _latest([f"l{position}" for position in range(len(found))])
    return items, source


def _latest(aliases: Sequence[str]) -> list[str]:
    """The run that scored the row last: of several calls the one with the latest time."""
    if not aliases:
        return []
    at = ", ".join(f"{alias}.scored_at" for alias in aliases)
    moment = f"greatest({at})" if len(aliases) > 1 else at
    runs = " ".join(f"WHEN {alias}.scored_at = {moment} THEN {alias}.run_id" for alias in aliases)
    return [f"CASE {runs} END AS {SCORED_BY}", f"{moment} AS {SCORED_AT}"]


def reconcile(env: RunEnvironment, owner: Owner, stage: Stage, one: LookUp, scored: int, identity: Identity) -> Counts:
    """Count what the look-up will give, write its error records.

    Raises:
        StoreError: a key occurs twice in the store.
        RunError: an input has no result (it is never published as NULL).
    """
    call, rows = one.call, stage.relation.sql()
    status = f"s.{quote(call.status)}" if call.status else f"CASE WHEN {one.key} IS NULL THEN '{NULL_INPUT}' END"
    inputs, nulls, early, failed, looked_up = env.workspace.rows(
        f"SELECT count(*) FILTER ({status} IS DISTINCT FROM '{SKIPPED}'), count(*) FILTER ({status} = '{NULL_INPUT}'), "
        f"count(*) FILTER ({errorlog.is_bad(status)}), count(*) FILTER ({one.has_failed}), "
        f"count(*) FILTER ({one.is_open}) FROM {rows} AS s"
    )[0]
    late = _looked_up(env, stage, one, looked_up) if looked_up else 0
    late += failed
    if early:
        _record_early(env, owner, stage, call, identity)
    if late:
        _record_late(env, owner, stage, one, identity)
    reused = inputs - scored - nulls - early - late
    if reused < 0:
        raise RunError(
            f"counts of {call.sql} do not reconcile: {inputs} inputs, {scored} scored, {early + late} errors"
        )
    return Counts(inputs, scored, reused, nulls, early + late)


def _looked_up(env: RunEnvironment, stage: Stage, one: LookUp, rows: int) -> int:
    """How many of the ``rows`` whose result is in the joined table failed; each of their keys must be there once."""
    opened = f"SELECT {one.key} FROM {stage.relation.sql()} AS s WHERE {one.is_open}"
    if one.keyed is None or one.keyed.inputs is None or not (one.is_held or one.keyed.store_rows == 0):
        return _failed(env, one, opened, rows)
    inputs = f"SELECT {one.key} FROM {one.keyed.inputs.sql()} AS s"
    failed = _failed_of_same(env, one, inputs)
    if failed is None:
        failed = _failed(env, one, inputs, one.keyed.wanted)
    if failed:
        bad = f"SELECT count(*) FROM ({opened}) AS s{one.join('l')} WHERE l.error IS NOT NULL"
        failed = int(env.workspace.rows(bad)[0][0])
    return failed


def _failed_of_same(env: RunEnvironment, one: LookUp, keys: str) -> int | None:
    """How many failed. Compares count and checksum of the keys; None where they differ and a join must tell."""
    if one.table is None:
        return None
    same = "count(*), bit_xor({0}), sum(hash({0}))"
    mine = env.workspace.rows(f"SELECT {same.format(one.key)} FROM ({keys}) AS s")[0]
    *found, failed = env.workspace.rows(f"SELECT {same.format('input_key')}, count(error) FROM {one.table.sql()}")[0]
    return int(failed) if tuple(found) == mine else None


def _failed(env: RunEnvironment, one: LookUp, keys: str, wanted: int) -> int:
    found, failed, misses = wanted, 0, wanted
    if one.table is not None:
        found, failed, misses = env.workspace.rows(
            "SELECT count(*), count(*) FILTER (l.error IS NOT NULL), count(*) FILTER (l.input_key IS NULL) "
            f"FROM ({keys}) AS s{one.join('l')}"
        )[0]
    if found != wanted:
        raise holds_twice(one.call.function, wanted, found)
    if misses:
        raise RunError(f"{misses} inputs of {one.call.sql} have no result in the store; nothing was published")
    return int(failed)


def _shown(env: RunEnvironment, stage: Stage, call: Call, identity: Identity) -> str:
    types = env.workspace.describe(f"SELECT * FROM {stage.relation.sql()}")
    return identity.json(stage, call, types, "s")


def _record_early(env: RunEnvironment, owner: Owner, stage: Stage, call: Call, identity: Identity) -> None:
    """Rows that were bad before scoring: casts, NULLs."""
    assert call.status is not None
    found, said = errorlog.from_status(call.status, "s")
    where = f"{stage.relation.sql()} AS s WHERE {errorlog.is_bad('s.' + quote(call.status))}"
    parts = (errorlog.NO_KEY, _shown(env, stage, call, identity), found, said)
    env.workspace.execute(errorlog.insert(owner, call, stage, env.run_id, parts, where))


def _record_late(env: RunEnvironment, owner: Owner, stage: Stage, one: LookUp, identity: Identity) -> None:
    """Rows whose scoring failed; the store says how."""
    found, said = errorlog.from_error("l.error")
    source = f"{stage.relation.sql()} AS s JOIN {one.store.relation.sql()} AS l ON l.input_key = {one.key}"
    parts = ("l.input_key", _shown(env, stage, one.call, identity), found, said)
    where = f"{source} WHERE l.error IS NOT NULL"
    env.workspace.execute(errorlog.insert(owner, one.call, stage, env.run_id, parts, where))
