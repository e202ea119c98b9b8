"""Questions about expressions: which nodes belong to a scope, what is an aggregate, what guards a call.

All functions are pure. "Own" nodes of a SELECT are those outside its subqueries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall, calls_in, has_calls

# DuckDB's aggregates that sqlglot parses as anonymous functions (duckdb_functions(), 1.5 and 2.0).
_AGGREGATES = frozenset(
    """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null
    arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or
    bit_xor bitstring_agg bool_and bool_or corr count count_if count_star countif covar_pop covar_samp entropy
    favg first fsum group_concat histogram histogram_exact kahan_sum kurtosis kurtosis_pop last list listagg mad
    max max_by mean median min min_by mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile sem skewness
    stddev stddev_pop stddev_samp string_agg sum sumkahan var_pop var_samp variance
    """.split()  # noqa: SIM905
)

# Stability of DuckDB's functions (duckdb_functions(), 2.0), and the usual names elsewhere.
_VOLATILE = frozenset(
    """
    random rand uuid uuidv4 uuidv7 gen_random_uuid nextval currval setval setseed stats clock_timestamp
    statement_timestamp newid current_query current_query_id current_transaction_id current_connection_id error
    sleep_ms write_log
    """.split()  # noqa: SIM905
)
_STABLE = frozenset(
    """
    today transaction_timestamp now current_timestamp current_date current_time localtime localtimestamp
    current_localtime current_localtimestamp get_current_time get_current_timestamp current_setting getvariable
    txid_current current_database current_catalog current_schema current_schemas in_search_path
    """.split()  # noqa: SIM905
)
_CONSTANTS = frozenset(
    ("pi", "e", "list_value", "struct_pack", "row", "map", "array_value", "grouping", "count", "user", "current_user",
     "session_user", "current_role", "version")
)  # fmt: skip


def _types(*names: str) -> tuple[type[exp.Expr], ...]:
    return tuple(getattr(exp, name) for name in names if hasattr(exp, name))


_VOLATILE_TYPES = _types("Rand", "Randn", "Uuid", "NextValueFor")
_STABLE_TYPES = _types(
    "CurrentTimestamp", "CurrentTimestampLTZ", "CurrentDate", "CurrentTime", "CurrentDatetime", "Localtime",
    "Localtimestamp", "UtcDate", "UtcTime", "UtcTimestamp", "CurrentSchema", "CurrentSchemas", "CurrentDatabase",
    "CurrentCatalog",
)  # fmt: skip


def walk_own(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The nodes of an expression, parents first, not entering subqueries (their root is yielded)."""
    if node is None:
        return
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        if isinstance(current, exp.Query) and current is not node:
            continue
        stack.extend(reversed(list(current.iter_expressions())))


def own_calls(node: exp.Expr | None) -> Iterator[PredictCall]:
    for found in walk_own(node):
        if isinstance(found, PredictCall):
            yield found


def is_aggregate(node: exp.Expr) -> bool:
    """An aggregate call that is not the function of a window."""
    if not _aggregates(node):
        return False
    parent = node.parent
    while isinstance(parent, (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls, exp.Order)):
        parent = parent.parent
    return not (isinstance(parent, exp.Window) and _windowed(parent) is node)


def is_aggregate_name(name: str) -> bool:
    return name.casefold() in _AGGREGATES


def is_volatile_name(name: str) -> bool:
    return name.casefold() in _VOLATILE


def _aggregates(node: exp.Expr) -> bool:
    if node.args.get("aggregate"):  # text of the user's
        return True
    if isinstance(node, exp.Anonymous):
        return str(node.this).casefold() in _AGGREGATES
    if isinstance(node, exp.AnonymousAggFunc):
        return True
    return isinstance(node, exp.AggFunc) and not isinstance(
        node, (exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lead, exp.Lag,
               exp.FirstValue, exp.LastValue, exp.NthValue)
    )  # fmt: skip


def _windowed(window: exp.Window) -> exp.Expr:
    inner: exp.Expr = window.this
    while isinstance(inner, (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)):
        inner = inner.this
    return inner


def can_try(node: exp.Expr) -> bool:
    """Whether DuckDB takes the expression inside TRY(…), and it could fail at all."""
    if isinstance(node.unnest(), exp.Column):
        return False
    return not any(isinstance(n, (exp.Query, exp.Window)) or is_aggregate(n) for n in node.walk())


def is_aggregated(select: exp.Select) -> bool:
    """Whether the SELECT groups: GROUP BY, or an own aggregate outside windows."""
    if select.args.get("group") or select.args.get("having"):
        return True
    clauses = [*select.expressions, select.args.get("qualify"), select.args.get("order")]
    return any(is_aggregate(n) for clause in clauses for n in walk_own(clause))


def is_volatile(node: exp.Expr | None) -> bool:
    """Two evaluations in one statement may differ: random(), nextval(), …"""
    return node is not None and any(is_volatile_function(found) for found in node.walk())


def varies(node: exp.Expr) -> bool:
    """Two statements may see different values: volatile functions, the clock, settings."""
    return any(is_volatile_function(found) or is_stable_function(found) for found in node.walk())


def is_volatile_function(node: exp.Expr) -> bool:
    if isinstance(node, exp.Anonymous):
        if "volatile" in node.arg_types:  # text of the user's
            return bool(node.args.get("volatile"))
        name = str(node.name).casefold()
        # a function of nothing that is not known may be a macro over one of these
        return name in _VOLATILE or (not node.expressions and name not in _CONSTANTS and name not in _STABLE)
    return isinstance(node, _VOLATILE_TYPES)


def is_stable_function(node: exp.Expr) -> bool:
    """One value for a whole statement, perhaps another one in the next: now(), current_date, current_setting()."""
    if not isinstance(node, (exp.Anonymous, *_STABLE_TYPES)) or node.find(exp.Column) is not None:
        return False
    return not isinstance(node, exp.Anonymous) or _called(node) in _STABLE


def _called(node: exp.Anonymous) -> str:
    """The function's name, in text of the user's too (``today()``)."""
    return str(node.name).strip().partition("(")[0].strip().casefold()


def conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """The operands of the top-level ANDs, in order; the expression of a WHERE, HAVING or QUALIFY."""
    if node is None:
        return []
    if isinstance(node, (exp.Where, exp.Having, exp.Qualify)):
        node = node.this
    return [without_parentheses(part) for part in node.flatten()] if isinstance(node, exp.And) else [node]


def without_parentheses(node: exp.Expr) -> exp.Expr:
    """Unlike ``unnest`` a scalar subquery stays one."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def flat_conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """Like ``conjuncts``, through parentheses."""
    parts: list[exp.Expr] = []
    for part in conjuncts(node):
        inner = part.unnest()
        parts += flat_conjuncts(inner) if isinstance(inner, exp.And) else [part]
    return parts


def and_all(parts: Iterable[exp.Expr]) -> exp.Expr | None:
    items = [p.copy() for p in parts]
    return exp.and_(*items, copy=False) if items else None


def text(node: exp.Expr) -> str:
    """The identity of an expression: equal for equal trees, whatever their comments and positions.

    Not its SQL: generating that copies the tree or breaks its parent links.
    """
    parts: list[str] = []
    stack: list[object] = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, exp.Identifier):
            parts.append(f'"{current.this}"')
        elif isinstance(current, exp.Expr):
            parts.append(f"{current.key}(")
            stack.append(")")
            for key in reversed(current.arg_types):
                value = current.args.get(key)
                if value is not None and value is not False and value != []:
                    stack += [repr(value) if isinstance(value, str) else value, f"{key}="]
        elif isinstance(current, list):
            parts.append("[")
            items = [repr(value) if isinstance(value, str) else value for value in current]
            stack += ["]", *reversed([part for item in items for part in (item, ",")])]
        else:
            parts.append(current if isinstance(current, str) else repr(current))
    return "".join(parts)


def columns_in(node: exp.Expr | None) -> Iterator[exp.Column]:
    if node is not None:
        yield from node.find_all(exp.Column)


def tables_of(node: exp.Expr | None) -> set[str]:
    """The source aliases that an expression refers to, subqueries included."""
    return {column.table for column in columns_in(node) if column.table}


def sources(select: exp.Select) -> dict[str, exp.Expr]:
    """Alias → source node of FROM and the joins, in order."""
    found: dict[str, exp.Expr] = {}
    clause = select.args.get("from_")
    items = [clause.this] if clause is not None else []
    items += [join.this for join in select.args.get("joins") or []]
    items += select.args.get("laterals") or []
    for item in items:
        found[item.alias_or_name] = item
        for pivot in item.args.get("pivots") or []:
            if pivot.alias:
                found[pivot.alias] = item
    return found


def inner_aliases(node: exp.Expr) -> set[str]:
    """Aliases of sources defined inside the subqueries of an expression."""
    return {name for query in node.find_all(exp.Select) for name in sources(query)}


def replace_top_down(node: exp.Expr, change: Callable[[exp.Expr], exp.Expr | None]) -> exp.Expr:
    """A copy in which every outermost node for which ``change`` gives an expression is replaced by it."""
    root = exp.Paren(this=node.copy())
    stack: list[exp.Expr] = [root.this]
    while stack:
        current = stack.pop()
        new = change(current)
        if new is not None:
            current.replace(new)
        else:
            stack.extend(current.iter_expressions())
    result = root.this
    result.pop()
    return result  # type: ignore[no-any-return]


__all__ = [
    "and_all", "calls_in", "columns_in", "conjuncts", "flat_conjuncts", "has_calls", "inner_aliases",
    "is_aggregate", "is_aggregated", "is_stable_function", "is_volatile", "own_calls", "replace_top_down", "sources",
    "tables_of", "text", "varies", "walk_own", "without_parentheses",
]  # fmt: skip
