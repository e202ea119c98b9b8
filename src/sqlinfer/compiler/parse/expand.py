"""What only the warehouse can resolve, written out: macros, dot calls, ``#1``, filtered stars, COLUMNS, rows as values.

Each is an edit of the text, found in the warehouse's parse tree; columns are those that the warehouse describes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.parse import tree
from sqlinfer.compiler.parse.probe import Probe, Warehouse, has_call, needed, quoted, visible
from sqlinfer.compiler.parse.stars import Edit, Selected, StarError
from sqlinfer.compiler.parse.tree import Node
from sqlinfer.compiler.parse.verbatim import Text
from sqlinfer.errors import CompileError, UnsupportedQuery
from sqlinfer.spec.catalog import Catalog, Macro

_ROUNDS = 60
_SCHEMAS = ("main", "system", "temp", "pg_catalog", "information_schema")
_NAME = r'(?:"(?:[^"]|"")*"|\w+)'
_DOTTED = re.compile(rf"({_NAME}(?:\s*\.\s*{_NAME})*?)\s*\.\s*({_NAME})\s*\(")
_METHOD = re.compile(rf"\s*\.\s*({_NAME})\s*\(")


def expanded(text: Text, root: Node, source: Source, catalog: Catalog, warehouse: Warehouse) -> tuple[Text, Node]:
    """The text and its tree with nothing left to write out.

    Raises:
        UnsupportedQuery: what was written out is no SQL for the warehouse.
    """
    for _ in range(_ROUNDS):
        expansion = _Expansion(Probe(text.sql, root, catalog, warehouse), text, source)
        try:
            edits = _apart(expansion.edits())
        except StarError as error:
            said = error.said.message if error.said is not None else "the warehouse does not take this"
            raise CompileError(said, location=source.place(*text.origin(*error.span))) from error.said
        if not edits:
            return text, root
        text = text.edited([edit[:3] for edit in edits])
        found = warehouse.tree(text.sql)
        new = tree.read(found, text.sql) if found is not None else None
        if new is None:
            span = text.origin(edits[0][0], edits[0][0] + 1)
            raise UnsupportedQuery("this form cannot stand in a query with predict()", location=source.place(*span))
        root = new
    raise UnsupportedQuery("macros and stars are nested too deep", location=source.place(0, 1))


def _apart(edits: list[Edit]) -> list[Edit]:
    """Those that do not overlap, the innermost first: the others come in the next round."""
    kept: list[Edit] = []
    for edit in sorted(set(edits), key=lambda e: (e[1] - e[0], e[0])):
        if all(edit[1] <= other[0] or other[1] <= edit[0] for other in kept):
            kept.append(edit)
    return kept


@dataclass(slots=True)
class _Expansion:
    """One round over one tree."""

    probe: Probe
    text: Text
    source: Source

    def edits(self) -> list[Edit]:
        found: list[Edit] = []
        selects: list[Node] = []
        kinds: set[str] = set()
        names: set[str] = set()
        for node in tree.walk(self.probe.root):
            kind = str(node.get("type"))
            kinds.add(kind)
            match kind:
                case "FUNCTION":
                    kinds.add(str(node["function_name"]))
                    self._refuse(node)
                    found += self._dots(node) or self._macro(node)
                case "TABLE_FUNCTION":
                    found += self._table_macro(node)
                case "PIVOT" if node.get("groups") and self._predicts(node):
                    found += self._pivot_groups(node)
                case "SELECT_NODE":
                    selects.append(node)
                case "COLUMN_REF" if len(node["column_names"]) == 1:
                    names.add(node["column_names"][0].casefold())
        if not found:
            for select in selects:
                found += Selected(self.probe, select, kinds, names).edits()
        return [*found, *(e for select in selects for e in self._names(select, found))] if found else []

    def _refuse(self, node: Node) -> None:
        if not self.probe.catalog.macros:
            return
        name = str(node["function_name"])
        known = [m for m in self.probe.catalog.macros if m.relation.name.casefold() == name.casefold()]
        counts = {len(macro.parameters) for macro in known if not macro.is_table}
        if counts and len(node["arguments"]) < min(counts) and self._found(node, is_table=False) is None:
            left = ", ".join(known[0].parameters[len(node["arguments"]) :])
            self._refused(
                node, f"macro {name}() is called without {left}",
                "the warehouse does not tell the defaults of a macro: give every argument",
            )  # fmt: skip

    def _refused(self, node: Node, message: str, hint: str) -> None:
        span = tree.span_of(node) or (0, 1)
        raise UnsupportedQuery(message, hint=hint, location=self.source.place(*self.text.origin(*span)))

    def _names(self, select: Node, edits: list[Edit]) -> Iterator[Edit]:
        """An item that is written otherwise keeps the name that it had."""
        for item in select["select_list"]:
            span = tree.span_of(item)
            if span is None or item.get("alias") or item.get("class") in ("STAR", "COLUMN_REF", "POSITIONAL_REFERENCE"):
                continue
            inside = [e for e in edits if span[0] <= e[0] and e[1] <= span[1]]
            stop = self.probe.outer(span)[1]
            named = (e for e in edits if e[3] and ((e[0] <= span[0] and span[1] <= e[1]) or e[0] == stop))
            if not inside or any(named):
                continue
            yield stop, stop, f" AS {quoted(self.probe.name_of(item))}", True

    def _dots(self, node: Node) -> list[Edit]:
        """``x.upper()`` → ``upper(x)``, where x is no schema."""
        span = tree.span_of(node)
        if span is None or node.get("is_operator"):
            return []
        start, end = span
        text = self.probe.sql[start:end]
        arguments = [a["expression"] for a in node["arguments"]]
        path = [p for p in (node.get("catalog"), node.get("schema")) if p]
        if path:
            if self._is_schema(path, str(node["function_name"])):
                return []
            match = _DOTTED.match(text)
            if match is None:
                return []
            receiver, name, after = match[1], match[2], match.end()
        else:
            first = tree.span_of(arguments[0]) if arguments else None
            if first is None or first[0] != start:
                return []
            match = _METHOD.match(text, first[1] - start)
            if match is None:
                return []
            receiver, name, after = text[: first[1] - start], match[1], match.end()
        rest = text[after:-1].strip()
        return [(start, end, f"{name}({receiver}{', ' + rest if rest else ''})", False)]

    def _is_schema(self, path: list[str], name: str) -> bool:
        """Whether a function of that name is there; else what is in front of the dot is a value."""
        if path[-1].casefold() in _SCHEMAS:
            return True
        homes = [
            m.relation.folded() for m in self.probe.catalog.macros if m.relation.name.casefold() == name.casefold()
        ]
        return any(path[-1].casefold() in (home.schema, home.catalog) for home in homes)

    def _found(self, node: Node, *, is_table: bool) -> Macro | None:
        name, default = str(node["function_name"]).casefold(), self.probe.catalog.default.folded()
        schema, database = (str(node.get(key) or "").casefold() for key in ("schema", "catalog"))
        places = {(database or default.catalog, schema or default.schema or "main")}
        if schema and not database:
            places.add((schema, "main"))
        for macro in self.probe.catalog.macros:
            relation = macro.relation.folded()
            same = relation.name == name and (relation.catalog, relation.schema) in places
            if same and macro.is_table is is_table and len(macro.parameters) == len(node["arguments"]):
                return macro
        return None

    def _macro(self, node: Node) -> list[Edit]:
        """A scalar macro's own expression with the arguments in it."""
        span, macro = tree.span_of(node), self._found(node, is_table=False)
        if span is None or macro is None:
            return []
        body = self._body(f"select {macro.definition}", len("select "), macro, node)
        return [(*span, f"({body})", False)] if body is not None else []

    def _table_macro(self, node: Node) -> list[Edit]:
        span, macro = tree.span_of(node), self._found(node["function"], is_table=True)
        if span is None or macro is None:
            return []
        text = self.probe.sql[span[0] : span[1]]
        match = re.match(rf"(?:{_NAME}\s*\.\s*)*{_NAME}\s*\(", text)
        body = self._body(macro.definition, 0, macro, node["function"])
        if match is None or body is None:
            return []
        end = (tree.closing(self.probe.sql, span[0] + match.end()) or span[1] - 1) + 1
        alias = "" if node.get("alias") else f" AS {quoted(macro.relation.name)}"
        return [(span[0], end, f"({body}){alias}", False)]

    def _body(self, sql: str, lead: int, macro: Macro, node: Node) -> str | None:
        found = self.probe.warehouse.tree(sql)
        body = tree.read(found, sql) if found is not None else None
        values = self._arguments(macro, node)
        if body is None or values is None:
            return None
        edits = [
            (*n["span"], values[n["column_names"][0].casefold()])
            for n in tree.walk(body)
            if n.get("type") == "COLUMN_REF" and n.get("span") and len(n["column_names"]) == 1
            and n["column_names"][0].casefold() in values
        ]  # fmt: skip
        return Text.of(sql).edited(edits).sql[lead:]

    def _arguments(self, macro: Macro, node: Node) -> dict[str, str] | None:
        values: dict[str, str] = {}
        for position, argument in enumerate(node["arguments"]):
            name = argument.get("name") or macro.parameters[position]
            span = tree.span_of(argument["expression"])
            if span is None or name.casefold() not in {p.casefold() for p in macro.parameters}:
                return None
            values[name.casefold()] = f"({self.probe.sql[span[0] : span[1]]})"
        return values

    def _predicts(self, node: Node) -> bool:
        """Whether a relation depends on a prediction, through CTEs too."""
        names = {table["table_name"] for table in tree.tables(node)}
        entries = needed(names, visible(self.probe.root, node))
        return any(has_call(n, self.probe.catalog) for n in (node, *(entry["query_node"] for _, entry in entries)))

    def _pivot_groups(self, node: Node) -> list[Edit]:
        """``c pivot (sum(p) for k in (1, 2) group by g)`` is a pivot of g, k and p alone."""
        parts = [*node["aggregates"], *node["pivots"]]
        names = {n["column_names"][-1] for part in parts for n in tree.walk(part) if n.get("class") == "COLUMN_REF"}
        listed = ", ".join(quoted(name) for name in dict.fromkeys([*node["groups"], *sorted(names)]))
        source = tree.span_of(node["source"])
        clause = list(re.finditer(r"(?i)\bgroup\s+by\b", self.probe.sql[slice(*node["span"])]))
        if source is None or not clause:
            return []
        start = node["span"][0] + clause[-1].start()
        end = tree.closing(self.probe.sql, start) or node["span"][1]
        alias = f" AS {quoted(tree.alias_of(node['source']) or 'pivoted')}"
        aliased = node["source"]["type"] == "SUBQUERY" and node["source"].get("alias")  # it follows
        written = f"(select {listed} from {self.probe.sql[slice(*source)]}){'' if aliased else alias}"
        return [(*source, written, False), (start, end, "", False)]

    # what the warehouse describes
