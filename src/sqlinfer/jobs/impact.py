"""``sqlinfer freshness --impact``: stale rows scored again: how far scores move, how many decisions flip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.shared.impact import Rescored, decided_sql, fresh_sql, only_sampled
from sqlinfer.adapters.shared.inputs import Comparison
from sqlinfer.adapters.shared.queries import of_each_row
from sqlinfer.adapters.shared.words import kind
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import AdapterError, Location, ProjectError, did_you_mean
from sqlinfer.jobs.confidence import share_interval
from sqlinfer.project import Node
from sqlinfer.relation import fold, quote
from sqlinfer.runner.inputs import Traced, narrowed
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.plan import Plan
from sqlinfer.spec.seconds import Seconds
from sqlinfer.types import canonical, is_numeric

if TYPE_CHECKING:
    from sqlinfer.jobs.night import Night

_SAMPLE = "sample"
_TOP = re.compile(r"\s*top\s+([0-9]{1,12})\s+by\s+(.+)", re.IGNORECASE | re.DOTALL)
_HINT = 'for example decision: "churn_probability > 0.8", decision: label, decision: top 100 by score'


@dataclass(frozen=True, slots=True)
class Impact:
    sampled: int
    flips: int | None = None
    """Decisions that change; None where nothing is decided."""
    low: float | None = None
    """Bounds of the share of flips among all stale rows, of 95 % confidence."""
    high: float | None = None
    mean_shift: float | None = None
    """How far the predicted numbers have moved, on average."""

    @property
    def flip_share(self) -> float | None:
        return None if self.flips is None else self.flips / self.sampled if self.sampled else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "sampled": self.sampled, "flips": self.flips, "flip_share": self.flip_share, "flip_low": self.low,
            "flip_high": self.high, "mean_shift": self.mean_shift,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    sql: str
    whole: bool
    """It looks at other rows of the table, too."""


def impact_of(
    night: Night, node: Node, item: CompiledNode, work: Workspace, compared: tuple[Comparison, Traced], stale: int,
    rows: int, seed: int,
) -> Impact:  # fmt: skip
    """Score ``rows`` of the stale rows in a scratch workspace and compare.

    Raises:
        ProjectError: the decision does not parse, or needs columns that are not there.
    """
    comparison, traced = compared
    with work.warehouse():
        there = work.describe(comparison.published.query(work.dialect))
        columns = _common(there, item.columns)
        decision = decision_of(node, columns, comparison.keys, item.plan)
        if decision is not None:
            _refuse(work, node, decision, comparison)
        work.keep_inputs(_SAMPLE, comparison.sample_sql(rows, seed))
    sample = work.kept_inputs(_SAMPLE)
    assert sample is not None
    plan = narrowed(item.plan, traced, only_sampled(traced.stage.sql, traced.keys, sample, work.dialect))
    env = replace(night.environment(None), workspace=work)
    from sqlinfer.runner.scoring import score_plan  # freshness alone scores nothing

    score_plan(env, plan, Identity(), Seconds(), remembered=True)
    names = tuple(column.name for column in columns)
    fresh = fresh_sql(plan.result.sql, names, work.dialect)
    rescored = Rescored(comparison.published, comparison.keys, sample, fresh, names, work.dialect)
    shifted = [column.name for column in _predicted(plan, columns) if is_numeric(column.data_type)]
    with work.warehouse():
        told = rescored.sql(decision.sql if decision else None, shifted, whole=bool(decision and decision.whole))
        sampled, flips, shift = work.rows(told)[0]
    if flips is None:
        return Impact(sampled, mean_shift=shift)
    low, high = share_interval(flips, sampled, stale)
    return Impact(sampled, flips, low, high, shift)


def decision_of(node: Node, columns: Sequence[Column], keys: Sequence[str], plan: Plan) -> Decision | None:
    """What is configured, else the predicted labels; None where all predictions are numbers.

    Raises:
        ProjectError: it does not parse, or needs a column that is not there.
    """
    import sqlglot  # on use: freshness without a decision parses nothing
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    text = _configured(node)
    if text is None:
        labels = [column for column in _predicted(plan, columns) if not _is_score(column)]
        return Decision(" || '|' || ".join(_text(one, plan.dialect) for one in labels), whole=False) if labels else None
    top = _TOP.fullmatch(text)
    if top:
        order = ", ".join([f"({top[2]}) DESC", *(quote(key, plan.dialect) for key in keys)])
        sql = f"row_number() OVER (ORDER BY {order}) <= {top[1]}"
    else:
        sql = text
    try:
        tree = sqlglot.parse_one(of_each_row(sql, "decision", "t"), dialect=plan.dialect)
    except SqlglotError as error:
        raise _wrong(node, f"decision '{text}' of '{node.name}' does not parse", _HINT) from error
    if (
        not isinstance(tree, exp.Select)
        or len(tree.selects) != 1
        or len(list(tree.find_all(exp.Query))) != 1
        or any(one.find_ancestor(exp.Window) is None for one in tree.find_all(exp.AggFunc))
    ):
        raise _wrong(node, f"decision '{text}' of '{node.name}' is no expression over a row of the table", _HINT)
    known = {fold(column.name): column.name for column in columns}
    for column in tree.find_all(exp.Column):
        first = column.parts[0].name  # of s.label, a field of a struct, the warehouse knows the rest
        if fold(column.name) not in known and fold(first) not in known:
            raise _wrong(
                node, f"decision '{text}' of '{node.name}' needs column '{first}', which is not there",
                did_you_mean(first, known.values()) or f"known: {', '.join(known.values())}",
            )  # fmt: skip
    return Decision(sql, whole=tree.find(exp.Window) is not None)


def _configured(node: Node) -> str | None:
    found = node.config.decision if node.config.decision is not None else node.config.meta.get("decision")
    return None if found is None else str(found)


def _refuse(work: Workspace, node: Node, decision: Decision, comparison: Comparison) -> None:
    """Raises ProjectError where the warehouse cannot make anything of the decision."""
    try:
        work.describe(decided_sql(decision.sql, comparison.published, work.dialect))
    except AdapterError as error:
        text = _configured(node) or decision.sql
        raise _wrong(node, f"decision '{text}' of '{node.name}' is refused: {error.message}", _HINT) from error


def _wrong(node: Node, message: str, hint: str | None) -> ProjectError:
    at = node.raw_sql.find("decision")
    where = Location.in_source(node.raw_sql, at, at + len("decision"), path=node.path) if at >= 0 else node.patch
    return ProjectError(message, hint=hint, location=where or Location(node.path))


def _common(there: Sequence[Column], made: Sequence[Column]) -> tuple[Column, ...]:
    """Columns that the published table and the query have."""
    names = {fold(column.name) for column in made}
    return tuple(column for column in there if fold(column.name) in names)


def _predicted(plan: Plan, columns: Sequence[Column]) -> list[Column]:
    """Columns that hold predictions, their types in DuckDB's spelling."""
    names = {fold(name) for name in plan.result.predictions}
    return [
        replace(column, data_type=canonical(column.data_type, plan.dialect))
        for column in columns
        if fold(column.name) in names
    ]


def _is_score(column: Column) -> bool:
    kind = column.data_type.upper()
    return (
        kind.startswith(("DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC"))
        or kind.endswith(("]", ")"))
        or kind == "BLOB"
    )


def _text(column: Column, dialect: str) -> str:
    return f"coalesce(CAST({quote(column.name, dialect)} AS {kind('VARCHAR', dialect)}), '')"
