"""What tells the inputs of a call apart, over a row of its stage: the key of the store, or what would be that of a
stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlglot import exp

from sqlinfer.compiler.forms import FORMS, Form
from sqlinfer.compiler.forms.base import is_null
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import ROW_ALIAS
from sqlinfer.spec.plan import Call, Plan


def with_identities(plan: Plan, contracts: Mapping[str, FunctionContract]) -> Plan:
    """``Call.identity`` of every call."""
    stages = tuple(
        replace(
            stage,
            calls=tuple(replace(c, identity=identity(c, contracts[c.function], plan.dialect)) for c in stage.calls),
        )
        for stage in plan.stages
    )
    return replace(plan, stages=stages)


def identity(call: Call, contract: FunctionContract, dialect: str, alias: str = ROW_ALIAS) -> str:
    """SQL; NULL where the row is not scored. ``alias``: of the stage."""
    if call.key is not None:
        return exp.column(call.key, table=alias, quoted=True).sql(dialect=dialect)
    form = FORMS.get(dialect, Form)(dialect)
    columns = [exp.column(name, table=alias, quoted=True) for name in call.arguments]
    ready: list[exp.Expr] = [exp.not_(is_null(column.copy())) for column in columns]
    if call.status is not None:
        ready.append(is_null(exp.column(call.status, table=alias, quoted=True)))
    pairs: list[tuple[exp.Expr, str]] = [
        (column, argument.data_type) for column, argument in zip(columns, contract.arguments, strict=True)
    ]
    return form.sql(exp.case().when(exp.and_(*ready), form.key(pairs)))
