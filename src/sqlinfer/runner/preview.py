"""A plan's rows without publishing: everything happens in memory, the store is read and never written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Adapter
from sqlinfer.adapters.shared.queries import first_rows
from sqlinfer.errors import SqlinferError
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.identity import identity_of
from sqlinfer.runner.scoring import score_plan, total
from sqlinfer.runner.words import in_users_words
from sqlinfer.spec.outcome import Outcome
from sqlinfer.spec.plan import Plan
from sqlinfer.spec.seconds import Seconds

if TYPE_CHECKING:
    import pyarrow as pa


def preview(plan: Plan, adapter: Adapter, env: RunEnvironment, limit: int | None = None) -> tuple[pa.Table, Outcome]:
    """Rows of the query and what became of the inputs that were scored for them. ``env.workspace`` is not used.

    The limit given here only cuts the result; to score fewer rows, compile the limit into the plan.
    """
    try:
        return _rows(plan, adapter, env, limit)
    except SqlinferError as error:
        raise in_users_words(error, plan) from error.__cause__


def _rows(plan: Plan, adapter: Adapter, env: RunEnvironment, limit: int | None) -> tuple[pa.Table, Outcome]:
    with adapter.scratch() as work, work.warehouse():
        inner = replace(env, workspace=work)
        outcome = Outcome()
        if plan.stages:
            counts = total(score_plan(inner, plan, identity_of(plan), Seconds(), remembered=True))
            outcome = Outcome.of(counts, work.reasons(plan.owner) if counts.errors else ())
        with work.reader(first_rows(plan.result.sql, limit), plain=True) as reader:
            return reader.read_all(), outcome
