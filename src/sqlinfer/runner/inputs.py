"""How the rows of a published table are told apart, and which inputs each was scored from.

A row of the result is found in the stage that its predictions were made on by the columns of its key, where they are
handed on as they are. What a night has scored it from is kept in the side catalog (one table for each run, under the
run's id, so that it counts exactly when that run has been published) and compared later with what the stage has then.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Materialization, Workspace
from sqlinfer.adapters.shared.inputs import RowInputs, kept_sql, last_run_sql, run_sql, short
from sqlinfer.errors import AdapterError
from sqlinfer.project import DataTest, Node
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.events import Warned
from sqlinfer.spec.names import ROW_ALIAS, input_runs_name, inputs_name
from sqlinfer.spec.plan import Plan, Stage

if TYPE_CHECKING:
    from sqlinfer.runner.environment import RunEnvironment


@dataclass(frozen=True, slots=True)
class Traced:
    """The stage that knows the inputs of every row."""

    stage: Stage
    keys: tuple[str, ...]
    """Columns of the stage, in the order of the unique key."""
    grouped: bool
    """The result may make one row of several."""

    def rows(self, source: str, dialect: str) -> RowInputs:
        """``source``: FROM clause of the stage's rows."""
        inputs = tuple(short(call.identity, dialect) for call in self.stage.calls)
        keys = tuple(f"{ROW_ALIAS}.{quote(name, dialect)}" for name in self.keys)
        return RowInputs(source, keys, inputs, self.grouped, dialect)


def row_key(node: Node) -> tuple[str, ...]:
    """What tells the rows of the table apart: its unique key, else a column that a test holds to be unique."""
    tested = [test.column for test in node.tests if test.kind == "unique" and test.column and _holds_for_all(test)]
    return node.config.unique_key or tuple(tested[:1])


def _holds_for_all(test: DataTest) -> bool:
    """Whether no row that fails the test is published."""
    lax = {"limit", "fail_calc"} & {name for name, value in test.config.items() if value is not None}
    return test.severity == "error" and not test.where and test.error_if == "!= 0" and not lax


def trace(plan: Plan, unique_key: Sequence[str]) -> Traced | str:
    """The stage, or why the rows of the result are not found in one."""
    if not unique_key:
        return "it has no unique_key, so that its rows cannot be told apart; add unique_key='…' to its config"
    reads = plan.result.reads
    found = [stage for stage in plan.stages if stage.scored is not None and stage.scored.name in reads.stages]
    if len(found) != 1 or len(reads.stages) != 1 or reads.warehouse:
        return "its rows are put together from more than one relation after scoring"
    (stage,) = found
    if stage not in plan.early or len([one for one in plan.stages if one.calls]) > 1:
        return "some of its predictions are made from others, or only where others say so"
    origins = {fold(name): of for name, of in plan.result.origins}
    columns = {fold(name): name for name in stage.columns}
    keys = [columns.get(fold(origins.get(fold(name), ""))) for name in unique_key]
    if None in keys:
        return f"its unique_key '{unique_key[keys.index(None)]}' is made after scoring"
    return Traced(stage, tuple(name for name in keys if name), plan.result.scan is None)


def keep_inputs(
    env: RunEnvironment, plan: Plan, node: Node, how: Materialization, key_columns: Sequence[str], at: datetime
) -> bool:
    """Before the publication: what its rows were scored from. Whether it is kept; a night never fails by it."""
    work, side = env.workspace, plan.owner.side
    traced = trace(plan, key_columns)
    if isinstance(traced, str) or not work.persistent or not work.has(traced.stage.relation):
        return False
    functions = functions_of(plan)
    try:
        names = list(work.notes("inputs").get(side, {}).get("names", ()))
        base = _published(env, node, how.target, names, side) if how.adds or len(names) > 1 else names[-1:]
        rows = traced.rows(traced.stage.relation.sql(plan.dialect), plan.dialect)
        below, runs, number = _below(env, base[0], rows) if base and how.adds else (None, None, 1)
        mine = inputs_name(side, env.run_id)
        work.keep_inputs(input_runs_name(mine), run_sql(number, functions, at, runs, plan.dialect))
        work.keep_inputs(mine, kept_sql(rows, number, below))
        _let_go(env, side, [name for name in names if name not in (*base, mine)], [*base, mine])
    except AdapterError as error:
        env.emit(Warned(node.unique_id, f"what its rows were scored from could not be kept: {error.message}"))
        return False
    return True


def settle_inputs(env: RunEnvironment, plan: Plan) -> None:
    """After the publication: what was kept of earlier runs goes."""
    side = plan.owner.side
    mine = inputs_name(side, env.run_id)
    with suppress(AdapterError):
        names = env.workspace.notes("inputs").get(side, {}).get("names", ())
        _let_go(env, side, [name for name in names if name != mine], [mine] if mine in names else [])


def functions_of(plan: Plan) -> tuple[str, ...]:
    """``name@digest`` of each function that is called."""
    return tuple(dict.fromkeys(f"{call.function}@{call.digest[:12]}" for call in plan.calls))


def _published(env: RunEnvironment, node: Node, target: Relation, names: Sequence[str], side: str) -> list[str]:
    """The one of the tables that belongs to what is published."""
    if not names:
        return []
    with env.workspace.warehouse(brief=True):
        last = env.workspace.last_run(target, node.unique_id)
    return [] if last is None else [name for name in names if name == inputs_name(side, last.run_id)]


def _below(env: RunEnvironment, name: str, rows: RowInputs) -> tuple[Relation | None, Relation | None, int]:
    """What is kept of rows that stay: their table, that of their runs, and the number of the next run."""
    work = env.workspace
    kept, runs = work.kept_inputs(name), work.kept_inputs(input_runs_name(name))
    if kept is None or runs is None or not fits(work, kept, rows):
        return None, None, 1
    return kept, runs, int(work.rows(last_run_sql(runs, work.dialect))[0][0]) + 1


def fits(work: Workspace, kept: Relation, rows: RowInputs) -> bool:
    """What is kept of a query with another key or number of calls is of no use."""
    wanted = {*(f"k{n}" for n in range(len(rows.keys))), *(f"i{n}" for n in range(len(rows.inputs))), "run"}
    return {column.name for column in work.describe(kept.query(work.dialect))} == wanted


def _let_go(env: RunEnvironment, side: str, names: Sequence[str], left: Sequence[str]) -> None:
    for name in names:
        env.workspace.drop_inputs(name)
        env.workspace.drop_inputs(input_runs_name(name))
    if names or left:
        env.workspace.note("inputs", side, {"names": list(left)} if left else None)


def narrowed(plan: Plan, traced: Traced, sql: str) -> Plan:
    """The plan over some rows of its stage. ``sql`` gives them."""

    def one(stage: Stage) -> Stage:
        return replace(stage, sql=sql, scan=None, reproducible=False) if stage is traced.stage else stage

    return replace(plan, stages=tuple(one(stage) for stage in plan.stages))
