"""Questions to the warehouse about one query: what a part of it would give, and what it can see where it stands.

Names and types are DuckDB's own: the part is described over its own FROM, each prediction a NULL of its type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlinfer.compiler.calls.canonical import PREDICT
from sqlinfer.compiler.parse import tree
from sqlinfer.compiler.parse.tree import Node
from sqlinfer.errors import AdapterError
from sqlinfer.relation import quote
from sqlinfer.spec.catalog import Catalog, Column


class Warehouse(Protocol):
    """What the warehouse's own parser and binder answer."""

    def tree(self, sql: str) -> str | None:
        """The parse tree as JSON with spans; None: this warehouse tells none."""

    def text_of(self, tree: str) -> str:
        """SQL of a tree that ``tree`` gave, perhaps changed."""

    def describe(self, sql: str) -> tuple[Column, ...]:
        """Names and types of a query's columns. Raises AdapterError."""

    def describe_rows(self, sql: str) -> tuple[Column, ...]:
        """The same of a PIVOT, whose columns are in the rows. Raises AdapterError."""

    def remember(self, name: str, columns: tuple[Column, ...]) -> None:
        """Let queries that are described find a relation of that name."""


def quoted(name: str) -> str:
    return quote(name)


def is_call(node: Node, catalog: Catalog) -> bool:
    """A prediction: predict(…) or a function of the project by its name."""
    if node.get("type") != "FUNCTION" or node.get("schema"):
        return False
    name = str(node["function_name"]).casefold()
    return name == PREDICT or any(name == known.casefold() for known in catalog.functions)


def has_call(node: Node, catalog: Catalog) -> bool:
    return any(is_call(found, catalog) for found in tree.walk(node))


def visible(root: Node, target: Node) -> dict[str, Node]:
    """The CTEs that can be read where a node stands."""
    return _visible(root, target, {}) or {}


def _visible(node: Node, target: Node, scope: dict[str, Node]) -> dict[str, Node] | None:
    if node is target:
        return {**scope, "": {}}
    inner = dict(scope)
    for name, entry in tree.ctes(node).items() if tree.is_query(node) else ():
        found = _visible(entry["query_node"], target, inner)
        if found is not None:
            return found
        inner[name] = entry
    bodies = [entry["query_node"] for entry in tree.ctes(node).values()] if tree.is_query(node) else []
    for child in tree.children(node):
        if any(child is body for body in bodies):
            continue
        found = _visible(child, target, inner)
        if found is not None:
            return found
    return None


def needed(names: set[str], scope: dict[str, Node]) -> list[tuple[str, Node]]:
    """Those CTEs of the scope that the names reach, in their order."""
    reached: set[str] = set()
    waiting = {name.casefold() for name in names}
    folded = {name.casefold(): entry for name, entry in scope.items() if name}
    while waiting:
        name = waiting.pop()
        if name in folded and name not in reached:
            reached.add(name)
            waiting |= {t["table_name"].casefold() for t in tree.tables(folded[name]["query_node"])}
    return [(name, entry) for name, entry in scope.items() if name and name.casefold() in reached]


def with_ctes(body: str, names: set[str], scope: dict[str, Node], catalog: Catalog, warehouse: Warehouse) -> str | None:
    """The query with the CTEs that it reads in front; None where one of them holds a call."""
    entries = needed(names, scope)
    if any(has_call(entry["query_node"], catalog) for _, entry in entries):
        return None
    if not entries:
        return body
    one = tree.bare(one_select([{"class": "STAR", "type": "STAR", **STAR}], EMPTY, entries))
    clause = warehouse.text_of(tree.as_statement(one)).rsplit("SELECT", 1)[0]
    return f"{clause}from ({body})"


STAR: dict[str, Any] = {
    "alias": "", "query_location": 2**64 - 1, "query_location_length": 0, "relation_name": "", "exclude_list": [],
    "replace_list": [], "columns": False, "expr": None, "qualified_exclude_list": [], "rename_list": [],
}  # fmt: skip
EMPTY: Node = {
    "type": "EMPTY", "alias": "", "sample": None, "query_location": 2**64 - 1, "query_location_length": 0,
}  # fmt: skip


def one_select(items: list[Node], relation: Node, entries: list[tuple[str, Node]]) -> Node:
    return {
        "type": "SELECT_NODE", "modifiers": [], "cte_map": {"map": [{"key": k, "value": v} for k, v in entries]},
        "select_list": items, "from_table": relation, "where_clause": None, "group_expressions": [], "group_sets": [],
        "aggregate_handling": "STANDARD_HANDLING", "having": None, "sample": None, "qualify": None,
    }  # fmt: skip


@dataclass(slots=True)
class Probe:
    """One query's text and tree."""

    sql: str
    root: Node
    catalog: Catalog
    warehouse: Warehouse
    error: AdapterError | None = None
    """Why the last question had no answer."""
    _described: dict[str, tuple[Column, ...] | None] = field(default_factory=dict)
    _typed: dict[str, Node] = field(default_factory=dict)

    def outer(self, span: tree.Span) -> tree.Span:
        """With the parentheses around it."""
        start, end = span
        while True:
            before, after = self.sql[:start].rstrip(), self.sql[end:].lstrip()
            if not before.endswith("(") or not after.startswith(")") or re.search(r"\w\s*\($", before):
                return start, end
            start, end = len(before) - 1, len(self.sql) - len(after) + 1

    def name_of(self, item: Node) -> str:
        """DuckDB names a column after its expression's text."""
        text = self.warehouse.text_of(tree.as_statement(one_select([item], EMPTY, [])))
        name = re.sub(r"(?s)^\s*SELECT\s+", "", text).strip()
        return name[1:-1] if name.startswith('"') and name.endswith('"') and name.count('"') == 2 else name

    # functions
    def columns(self, select: Node, items: list[Node]) -> tuple[Column, ...] | None:
        """Names and types of expressions over the FROM of a SELECT; None where the warehouse does not take that."""
        scope = {**visible(self.root, select), **tree.ctes(select)}
        entries = [(name, entry) for name, entry in scope.items() if name]
        probe = self._quiet(one_select(items, select["from_table"], entries))
        try:
            sql = self.warehouse.text_of(tree.as_statement(probe))
            if sql not in self._described:
                self._described[sql] = self.warehouse.describe(sql)
            return self._described[sql]
        except AdapterError as error:
            self.error = error
            return None

    def _quiet(self, value: Any) -> Any:
        """Each prediction a NULL of its type."""
        if isinstance(value, list):
            return [self._quiet(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("type") == "TABLE_FUNCTION" and is_call(value["function"], self.catalog):
            return self._scored(value)
        if value.get("type") == "FUNCTION" and is_call(value, self.catalog):
            starred = [a["expression"] for a in value["arguments"] if has_columns(a["expression"])]
            return {**(self._quiet(starred[0]) if starred else self._null(value)), "alias": value.get("alias", "")}
        return {key: self._quiet(item) for key, item in value.items() if key not in ("span", "kids")}

    def _scored(self, relation: Node) -> Node:
        """``from predict('f', t)``: the input's columns and NULLs for the outputs."""
        known, value = self._called(relation["function"]), relation["function"]["arguments"][-1]["expression"]
        contract = self.catalog.functions[known] if known is not None else None
        if contract is None:
            return relation
        if value.get("class") == "SUBQUERY":
            source = f"({self.warehouse.text_of(tree.as_statement(self._quiet(value['subquery']['node'])))})"
        else:
            source = ".".join(quoted(part) for part in value.get("column_names") or [""])
        names = [o.name for o in contract.outputs] if contract.is_struct else [contract.name]
        nulls = ", ".join(
            f"cast(null as {output.data_type}) as {quoted(name)}"
            for output, name in zip(contract.outputs, names, strict=True)
        )
        alias = quoted(relation.get("alias") or contract.name)
        sql = f"from (select _input.*, {nulls} from {source} as _input) as {alias}"
        found = self.warehouse.tree(sql)
        node = tree.read(found, sql) if found is not None else None
        return relation if node is None else node["from_table"]

    def _called(self, call: Node) -> str | None:
        """The function of the project that a call names."""
        name = str(call["function_name"])
        if name.casefold() == PREDICT:
            first = call["arguments"][0]["expression"] if call["arguments"] else {}
            name = str((first.get("literal") or {}).get("text", ""))
        return next((known for known in self.catalog.functions if known.casefold() == name.casefold()), None)

    def _null(self, call: Node) -> Node:
        known = self._called(call)
        if known is None:
            return call
        if known not in self._typed:
            sql = f"select cast(null as {self.catalog.functions[known].return_type})"
            found = self.warehouse.tree(sql)
            node = tree.read(found, sql) if found is not None else None
            self._typed[known] = node["select_list"][0] if node is not None else call
        return self._typed[known]


def has_columns(node: Node) -> bool:
    return any(n.get("class") == "STAR" and n.get("columns") for n in tree.walk(node))
