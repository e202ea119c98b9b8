"""Stars that choose, COLUMNS(…), structs' stars, ``#1`` and rows as values: each becomes a list of plain columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlinfer.compiler.calls.canonical import PREDICT
from sqlinfer.compiler.parse import tree
from sqlinfer.compiler.parse.probe import STAR, Probe, is_call, quoted
from sqlinfer.compiler.parse.tree import Node
from sqlinfer.compiler.parse.verbatim import Text
from sqlinfer.errors import AdapterError
from sqlinfer.spec.catalog import Column

Edit = tuple[int, int, str, bool]
"""Start, end, what stands there instead, and whether that names its columns itself."""

_PATTERNS = ("~~", "!~~", "~~*", "!~~*", "~~~", "like_escape", "not_like_escape", "regexp_full_match")
"""LIKE, ILIKE, GLOB, SIMILAR TO as functions: over a star they choose columns by name."""
_ALIAS = re.compile(r"\s*(?:as\b\s*)?(?:\"(?:[^\"]|\"\")*\"|\w+|'[^']*')", re.IGNORECASE)


class StarError(Exception):
    """The warehouse does not take a star over its FROM; where, and what it said."""

    def __init__(self, span: tree.Span, said: AdapterError | None) -> None:
        super().__init__(said)
        self.span, self.said = span, said


@dataclass(slots=True)
class Selected:
    """The expansions of one SELECT."""

    whole: Probe
    select: Node
    kinds: set[str]
    """Types of nodes and names of functions that the query has anywhere."""
    names: set[str]
    """Columns without a table that it has anywhere, folded."""
    aliases: list[str] = field(default_factory=list)
    _flat: list[tuple[str, str]] | None = None

    @property
    def sql(self) -> str:
        return self.whole.sql

    def edits(self) -> list[Edit]:
        relation = self.select.get("from_table")
        if relation is None or relation.get("type") == "EMPTY":
            return self._unnests()
        self.aliases = [tree.alias_of(member) for member in tree.sources(relation)]
        found: list[Edit] = []
        if "STAR" in self.kinds:
            found += [edit for item in self.select["select_list"] for edit in self._item(item)]
            for key in ("where_clause", "qualify", "having"):
                found += self._condition(self.select.get(key))
        found += self._unnests()
        if "POSITIONAL_REFERENCE" in self.kinds:
            found += self._positions()
        if any(alias.casefold() in self.names for alias in self.aliases):
            found += self._rows()
        return found

    # stars

    def _item(self, item: Node) -> list[Edit]:
        stars = [s for s in self._stars(item) if self._is_special(s, item)]
        span = tree.span_of(item)
        if not stars or span is None:
            return []
        outputs = self.whole.columns(self.select, [item])
        if outputs is None:
            raise StarError(tree.span_of(stars[0]) or span, self.whole.error)
        unpacked = [n for n in tree.own_of(item) if n.get("type") == "OPERATOR_UNPACK"]
        if unpacked:
            stop = self.whole.outer(span)[1]
            name = [] if item.get("alias") else [(stop, stop, f" AS {quoted(outputs[0].name)}", True)]
            return [*(edit for node in unpacked for edit in self._unpacked(node)), *name]
        if not item.get("alias") and item.get("class") == "STAR" and not item.get("columns"):
            return self._struct(item, outputs) or self._all(item, outputs)
        if any(not s.get("columns") for s in stars):
            start, end = self.whole.outer(span)
            return [(start, end, ", ".join(self._references(outputs)), True)]
        return self._replicated(item, stars, outputs)

    def _stars(self, item: Node) -> list[Node]:
        found: list[Node] = []
        stack = [item]
        while stack:
            node = stack.pop()
            if is_call(node, self.whole.catalog):
                stack += [c for c in tree.children(node) if c.get("class") != "STAR" or c.get("columns")]
                continue
            if node.get("class") == "STAR":
                found.append(node)
                continue
            stack += [c for c in tree.children(node) if tree.is_expression(c)]
        return found

    def _is_special(self, star: Node, item: Node) -> bool:
        if star.get("columns") or star.get("rename_list") or star.get("qualified_exclude_list"):
            return True
        if item is star and self.select.get("aggregate_handling") == "FORCE_AGGREGATES":
            return True  # GROUP BY ALL groups by columns that must be seen
        if item is not star:
            return item.get("function_name") in _PATTERNS or item.get("type") == "OPERATOR_NOT"
        name = star.get("relation_name")
        return bool(name) and str(name).casefold() not in {a.casefold() for a in self.aliases}

    def _struct(self, star: Node, outputs: tuple[Column, ...]) -> list[Edit]:
        name = str(star.get("relation_name") or "")
        if not name or name.casefold() in {a.casefold() for a in self.aliases}:
            return []
        fields = [f"{quoted(name)}.{quoted(c.name)} AS {quoted(c.name)}" for c in outputs]
        return [(*star["span"], ", ".join(fields), True)]

    def _all(self, star: Node, outputs: tuple[Column, ...]) -> list[Edit]:
        """A star that renames: the columns under their old names."""
        old = {str(e["value"]): str(e["key"]["column"]) for e in star.get("rename_list") or []}
        if star.get("replace_list"):
            return []
        items = [
            f"{self._reference(old.get(c.name, c.name), 0)} AS {quoted(c.name)}" if c.name in old else text
            for c, text in zip(outputs, self._references(outputs, old), strict=True)
        ]
        return [(*star["span"], ", ".join(items), True)]

    def _references(self, columns: tuple[Column, ...], old: dict[str, str] | None = None) -> list[str]:
        seen: dict[str, int] = {}
        found = []
        for column in columns:
            name = (old or {}).get(column.name, column.name)
            found.append(self._reference(name, seen.get(name, 0)))
            seen[name] = seen.get(name, 0) + 1
        return found

    def _reference(self, name: str, occurrence: int) -> str:
        """The column, with its table where several tables have one of that name."""
        having = [(a, n) for a, n in self.flat() if n.casefold() == name.casefold()]
        joined = self._joined_names()
        if len(having) <= 1 or name.casefold() in joined or occurrence >= len(having):
            return quoted(name)
        alias = having[occurrence][0]
        return f"{quoted(alias)}.{quoted(name)}" if alias else quoted(name)

    def _joined_names(self) -> set[str]:
        used = [n.get("using_columns") or [] for n in _relations(self.select["from_table"])]
        return {name.casefold() for names in used for name in names}

    def flat(self) -> list[tuple[str, str]]:
        """(alias, column) of every source, in order."""
        if self._flat is None:
            self._flat = []
            for alias in self.aliases:
                star = {"class": "STAR", "type": "STAR", **STAR, "relation_name": alias}
                self._flat += [(alias, c.name) for c in self.whole.columns(self.select, [star]) or ()]
        return self._flat

    def _replicated(self, item: Node, stars: list[Node], outputs: tuple[Column, ...]) -> list[Edit]:
        """``min(COLUMNS('x.*'))`` once for each column."""
        names = self.whole.columns(self.select, [{**stars[0], "alias": ""}])
        if names is None or len(names) != len(outputs) or any(s.get("replace_list") for s in stars):
            return []
        start, end = self.whole.outer(item["span"])
        alias = _ALIAS.match(self.sql, end) if item.get("alias") else None
        copies = []
        for reference, output in zip(self._references(names), outputs, strict=True):
            inner = [(s["span"][0] - start, s["span"][1] - start, reference) for s in stars]
            copies.append(f"{Text.of(self.sql[start:end]).edited(inner).sql} AS {quoted(output.name)}")
        return [(start, alias.end() if alias else end, ", ".join(copies), True)]

    def _unpacked(self, node: Node) -> list[Edit]:
        star = next((n for n in tree.walk(node) if n.get("class") == "STAR"), None)
        names = self.whole.columns(self.select, [{**star, "alias": ""}]) if star is not None else None
        return [(*node["span"], ", ".join(self._references(names)), False)] if names and node.get("span") else []

    def _condition(self, condition: Node | None) -> list[Edit]:
        """``where COLUMNS(*) > 0``: true for each of the columns."""
        if condition is None or condition.get("span") is None:
            return []
        edits: list[Edit] = [
            e for n in tree.own_of(condition) if n.get("type") == "OPERATOR_UNPACK" for e in self._unpacked(n)
        ]
        stars = [n for n in tree.own_of(condition) if n.get("class") == "STAR" and n.get("columns") and n.get("span")]
        if edits or not stars:
            return edits
        names = self.whole.columns(self.select, [{**stars[0], "alias": ""}])
        if not names:
            return []
        start, end = condition["span"]
        copies = [
            Text.of(self.sql[start:end])
            .edited([(s["span"][0] - start, s["span"][1] - start, reference) for s in stars])
            .sql
            for reference in self._references(names)
        ]
        return [(start, end, " AND ".join(f"({copy})" for copy in copies), False)]

    # unnest of structs, #1, rows

    def _unnests(self) -> list[Edit]:
        """``unnest(s)`` of a struct: its fields."""
        found: list[Edit] = []
        if "unnest" not in self.kinds:
            return found
        for item in self.select["select_list"]:
            span = tree.span_of(item)
            if item.get("function_name") != "unnest" or len(item["arguments"]) != 1 or span is None:
                continue
            value = item["arguments"][0]["expression"]
            types = self.whole.columns(self.select, [{**value, "alias": "v"}])
            outputs = self.whole.columns(self.select, [item])
            if not types or not outputs or not types[0].data_type.startswith("STRUCT") or value.get("span") is None:
                continue
            if types[0].data_type.endswith("]"):
                continue
            text = self.sql[slice(*value["span"])]
            call = is_call(value, self.whole.catalog)
            fields = [
                f"{text}.{quoted(c.name)} AS {quoted(c.name)}" if call
                else f"struct_extract({text}, '{c.name.replace(chr(39), chr(39) * 2)}') AS {quoted(c.name)}"
                for c in outputs
            ]  # fmt: skip
            start, end = self.whole.outer(span)
            alias = _ALIAS.match(self.sql, end) if item.get("alias") else None
            found.append((start, alias.end() if alias else end, ", ".join(fields), True))
        return found

    def _positions(self) -> list[Edit]:
        """``#1``: the first column of FROM; in ORDER BY the first of the select list."""
        late = {id(n) for modifier in self.select.get("modifiers") or [] for n in tree.walk(modifier)}
        found: list[Edit] = []
        for node in tree.own(self.select):
            if node.get("type") != "POSITIONAL_REFERENCE" or node.get("span") is None:
                continue
            number = int(node["index"])
            if id(node) in late:
                found.append((*node["span"], str(number), False))
                continue
            named = self.whole.columns(self.select, [{**node, "alias": ""}])
            if named is None:
                raise StarError(node["span"], self.whole.error)
            if named:
                before = [c for c in (self._everything() or ())[: number - 1] if c.name == named[0].name]
                found.append((*node["span"], self._reference(named[0].name, len(before)), False))
        return found

    def _everything(self) -> tuple[Column, ...] | None:
        return self.whole.columns(self.select, [{"class": "STAR", "type": "STAR", **STAR}])

    def _rows(self) -> list[Edit]:
        """``select t from t``: the row as a struct."""
        names = {alias.casefold(): alias for alias in self.aliases if alias}
        found: list[Edit] = []
        bare = {id(a["expression"]) for n in tree.own(self.select) if is_call(n, self.whole.catalog)
                and str(n["function_name"]).casefold() == PREDICT for a in n["arguments"]}  # fmt: skip
        for node in tree.own(self.select):
            if node.get("type") != "COLUMN_REF" or len(node["column_names"]) != 1 or node.get("span") is None:
                continue
            alias = names.get(node["column_names"][0].casefold())
            if alias is None or any(n.casefold() == alias.casefold() for _, n in self.flat()):
                continue
            columns = [n for a, n in self.flat() if a == alias]
            if not columns:
                continue
            if id(node) in bare:
                found.append((*node["span"], f"{quoted(alias)}.*", False))
                continue
            fields = ", ".join(f"{quoted(n)} := {quoted(alias)}.{quoted(n)}" for n in columns)
            whole = not node.get("alias") and any(node is item for item in self.select["select_list"])
            name = f" AS {quoted(node['column_names'][0])}" if whole else ""
            found.append((*node["span"], f"struct_pack({fields}){name}", whole))
        return found


def _relations(relation: Node) -> Iterator[Node]:
    yield relation
    for child in tree.children(relation):
        if tree.is_relation(child):
            yield from _relations(child)
