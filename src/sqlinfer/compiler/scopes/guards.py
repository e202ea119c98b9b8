"""Guards: the conditions under which SQL evaluates a call inside CASE, AND, OR, IF, COALESCE or FILTER."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from sqlinfer.compiler.scopes.analyse import text


@dataclass(frozen=True, slots=True)
class Guard:
    condition: exp.Expr
    strict: bool
    """Whether what stands inside may be evaluated only where this is true. The operands of AND and OR have no order."""


def guards_of(call: exp.Expr, root: exp.Expr, before: Callable[[exp.Expr], bool]) -> list[Guard]:
    """The conditions for evaluating ``call`` inside ``root``, outermost first; none where it is always evaluated.

    ``before`` tells for an operand of AND or OR with calls whether it is known when ``call`` is scored; operands
    without calls always are. CASE and COALESCE fix the order themselves.
    """
    steps: list[list[Guard]] = []
    child, parent = call, call.parent
    while child is not root and parent is not None:
        if isinstance(parent, (exp.Lambda, exp.Comprehension)):
            steps.clear()  # they may be about the elements of the list
        strict = not isinstance(parent, (exp.And, exp.Or))
        steps.append([Guard(condition, strict) for condition in _step(child, parent, before)])
        child, parent = parent, parent.parent
    unique: dict[str, Guard] = {}
    for guard in (g for step in reversed(steps) for g in step):
        unique.setdefault(text(guard.condition), guard)
    return list(unique.values())


def chained(guards: Sequence[Guard]) -> exp.Expr:
    """All of them, each evaluated only where the strict ones before it are true: AND promises no order, CASE does."""
    groups: list[list[exp.Expr]] = [[]]
    for guard in guards:
        groups[-1].append(guard.condition.copy())
        if guard.strict:
            groups.append([])
    parts = [exp.and_(*group, copy=False) for group in groups if group]
    whole = parts[-1]
    for part in reversed(parts[:-1]):
        whole = exp.case().when(part, whole, copy=False)
    return whole


def _step(child: exp.Expr, parent: exp.Expr, before: Callable[[exp.Expr], bool]) -> list[exp.Expr]:
    if isinstance(parent, (exp.And, exp.Or)):
        other = parent.right if child is parent.left else parent.left
        wanted = exp.false() if isinstance(parent, exp.And) else exp.true()
        return [_is_not(part, wanted) for part in _operands(other, type(parent)) if before(part)]
    if isinstance(parent, exp.If) and isinstance(parent.parent, exp.Case):
        return _case_branch(child, parent, parent.parent)
    if isinstance(parent, exp.If):
        if child.arg_key == "true":
            return [_is(parent.this)]
        return [_is_not(parent.this, exp.true())] if child.arg_key == "false" else []
    if isinstance(parent, exp.Case) and child.arg_key == "default":
        return [_is_not(_condition(parent, branch), exp.true()) for branch in parent.args["ifs"]]
    if isinstance(parent, exp.Coalesce):
        operands = [parent.this, *parent.expressions]
        index = next(i for i, operand in enumerate(operands) if operand is child)
        return [exp.Is(this=exp.paren(o.copy()), expression=exp.null()) for o in operands[:index]]
    if isinstance(parent, exp.Filter) and child.arg_key == "this":
        return [_is(parent.expression.this)]
    return []


def _operands(node: exp.Expr, kind: type[exp.Expr]) -> list[exp.Expr]:
    inner = node.unnest()
    return [p for part in inner.flatten() for p in _operands(part, kind)] if isinstance(inner, kind) else [inner]


def _case_branch(child: exp.Expr, branch: exp.If, case: exp.Case) -> list[exp.Expr]:
    branches = case.args["ifs"]
    index = next(i for i, item in enumerate(branches) if item is branch)
    if child.arg_key == "this" and index == 0:
        return []
    earlier = [_is_not(_condition(case, item), exp.true()) for item in branches[:index]]
    return [*earlier, _is(_condition(case, branch))] if child.arg_key == "true" else earlier


def _condition(case: exp.Case, branch: exp.If) -> exp.Expr:
    if case.this is None:
        return branch.this  # type: ignore[no-any-return]
    return exp.EQ(this=exp.paren(case.this.copy()), expression=exp.paren(branch.this.copy()))


def _is(condition: exp.Expr) -> exp.Expr:
    return exp.Is(this=exp.paren(condition.copy()), expression=exp.true())


def _is_not(condition: exp.Expr, value: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=exp.paren(condition.copy()), expression=value))
