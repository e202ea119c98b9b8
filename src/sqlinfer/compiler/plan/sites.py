"""The distinct calls of one SELECT: where they stand, what guards them, and in which wave each is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall
from sqlinfer.compiler.scopes.analyse import (
    calls_in,
    flat_conjuncts,
    has_calls,
    inner_aliases,
    is_aggregated,
    sources,
    tables_of,
    text,
)
from sqlinfer.compiler.scopes.guards import chained, guards_of
from sqlinfer.spec.function import FunctionContract


@dataclass(frozen=True, slots=True)
class Site:
    """One distinct call (function and arguments) of a SELECT."""

    identity: str
    call: PredictCall
    contract: FunctionContract
    guard: exp.Expr | None
    wave: int
    output: str
    partial: bool = False
    """Whether SQL may evaluate it for fewer rows than ``guard`` says: an argument that fails must not fail the run."""


@dataclass(frozen=True, slots=True)
class _Occurrence:
    call: PredictCall
    root: exp.Expr
    conjunct: int | None
    """Position in the order of the WHERE conjuncts, where it stands in one."""


def filters(select: exp.Select) -> tuple[list[exp.Expr], list[exp.Expr]]:
    """WHERE split into what may stand below the model and what holds calls or outer columns."""
    below: list[exp.Expr] = []
    above: list[exp.Expr] = []
    names = set(sources(select))
    for part in flat_conjuncts(select.args.get("where")):
        local = tables_of(part) <= names | inner_aliases(part)
        (below if local and not has_calls(part) else above).append(part)
    return below, above


def ordered_conjuncts(select: exp.Select, functions: Mapping[str, FunctionContract]) -> list[exp.Expr]:
    """The conjuncts with calls over own columns, the cheaper function first; outer columns are not known below."""
    names = set(sources(select))
    parts = [c for c in filters(select)[1] if has_calls(c) and tables_of(c) <= names | inner_aliases(c)]
    return sorted(parts, key=lambda c: max(functions[p.function].cost_per_row for p in calls_in(c)))


def sites(select: exp.Select, functions: Mapping[str, FunctionContract], first_output: int) -> list[Site]:
    """The calls that are scored over the rows of this SELECT, in waves: a call's arguments, guards and the filters
    before it only use calls of earlier waves."""
    found = _occurrences(select, functions)
    order = {identity: i for i, identity in enumerate(_ranked(found, functions))}
    names, grouped = set(sources(select)), is_aggregated(select)
    known = {identity: _guard(found[identity], order, identity, names, grouped) for identity in found}
    guards = {identity: guard for identity, (guard, _) in known.items()}
    partial = {identity for identity, (_, left_out) in known.items() if left_out}
    while True:
        waves, cyclic = _waves(select, found, guards, functions)
        if cyclic is None:
            break
        guards[cyclic] = None
        partial.add(cyclic)
    result = []
    for number, identity in enumerate(order):
        call = found[identity][0].call
        guard = guards[identity]
        output = f"_p{first_output + number}"
        contract = functions[call.function]
        result.append(Site(identity, call, contract, guard, waves[identity], output, identity in partial))
    return result


def has_sites(select: exp.Select, functions: Mapping[str, FunctionContract]) -> bool:
    """Whether a call is scored over the rows of this SELECT."""
    return bool(_occurrences(select, functions))


def _occurrences(select: exp.Select, functions: Mapping[str, FunctionContract]) -> dict[str, list[_Occurrence]]:
    names = set(sources(select))
    found: dict[str, list[_Occurrence]] = {}
    conjunct_order = [id(c) for c in ordered_conjuncts(select, functions)]
    for root, position in _roots(select, conjunct_order):
        for call in calls_in(root):
            # a call inside a subquery belongs here if all its columns do
            tables = tables_of(call) - inner_aliases(call)
            if not tables <= names or (_inside_subquery(call, root) and not tables):
                continue
            found.setdefault(text(call), []).append(_Occurrence(call, root, position))
    return found


def _roots(select: exp.Select, conjunct_order: list[int]) -> list[tuple[exp.Expr, int | None]]:
    roots: list[tuple[exp.Expr, int | None]] = []
    for part in filters(select)[1]:
        roots.append((part, conjunct_order.index(id(part)) if id(part) in conjunct_order else None))
    roots += [(e, None) for e in select.expressions]
    for key in ("group", "having", "qualify", "order", "distinct"):
        if select.args.get(key):
            roots.append((select.args[key], None))
    return roots


def _inside_subquery(call: exp.Expr, root: exp.Expr) -> bool:
    node = call.parent
    while node is not None and node is not root:
        if isinstance(node, exp.Query):
            return True
        node = node.parent
    return False


def _ranked(found: dict[str, list[_Occurrence]], functions: Mapping[str, FunctionContract]) -> list[str]:
    costs = {identity: functions[o[0].call.function].cost_per_row for identity, o in found.items()}
    return sorted(found, key=lambda identity: costs[identity])


def _guard(
    occurrences: list[_Occurrence], order: dict[str, int], identity: str, names: set[str], grouped: bool
) -> tuple[exp.Expr | None, bool]:
    """The disjunction of the occurrences' guards, and whether something of them had to be left out; no guard as soon
    as one of them is unguarded."""
    own = order[identity]

    def before(operand: exp.Expr) -> bool:
        return all(order.get(text(c), own) < own for c in calls_in(operand))

    alternatives: dict[str, exp.Expr] = {}
    partial = unguarded = False
    for occurrence in occurrences:
        guards = guards_of(occurrence.call, occurrence.root, before)
        known = [g for g in guards if _known(g.condition, names, order, grouped)]
        inside = _inside_subquery(occurrence.call, occurrence.root)
        if not guards and not inside:
            return None, False
        partial |= len(known) < len(guards) or inside
        unguarded |= not known
        if known:
            guard = chained(known)
            alternatives[text(guard)] = guard
    if unguarded:
        return None, partial
    return exp.or_(*alternatives.values()), partial


def _known(guard: exp.Expr, names: set[str], order: dict[str, int], grouped: bool) -> bool:
    """Whether the guard can be evaluated over the rows: own columns only, calls that are sites, no windows."""
    if not tables_of(guard) <= names | inner_aliases(guard):
        return False
    if any(text(c) not in order for c in calls_in(guard)):
        return False
    kinds = (exp.Window, exp.AggFunc, exp.AnonymousAggFunc, exp.Unnest)
    if guard.find(*kinds) is not None and guard.find(exp.Query) is None:
        return False
    return not (grouped and guard.find(exp.Query) is not None)


def _waves(
    select: exp.Select,
    found: dict[str, list[_Occurrence]],
    guards: Mapping[str, exp.Expr | None],
    functions: Mapping[str, FunctionContract],
) -> tuple[dict[str, int], str | None]:
    """Wave of each call, or the identity of a call whose guard closes a circle."""
    conjuncts = [{text(c) for c in calls_in(p)} for p in ordered_conjuncts(select, functions)]
    first = {i: min((o.conjunct for o in os if o.conjunct is not None), default=None) for i, os in found.items()}
    everywhere = set().union(*conjuncts)
    inside = {i: {text(c) for a in os[0].call.expressions for c in calls_in(a)} for i, os in found.items()}
    feeding: dict[str, set[str]] = {identity: set() for identity in found}
    for identity, parts in inside.items():
        for part in parts & found.keys() - {identity}:
            feeding[part].add(identity)
    needs: dict[str, set[str]] = {}
    for identity in found:
        needs[identity] = set(inside[identity])
        needs[identity] |= {text(c) for c in calls_in(guards[identity])}
        position = first[identity]
        earlier = conjuncts if position is None else conjuncts[:position]
        nested = feeding[identity]
        if position is not None or not nested & everywhere:
            before = everywhere if position is None else {other for part in earlier for other in part}
            needs[identity] |= before - {identity} - nested
    waves: dict[str, int] = {}
    for identity in found:
        if not _assign(identity, needs, waves, ()):
            return waves, _breakable(identity, guards)
    return waves, None


def _assign(identity: str, needs: dict[str, set[str]], waves: dict[str, int], path: tuple[str, ...]) -> bool:
    if identity in waves:
        return True
    if identity in path:
        return False
    highest = -1
    for other in needs[identity]:
        if other not in needs:
            continue
        if not _assign(other, needs, waves, (*path, identity)):
            return False
        highest = max(highest, waves[other])
    waves[identity] = highest + 1
    return True


def _breakable(identity: str, guards: Mapping[str, exp.Expr | None]) -> str:
    if guards.get(identity) is not None:
        return identity
    return next(i for i, g in guards.items() if g is not None and has_calls(g))
