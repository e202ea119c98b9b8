"""DuckDB's own parse tree of a query: spans of its parts, what a part reads, and where two trees differ.

In: the text of ``json_serialize_sql``. A *node* is a dictionary with a ``type``: an expression (it has a ``class``), a
table reference or a query. Added are ``span``, the part's
first and last character in the text that was parsed, and ``kids``, the nodes directly below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

Node = dict[str, Any]
Span = tuple[int, int]

_NOWHERE = 2**64 - 1
_PLACES = ("query_location", "query_location_length", "span", "kids")
_OURS = ("span", "kids")
_QUERIES = ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE")


def read(text: str, sql: str) -> Node | None:
    """The query's node with spans, or None where DuckDB does not take the text, or not as one SELECT."""
    found = json.loads(text)
    if found.get("error") or len(found.get("statements", ())) != 1:
        return None
    node: Node = found["statements"][0]["node"]
    offsets = None if sql.isascii() else _characters(sql)
    _locate(node, sql, offsets)
    return node


def _characters(sql: str) -> list[int]:
    """Offset in UTF-8 → offset in characters."""
    found = [number for number, character in enumerate(sql) for _ in character.encode()]
    return [*found, len(sql)]


def is_expression(node: Any) -> bool:
    return isinstance(node, dict) and "class" in node


def is_query(node: Any) -> bool:
    return isinstance(node, dict) and node.get("type") in _QUERIES


def is_relation(node: Any) -> bool:
    """A member of FROM."""
    return isinstance(node, dict) and "query_location" in node and "class" not in node


def is_node(node: Any) -> bool:
    return is_expression(node) or is_query(node) or is_relation(node)


def children(node: Node) -> list[Node]:
    """The nodes directly below, through lists and records, in the order of the tree."""
    kids: list[Node] | None = node.get("kids")
    return _below(node) if kids is None else kids


def _below(value: Any) -> list[Node]:
    found: list[Node] = []
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict):
            if "class" in item or "query_location" in item or item.get("type") in _QUERIES:
                found.append(item)
            else:
                found += _below(item)
        elif isinstance(item, list) and item:
            found += _below(item)
    return found


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, parents first."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children(current)))


def own(select: Node) -> Iterator[Node]:
    """The expressions of one SELECT, not those of its subqueries or its FROM."""
    for child in children(select):
        if is_expression(child):
            yield from own_of(child)


def own_of(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        if is_expression(child):
            yield from own_of(child)


def span_of(node: Node) -> Span | None:
    return node.get("span")


def _locate(node: Node, sql: str, offsets: list[int] | None) -> Span | None:
    """Postfix operators are placed at the operator alone: an expression spans its operands, too."""
    node["kids"] = _below(node)
    spans = [s for child in node["kids"] if (s := _locate(child, sql, offsets)) and child.get("class") != "TYPE"]
    start, length = node.get("query_location", _NOWHERE), node.get("query_location_length", 0)
    if is_relation(node) and node["type"] not in ("JOIN", "PIVOT"):
        spans = []
    if start != _NOWHERE and (length or is_expression(node)):
        end = start + length
        if length:
            spans.append((offsets[start], offsets[end]) if offsets else (start, end))
    elif is_expression(node) and not node.get("columns"):  # made by the parser, not written
        return (min(s for s, _ in spans), max(e for _, e in spans)) if spans else None
    if node.get("class") == "STAR" and node.get("columns") and spans:
        spans = [_columns_call(sql, spans[0])]
    if not spans:
        return None
    found = balanced(sql, min(s for s, _ in spans), max(e for _, e in spans))
    node["span"] = found
    return found


def _columns_call(sql: str, inside: Span) -> Span:
    """``COLUMNS(…)`` around what was placed: DuckDB places the star in it, or the pattern."""
    found = list(re.finditer(r"(?i)\bcolumns\s*\(", sql[: inside[0]]))
    return (found[-1].start(), balanced(sql, found[-1].start(), inside[1])[1]) if found else inside


def balanced(sql: str, start: int, end: int) -> Span:
    """The span, wider by the parentheses that it closes or opens without their other half."""
    depth = low = 0
    position = start
    while position < end:
        character = sql[position]
        if character in "'\"":
            close = sql.find(character, position + 1)
            position = close if 0 <= close < end else end
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
            low = min(low, depth)
        position += 1
    for _ in range(-low):
        before = sql[:start].rstrip()
        if not before.endswith(("(", "[")):
            break
        start = len(before) - 1
    for _ in range(depth - low):
        after = sql[end:]
        if not after.lstrip().startswith((")", "]")):
            break
        end += len(after) - len(after.lstrip()) + 1
    return start, end


def around(sql: str, span: Span) -> Span | None:
    """What stands between the parentheses around a subquery of which ``span`` is a part."""
    start, end = opening(sql, span[0]), closing(sql, span[1])
    return (start + 1, end) if start is not None and end is not None else None


def opening(sql: str, position: int) -> int | None:
    """The parenthesis that is open at the position."""
    return _unmatched(sql, range(position - 1, -1, -1), "(", ")")


def closing(sql: str, position: int) -> int | None:
    """The parenthesis that closes the one that is open at the position."""
    return _unmatched(sql, range(position, len(sql)), ")", "(")


def _unmatched(sql: str, places: range, wanted: str, other: str) -> int | None:
    """The first of its kind that has no partner on the way; what stands in quotes does not count."""
    depth, quote = 0, ""
    for index in places:
        character = sql[index]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == other:
            depth += 1
        elif character == wanted:
            if not depth:
                return index
            depth -= 1
    return None


# What a tree reads


def tables(node: Node) -> Iterator[Node]:
    """Names in FROM, those of CTEs among them."""
    for found in walk(node):
        if found.get("type") == "BASE_TABLE":
            yield found


def ctes(query: Node) -> dict[str, Node]:
    """Name → its entry in the query's own WITH."""
    entries = (query.get("cte_map") or {}).get("map") or []
    return {entry["key"]: entry["value"] for entry in entries}


def sources(relation: Node | None) -> list[Node]:
    """The members of FROM that have columns, in order."""
    if relation is None:
        return []
    match relation.get("type"):
        case "JOIN":
            return [*sources(relation.get("left")), *sources(relation.get("right"))]
        case "EMPTY":
            return []
        case _:
            return [relation]


def alias_of(relation: Node) -> str:
    if relation.get("alias"):
        return str(relation["alias"])
    if relation.get("type") == "TABLE_FUNCTION":
        return str(relation["function"].get("function_name", ""))
    return str(relation.get("table_name") or "")


# Where two trees differ

_SYNONYMS = {
    "listagg": "string_agg", "group_concat": "string_agg", "array_agg": "list", "mean": "avg", "arbitrary": "first",
    "argmax": "arg_max", "max_by": "arg_max", "argmin": "arg_min", "min_by": "arg_min", "char_length": "length",
    "character_length": "length", "len": "length", "lcase": "lower", "ucase": "upper", "substr": "substring",
    "pow": "**", "power": "**", "^": "**", "ceiling": "ceil", "stddev": "stddev_samp", "variance": "var_samp",
    "strpos": "instr", "position": "instr", "mod": "%", "add": "+", "subtract": "-", "multiply": "*", "divide": "//",
    "to_hex": "hex", "from_hex": "unhex", "ord": "unicode", "ends_with": "suffix", "^@": "starts_with",
    "split": "string_split", "str_split": "string_split", "string_to_array": "string_split",
    "quantile": "quantile_disc", "gen_random_uuid": "uuid", "now": "get_current_timestamp",
    "array_contains": "list_contains",
    "array_has": "list_contains", "list_has": "list_contains", "array_has_all": "list_has_all",
    "array_has_any": "list_has_any", "array_concat": "list_concat", "array_cat": "list_concat",
    "list_cat": "list_concat", "array_distinct": "list_distinct", "array_sort": "list_sort", "countif": "count_if",
    "array_slice": "list_slice", "list_apply": "list_transform", "array_apply": "list_transform",
    "apply": "list_transform", "array_transform": "list_transform", "array_filter": "list_filter",
    "filter": "list_filter", "array_position": "list_position", "list_indexof": "list_position", "to_base64": "base64",
}  # fmt: skip
"""Names of one function in DuckDB (``alias_of`` in ``duckdb_functions()``) that sqlglot exchanges."""
_TYPES = {
    spelled: names[0]
    for names in (
        ("varchar", "text", "string", "char", "bpchar", "nvarchar"), ("integer", "int", "int4", "signed", "int32"),
        ("bigint", "int8", "long", "int64"), ("smallint", "int2", "short", "int16"), ("tinyint", "int1"),
        ("float", "real", "float4"), ("double", "float8"), ("boolean", "bool", "logical"), ("blob", "bytea", "binary",
        "varbinary"), ("timestamp", "datetime"), ("timestamptz", "timestamp with time zone"), ("decimal", "numeric"),
        ("hugeint", "int128"), ("uuid", "guid"), ("bit", "bitstring"), ("uinteger", "uint32"), ("ubigint", "uint64"),
        ("usmallint", "uint16"), ("utinyint", "uint8"), ("uhugeint", "uint128"),
    )
    for spelled in names
}  # fmt: skip
_IGNORED = (*_PLACES, "qualified_name", "alias", "is_implicit", "is_operator", "aggregate_handling_written")


def differences(mine: Node, other: Node, kept: Collection[int] = ()) -> list[Node]:
    """The smallest nodes of ``mine`` that are not the same in ``other``; those whose id is ``kept`` are."""
    found: list[Node] = []
    _compare(mine, other, mine, found, kept)
    return list({id(node): node for node in found}.values())


def _compare(mine: Any, other: Any, owner: Node, found: list[Node], kept: Collection[int]) -> None:
    if id(mine) in kept:
        return
    mine, other = _normal(mine), _normal(other)
    if is_node(mine):
        owner = mine.get("_was", mine)
    if isinstance(mine, dict) and isinstance(other, dict):
        if is_node(mine) and any(mine.get(k) != other.get(k) for k in ("class", "type", "function_name")):
            found.append(owner)
            return
        before = len(found)
        for key in mine.keys() | other.keys():
            if key in _IGNORED or key == "_was":
                continue
            if (key in mine) != (key in other):
                found.append(owner)
            else:
                _compare(mine[key], other[key], owner, found, kept)
            if found[before:] and found[-1] is owner:
                del found[before:-1]
                return
    elif isinstance(mine, list) and isinstance(other, list):
        if len(mine) != len(other):
            found.append(owner)
            return
        for one, two in zip(mine, other, strict=True):
            _compare(one, two, owner, found, kept)
    elif mine != other and str(mine).casefold() != str(other).casefold():
        found.append(owner)


def _normal(value: Any) -> Any:
    """One spelling of what has several and means the same."""
    if not isinstance(value, dict):
        return "ORDER_DEFAULT" if value in ("NULLS LAST", "NULLS_LAST") else value
    kind, name = value.get("type"), value.get("function_name")
    if kind == "FUNCTION" and name == "if" and len(value["arguments"]) == 3:
        condition, then, otherwise = (a["expression"] for a in value["arguments"])
        checks = [{"when_expr": condition, "then_expr": then}]
        return {"class": "CASE", "type": "CASE_EXPR", "case_checks": checks, "else_expr": otherwise, "_was": value}
    if kind == "OPERATOR_NOT" and value["children"][0].get("type") == "OPERATOR_IS_NULL":
        return {**value["children"][0], "type": "OPERATOR_IS_NOT_NULL", "_was": value}
    if kind == "OPERATOR_NOT" and value["children"][0].get("function_name") in ("~~", "~~*", "~~~"):
        inner = value["children"][0]
        return {**inner, "function_name": f"!{inner['function_name']}", "_was": value}
    if kind == "JOIN" and value["ref_type"] == "REGULAR" and _is_true(value["condition"]):
        return {**value, "ref_type": "CROSS", "condition": None, "_was": value}
    if kind == "FUNCTION" and name in ("range", "generate_series") and len(value["arguments"]) == 2:
        start = value["arguments"][0]["expression"]
        if (start.get("literal") or {}).get("text") == "0":
            return {**value, "arguments": value["arguments"][1:], "_was": value}
    if kind == "SUBQUERY" and "column_name_alias" in value and (values := _bare_values(value)) is not None:
        return {**values, "_was": value}
    if value.get("class") == "TYPE" and str(value.get("type_name", "")).casefold() in _TYPES:
        return {**value, "type_name": _TYPES[str(value["type_name"]).casefold()], "_was": value}
    if kind == "FUNCTION" and name in _SYNONYMS:
        return {**value, "function_name": _SYNONYMS[name], "_was": value}
    return value


def _bare_values(relation: Node) -> Node | None:
    """``(select * from (values …))`` is the VALUES itself, which the warehouse takes as a query, too."""
    select = relation["subquery"]["node"]
    rest = ("modifiers", "where_clause", "group_expressions", "having", "sample", "qualify")
    if relation["column_name_alias"] or relation.get("sample") or any(select.get(key) for key in rest):
        return None
    inner = select.get("from_table") or {}
    return inner if inner.get("type") == "EXPRESSION_LIST" and not select["cte_map"]["map"] else None


def _is_true(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    literal = node.get("literal") or {}
    return node.get("class") == "CONSTANT" and str(literal.get("text", literal.get("kind"))).casefold() == "true"


def bare(node: Any) -> Any:
    """The tree as DuckDB gave it, without what was added here."""
    if isinstance(node, dict):
        return {key: bare(value) for key, value in node.items() if key not in _OURS}
    return [bare(item) for item in node] if isinstance(node, list) else node


def as_statement(query: Mapping[str, Any]) -> str:
    """The text that ``json_deserialize_sql`` reads."""
    return json.dumps({"error": False, "statements": [{"node": bare(query)}]})
