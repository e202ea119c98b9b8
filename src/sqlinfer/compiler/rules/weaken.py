"""What a condition with calls implies without them is added beside it, so that it goes below the model.

Predictions are taken as unknown: where the condition is true the weaker one is. Factors that all branches of an OR
share come out of it, so that a join under OR is an equality join.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlglot import exp

from sqlinfer.compiler.scopes.analyse import and_all, flat_conjuncts, has_calls, is_volatile, tables_of, text

Unknown = Callable[[exp.Expr], bool]
"""Whether an expression's value is not known below the model."""


def weaken(query: exp.Query) -> exp.Query:
    """
    >>> from sqlglot import parse_one
    >>> from sqlinfer.compiler.calls.canonical import PredictCall
    >>> tree = parse_one("SELECT 1 FROM a, b WHERE (a.k = b.k AND a.p) OR (a.k = b.k AND f(a.x) > 1)")
    >>> tree = tree.transform(lambda n: PredictCall(this='f', expressions=n.expressions) if n.name == 'f' else n)
    >>> weaken(tree).args["where"].this.right.sql()
    'a.k = b.k'
    """
    for select in query.find_all(exp.Select):
        for owner, key in _places(select):
            _add(owner, key)
    return query


def _places(select: exp.Select) -> Iterable[tuple[exp.Expr, str]]:
    for key in ("where", "having", "qualify"):
        if select.args.get(key):
            yield select.args[key], "this"
    for join in select.args.get("joins") or []:
        if join.args.get("on"):
            yield join, "on"


def _add(owner: exp.Expr, key: str) -> None:
    parts = flat_conjuncts(owner.args[key])
    known = {_identity(p) for p in parts}
    added: list[exp.Expr] = []
    for part in parts:
        if has_calls(part):
            for weaker in implied(part):
                if _identity(weaker) not in known:
                    known.add(_identity(weaker))
                    added.append(weaker)
    if added:
        owner.set(key, and_all([*parts, *added]))


def implied(condition: exp.Expr, unknown: Unknown = has_calls) -> list[exp.Expr]:
    """Conditions without unknown parts that hold wherever ``condition`` does; none where it says nothing."""
    return [part for part in _when(condition, unknown, truth=True) if not isinstance(part, exp.Boolean)]


def factors(condition: exp.Expr) -> list[exp.Expr]:
    """What each branch of an OR requires."""
    return _when(condition, lambda _: False, truth=True)


def _when(node: exp.Expr, unknown: Unknown, *, truth: bool) -> list[exp.Expr]:
    """Conjuncts that hold where ``node`` is true (or false), by De Morgan's laws."""
    node = node.unnest()
    if isinstance(node, exp.Not):
        return _when(node.this, unknown, truth=not truth)
    if isinstance(node, (exp.And, exp.Or)):
        branches = [_when(p, unknown, truth=truth) for p in node.flatten()]
        both = isinstance(node, exp.And) == truth
        return _distinct(p for b in branches for p in b) if both else _either(branches)
    if unknown(node) or is_volatile(node) or node.find(exp.Query) is not None:
        return []
    return [node.copy() if truth else exp.not_(exp.paren(node.copy()), copy=False)]


def _either(branches: Sequence[list[exp.Expr]]) -> list[exp.Expr]:
    """Common factors, what each branch says about one source, and the OR of what else they say."""
    if not all(branches):
        return []
    common = set.intersection(*({_identity(p) for p in b} for b in branches))
    shared = [p for p in branches[0] if _identity(p) in common]
    rest = [[p for p in b if _identity(p) not in common] for b in branches]
    if not all(rest):
        return shared  # one branch says no more than that
    whole = [and_all(b) for b in rest]
    if len({t for w in whole for t in tables_of(w)}) > 1:
        shared = [*shared, *_of_one_source(rest)]
    either = exp.or_(*[w for w in whole if w is not None], copy=False)
    return _distinct([*shared, either])


def _of_one_source(branches: Sequence[list[exp.Expr]]) -> list[exp.Expr]:
    """For each source that every branch restricts by itself, the OR of these restrictions."""
    found: list[exp.Expr] = []
    alone: list[dict[str, list[exp.Expr]]] = [{} for _ in branches]
    for own, branch in zip(alone, branches, strict=True):
        for part in branch:
            tables = tables_of(part)
            if len(tables) == 1:
                own.setdefault(next(iter(tables)), []).append(part)
    for name in alone[0]:
        if all(name in own for own in alone):
            parts = [and_all(own[name]) for own in alone]
            found.append(exp.or_(*[p for p in parts if p is not None], copy=False))
    return found


def _identity(node: exp.Expr) -> str:
    """Equal for a = b and b = a too."""
    if isinstance(node, exp.EQ):
        return " = ".join(sorted((text(node.this), text(node.expression))))
    return text(node)


def _distinct(parts: Iterable[exp.Expr]) -> list[exp.Expr]:
    return list({_identity(p): p for p in parts}.values())
