"""The user's SQL → SQL that sqlglot reads as the warehouse does, with the user's own text wherever it would not.

The warehouse's parse tree is the authority. First, what only the warehouse can resolve is written out (``expand``).
Then sqlglot's own emission of the text is parsed by the warehouse again: where the two trees differ, the smallest
differing expression, relation or subquery becomes a ``Piece`` that keeps the user's text. What is neither the same
nor can be kept is refused. The I/O is behind ``Warehouse``; a text that has no call never comes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlinfer.compiler.calls.canonical import Source, may_call
from sqlinfer.compiler.parse import expand, probe, tree
from sqlinfer.compiler.parse.deep import deep
from sqlinfer.compiler.parse.parse import (
    is_statement,
    parse,
    stars_of_calls,
    statement_after_with,
    statements_in_parentheses,
)
from sqlinfer.compiler.parse.probe import Warehouse
from sqlinfer.compiler.parse.tree import Node
from sqlinfer.compiler.parse.verbatim import EXPRESSION, HOLE, RELATION, Text, with_pieces
from sqlinfer.compiler.scopes.analyse import is_aggregate_name, is_volatile_name
from sqlinfer.errors import AdapterError, CompileError, Location, ParseError, UnsupportedQuery
from sqlinfer.spec.catalog import Catalog, Column, Piece

_ROUNDS = 100


def lowered(source: Source, catalog: Catalog, warehouse: Warehouse) -> tuple[Source, Catalog]:
    """The source to compile, and the catalog with what the warehouse said about it.

    Raises:
        UnsupportedQuery: a form that can be neither planned nor kept, with its span.
    """
    if not may_call(source.sql, catalog.functions):
        return source, catalog
    work = _Lowering(source, catalog, warehouse, Text.of(source.sql))
    final = deep(work.done, source)
    if final is None or final.sql == source.sql:
        return source, catalog
    known = replace(catalog, table_functions={**catalog.table_functions, **work.relations}, pieces=work.pieces)
    names = {at: source.names[first] for at, first in enumerate(final.starts) if first in source.names}
    return replace(source, sql=final.sql, names=names, written=(source.sql, final.origin)), known


@dataclass(frozen=True, slots=True)
class _Kept:
    """A part of the text that stays as it is: what it is called, its place, and its node (None: a statement)."""

    name: str
    span: tree.Span
    holes: tuple[Node, ...] = ()


@dataclass(slots=True)
class _Lowering:
    """One query. The pieces that keep their text are found round by round."""

    source: Source
    catalog: Catalog
    warehouse: Warehouse
    text: Text
    root: Node = field(default_factory=dict)
    pieces: dict[str, Piece] = field(default_factory=dict)
    relations: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    kept: dict[int, _Kept] = field(default_factory=dict)
    """id of a node → what it is kept as."""
    parents: dict[int, Node] = field(default_factory=dict)
    statements: dict[str, tuple[tree.Span, str]] = field(default_factory=dict)

    def done(self) -> Text | None:
        """The text for sqlglot, or None where the warehouse does not parse the query, which is sqlglot's to say."""
        root = self._without_statements()
        if root is None:
            return None
        self.text, self.root = expand.expanded(self.text, root, self.source, self.catalog, self.warehouse)
        for node in tree.walk(self.root):
            self.parents.update({id(child): node for child in tree.children(node)})
        for node in tree.walk(self.root):
            if node.get("type") == "PIVOT" and tree.span_of(node):  # its columns are the warehouse's to say
                self._keep_relation(node)
        return self._proved()

    def _tree(self, sql: str) -> Node | None:
        found = self.warehouse.tree(sql)
        return tree.read(found, sql) if found is not None else None

    # statements in parentheses

    def _without_statements(self) -> Node | None:
        """``(pivot t on k using sum(x))`` is no SELECT for the parsers: a relation, or the long form of a PIVOT."""
        starred = re.search(r"\)\s*\.\s*\*", self.text.sql) is not None  # tokens are dear: look first
        for start, end in stars_of_calls(self.text.sql, self.catalog.dialect) if starred else ():
            star = self.text.sql.index("*", end) + 1
            sql = f"unnest({self.text.sql[start:end]})"
            self.text = self.text.edited([(start, star, sql + " " * max(0, star - start - len(sql)))])
            return self._without_statements()
        root = self._tree(self.text.sql)
        if re.search(r"\b(?:un)?pivot|\b(?:summarize|describe|show)\b", self.text.sql, re.IGNORECASE) is None:
            return root
        if (after := statement_after_with(self.text.sql, self.catalog.dialect)) is not None:
            self.text = self.text.edited([(after[0], after[0], "from ("), (after[1], after[1], ")")])
            return self._without_statements()
        if is_statement(self.text.sql, self.catalog.dialect):
            if root is None:
                raise self._late_columns(0, len(self.text.sql))
            written = self.warehouse.text_of(tree.as_statement(root))
            self.text = self.text.edited([(0, len(self.text.sql), written)])
            return self._tree(written)
        for start, end in reversed(statements_in_parentheses(self.text.sql, self.catalog.dialect)):
            name = f"{RELATION}{len(self.statements)}"
            self.statements[name] = (self.text.origin(start, end), self.text.sql[start:end])
            self.text = self.text.edited([(start, end, f"from {name}")])
        if not self.statements:
            return root
        root = self._tree(self.text.sql)
        long = [name for name in self.statements if root is not None and not self._is_relation(name, root)]
        for name in long:
            self._write_long(name)
        return self._tree(self.text.sql) if long else root

    def _is_relation(self, name: str, root: Node) -> bool:
        """Whether a statement stands by itself; else it reads predictions."""
        (start, end), body = self.statements[name]
        place = next(t for t in tree.tables(root) if t["table_name"] == name)
        scope = probe.visible(root, place)
        sql = probe.with_ctes(body, set(re.findall(r"\w+", body)), scope, self.catalog, self.warehouse)
        if sql is None or may_call(body, self.catalog.functions):
            return False
        try:
            self._relation(name, sql)
        except AdapterError as error:
            raise CompileError(error.message, hint=error.hint, location=self.source.place(start, end)) from error
        return True

    def _write_long(self, name: str) -> None:
        """``(pivot c on k in (1, 2) using sum(p))`` as ``from c pivot (sum(p) for k in (1, 2))``."""
        (start, end), body = self.statements.pop(name)
        node = self._tree(body)
        if node is None:
            raise self._late_columns(start, end)
        place = self.text.sql.index(f"from {name}")
        written = self.warehouse.text_of(tree.as_statement(node))
        self.text = self.text.edited([(place, place + len(f"from {name}"), written)])

    def _late_columns(self, start: int, end: int) -> UnsupportedQuery:
        return UnsupportedQuery(
            "the columns of this PIVOT are found in rows that depend on a prediction",
            hint="list them (… on k in (1, 2)), or make what is pivoted a model of its own",
            location=self.source.place(start, end),
        )

    def _relation(self, name: str, sql: str) -> None:
        describe = self.warehouse.describe_rows if name in self.statements else self.warehouse.describe
        self.relations[f"({sql})"] = describe(sql)
        self.warehouse.remember(name, self.relations[f"({sql})"])
        self.pieces[name] = Piece(f"({sql})")

    # what sqlglot would read or write otherwise

    def _proved(self) -> Text:
        for _ in range(_ROUNDS):
            final = self._render()
            wrong = self._wrong(final)
            if not wrong:
                return final
            for node in wrong:
                self._keep(node)
        raise self._refused(self.root)

    def _wrong(self, final: Text) -> list[Node]:
        """What sqlglot does not read, or emits with another meaning."""
        try:
            emitted = self._emitted(final.sql)
        except ParseError as error:
            stopped = self._stopped_at(error.location, final)
            if stopped is None:
                raise self._placed(error, final) from error
            return [stopped]
        except UnsupportedQuery as error:
            raise self._placed(error, final) from error
        other = self._tree(emitted)
        if other is None:
            return [self._unreadable()]
        return tree.differences(self.root, other, {i for i, k in self.kept.items() if RELATION in k.name})

    def _emitted(self, sql: str) -> str:
        query = parse(Source(sql), self.catalog.dialect)
        with_pieces(query, self.pieces, relations=False)
        return query.sql(dialect=self.catalog.dialect, comments=False, copy=False)

    def _placed(self, error: CompileError, final: Text) -> CompileError:
        offset = _offset(error.location, final.sql)
        if offset is not None and error.location is not None:
            error.location = self.source.place(*final.origin(offset, offset + error.location.length))
        else:
            error.location = Location(self.source.path)
        return error

    def _stopped_at(self, location: Location | None, final: Text) -> Node | None:
        """The smallest node that holds the place where sqlglot stopped, and is not kept yet."""
        offset = _offset(location, final.sql)
        if offset is None:
            return None
        start, _ = final.origin(offset, offset + 1)
        holding = [
            (end - first, number, node)
            for number, node in enumerate(tree.walk(self.root))
            if id(node) not in self.kept and _keepable(node)
            for first, end in [self.text.origin(*node["span"])]
            if first <= start <= end
        ]
        return min(holding)[2] if holding else None

    def _unreadable(self) -> Node:
        """The smallest expression whose emission the warehouse does not parse."""
        for node in reversed(list(tree.walk(self.root))):
            if not tree.is_expression(node) or id(node) in self.kept or not _keepable(node):
                continue
            try:
                emitted = self._emitted("SELECT " + self._render(*node["span"]).sql)
            except (ParseError, UnsupportedQuery):
                return node
            if self._tree(emitted) is None:
                return node
        raise self._refused(self.root)

    # what is kept

    def _keep(self, node: Node) -> None:
        for current in self._up(node):
            if id(current) in self.kept or tree.span_of(current) is None:
                continue
            if self._keep_expression(current) or self._keep_relation(current):
                return
        raise self._refused(node)

    def _keep_expression(self, node: Node) -> bool:
        """With a hole for each operand. Predictions inside a lambda have no place to stand."""
        if not tree.is_expression(node) or not _keepable(node) or probe.is_call(node, self.catalog):
            return False
        if has_lambda(node) and probe.has_call(node, self.catalog):
            return False
        found = tuple(sorted(holes(node), key=lambda hole: hole["span"]))
        texts, (last, end) = [], node["span"]
        for hole in found:
            if hole["span"][0] < last or hole["span"][1] > end:
                return False
            texts.append(self.text.sql[last : hole["span"][0]])
            last = hole["span"][1]
        texts.append(self.text.sql[last:end])
        name = f"{EXPRESSION}{len(self.pieces) + len(self.statements)}"
        aggregate = is_aggregate_name(str(node.get("function_name", "")))
        self.pieces[name] = Piece(HOLE.join(texts), aggregate, _volatile(node, found))
        self.kept[id(node)] = _Kept(name, node["span"], found)
        return True

    def _keep_relation(self, node: Node) -> bool:
        """A relation of FROM, or a whole subquery, that holds no call and stands by itself."""
        if probe.has_call(node, self.catalog):
            return False
        whole = tree.is_query(node)
        span = tree.around(self.text.sql, node["span"]) if whole else node["span"]
        if span is None or not (whole or tree.is_relation(node)) or node["type"] in ("JOIN", "EMPTY"):
            return False
        written = self.text.sql[slice(*span)]
        names = {table["table_name"] for table in tree.tables(node)}
        scope = probe.visible(self.root, node)
        body = written if whole else f"from {written}"
        sql = probe.with_ctes(body, names, scope, self.catalog, self.warehouse)
        if sql is None:
            return False
        name = f"{RELATION}{len(self.pieces) + len(self.statements)}"
        try:
            self._relation(name, sql)
        except AdapterError:  # it reads the query around it
            return False
        alias = tree.alias_of(node) or str(node["type"]).lower()
        after = re.escape(str(node.get("alias") or "\0"))  # the span of some relations ends before their alias
        aliased = re.match(rf'(?i)\s*(?:as\s+)?"?{after}\b', self.text.sql[span[1] :])
        spelled = f"from {name}" if whole else f"{name}{'' if aliased else f' AS {probe.quoted(alias)}'}"
        self.kept[id(node)] = _Kept(spelled, span)
        return True

    # text

    def _render(self, start: int = 0, end: int | None = None) -> Text:
        """The text with what is kept spelt as functions of their holes, and as tables."""
        stop = len(self.text.sql) if end is None else end
        parts: list[tuple[str, int, int]] = []
        self._write(start, stop, parts)
        starts: list[int] = []
        ends: list[int] = []
        for new, first, last in parts:
            if new == self.text.sql[first:last]:
                starts += self.text.starts[first:last]
                ends += self.text.ends[first:last]
            else:
                a, b = self.text.origin(first, last)
                starts += [a] * len(new)
                ends += [b] * len(new)
        return Text("".join(part[0] for part in parts), starts, ends)

    def _write(self, start: int, end: int, parts: list[tuple[str, int, int]]) -> None:
        last = start
        inside = [k for k in self.kept.values() if start <= k.span[0] and k.span[1] <= end]
        for kept in sorted(inside, key=lambda k: (k.span[0], -k.span[1])):
            first, stop = kept.span
            if first < last:
                continue  # inside the one before
            parts.append((self.text.sql[last:first], last, first))
            if kept.name.startswith(EXPRESSION):
                self._write_holes(kept, parts)
            else:
                parts.append((kept.name, first, stop))
            last = stop
        parts.append((self.text.sql[last:end], last, end))

    def _write_holes(self, kept: _Kept, parts: list[tuple[str, int, int]]) -> None:
        parts.append((f"{kept.name}(", *kept.span))
        for number, hole in enumerate(kept.holes):
            first, stop = hole["span"]
            parts.append((", ", first, first)) if number else None
            if (first, stop) == kept.span:  # only the parser knows a difference
                parts.append((self.text.sql[first:stop], first, stop))
            else:
                self._write(first, stop, parts)
        parts.append((")", kept.span[1] - 1, kept.span[1]))

    def _refused(self, node: Node) -> UnsupportedQuery:
        span = next((s for n in self._up(node) if (s := tree.span_of(n))), (0, 1))
        place = self.source.place(*self.text.origin(*span))
        if any(n.get("class") == "LAMBDA" and probe.has_call(n, self.catalog) for n in tree.walk(self.root)):
            return UnsupportedQuery.in_lambda(place)
        return UnsupportedQuery(
            "this form of SQL cannot be planned in a query with predict()",
            hint="put it into a model, a CTE or a subquery of its own that holds no predict()",
            location=place,
        )

    def _up(self, node: Node) -> Iterator[Node]:
        current: Node | None = node
        while current is not None:
            yield current
            current = self.parents.get(id(current))


def _offset(location: Location | None, sql: str) -> int | None:
    if location is None or location.line is None or location.column is None:
        return None
    return sum(len(line) for line in sql.splitlines(keepends=True)[: location.line - 1]) + location.column - 1


def _keepable(node: Node) -> bool:
    kinds = ("WINDOW", "STAR", "SUBQUERY", "TYPE", "LAMBDA")
    return tree.span_of(node) is not None and node.get("class") not in kinds


def _volatile(node: Node, found: tuple[Node, ...]) -> bool:
    """Whether the kept text itself has a value that changes."""
    elsewhere = {id(n) for hole in found for n in tree.walk(hole)}
    names = [str(n.get("function_name") or (n.get("column_names") or [""])[-1]) for n in tree.walk(node)
             if id(n) not in elsewhere]  # fmt: skip
    return any(is_volatile_name(name) for name in names)


def has_lambda(node: Node) -> bool:
    return any(n.get("class") == "LAMBDA" for n in tree.walk(node))


def holes(node: Node) -> Iterator[Node]:
    """The expressions inside one that are rewritten on their own: its operands, and inside lambdas outer columns."""
    for child in tree.children(node):
        yield from _holes(child, frozenset())


def _holes(node: Node, parameters: frozenset[str]) -> Iterator[Node]:
    if node.get("class") == "LAMBDA":
        names = {str(n["column_names"][-1]).casefold() for n in tree.walk(node["lhs"]) if "column_names" in n}
        yield from _holes(node["expr"], parameters | names)
        return
    if node.get("class") in ("CONSTANT", "TYPE", "STAR", "DEFAULT", "PARAMETER"):
        return
    names = {str(n["column_names"][0]).casefold() for n in tree.walk(node) if "column_names" in n}
    split = tree.span_of(node) is None or has_lambda(node) or bool(names & parameters)
    if not split and tree.is_expression(node):
        yield node
    elif not (node.get("class") == "COLUMN_REF" and split):
        for child in tree.children(node):
            yield from _holes(child, parameters)


__all__ = ["Warehouse", "lowered"]
