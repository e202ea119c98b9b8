"""Emit stages: the rows of a SELECT with the arguments, keys and statuses of its calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from sqlinfer.compiler.calls.casts import CastArgument, cast_argument, status
from sqlinfer.compiler.calls.fits import fit, is_certain
from sqlinfer.compiler.forms.base import is_null
from sqlinfer.compiler.plan.builder import Builder, canonical_type, cast_type, column_type
from sqlinfer.compiler.plan.sites import Site
from sqlinfer.compiler.scopes.analyse import can_try, columns_in, is_volatile, replace_top_down, sources, text
from sqlinfer.errors import CallError
from sqlinfer.spec.function import Argument
from sqlinfer.spec.names import OURS
from sqlinfer.spec.plan import Call, Stage

_MADE: dict[type[exp.Expr], str] = {
    exp.Array: "ANY[]", exp.Struct: "STRUCT", exp.Map: "MAP", exp.VarMap: "MAP", exp.ToMap: "MAP",
    exp.Interval: "INTERVAL", exp.CurrentTimestamp: "TIMESTAMP", exp.CurrentDate: "DATE", exp.CurrentTime: "TIME",
}  # fmt: skip
_CLOCK = {"today": "DATE", "now": "TIMESTAMP", "get_current_time": "TIME", "get_current_timestamp": "TIMESTAMP",
          "current_localtime": "TIME", "current_localtimestamp": "TIMESTAMP"}  # fmt: skip
"""Expressions whose kind of type can be seen; that is enough to know that it never fits."""


_OURS = frozenset({"key", "status", "guard", "raw"})
"""What else of a call a stage may hold, by the end of its column's name."""


_RESERVED = re.compile(rf"_p\d|{OURS}|rowid$", re.IGNORECASE)
"""How our columns of a stage begin, and what hides the id of its rows. The user's are called otherwise there."""


def is_reserved(name: str) -> bool:
    """Whether a column of the user may not have this name in a stage."""
    return _RESERVED.match(name) is not None


@dataclass(slots=True)
class Layer:
    """The rows that one wave is scored over: a FROM with filters, and names for the columns taken from it."""

    builder: Builder
    body: exp.Select
    """FROM, joins, WHERE, perhaps ORDER BY and LIMIT; projections are added here."""
    columns: Mapping[str, exp.Expr]
    """Name in the stage → expression over the body, for what the rest of the query needs."""
    column_types: Mapping[str, str | None]
    sites: tuple[Site, ...]
    pushed: tuple[str, ...] = ()
    hidden: set[str] = field(default_factory=set)
    """Columns of the innermost query of the stage that go no further."""
    known: dict[str, str] = field(default_factory=dict)
    """Identity of an expression → its column in the innermost query, where that is handed on."""

    def emit(self) -> Stage:
        """Three nested queries at most: raw arguments and guards; casts and statuses; keys. Trivial ones fall away."""
        self._check_types()
        for name, node in self.columns.items():
            self.known.setdefault(text(node), name)
        raw: dict[str, exp.Expr] = dict(self.columns)
        casts: dict[str, exp.Expr] = {}
        keys: dict[str, exp.Expr] = {}
        calls = []
        for site in self.sites:
            calls.append(self._call(site, raw, casts, keys))
        query, untyped = self._nested(raw, casts, keys), self._untyped(raw)
        stage = self.builder.add(query, tuple(self.columns), tuple(calls), self.pushed, untyped)
        known = dict(self.column_types)
        self.builder.column_types[stage.relation.name] = {n: known.get(n) for n in raw}
        if stage.scored is not None:
            outputs: dict[str, str | None] = {}
            for site in self.sites:
                flat = self.builder.columns_of(site)
                types_of = [o.data_type for o in site.contract.outputs] if flat else [site.contract.return_type]
                outputs |= dict(zip(flat or (site.output,), types_of, strict=True))
            self.builder.column_types[stage.scored.name] = {n: known.get(n) for n in self.columns} | outputs
        return stage

    def _call(
        self, site: Site, raw: dict[str, exp.Expr], casts: dict[str, exp.Expr], keys: dict[str, exp.Expr]
    ) -> Call:
        guard = None
        if site.guard is not None:
            raw[f"{site.output}_guard"] = self._tried(site.guard, site)
            self.hidden.add(f"{site.output}_guard")
            guard = exp.column(f"{site.output}_guard", quoted=True)
        finals: list[tuple[Argument, CastArgument, exp.Expr]] = []
        names: list[str] = []
        own = _column_names(site)
        for argument, value in zip(site.contract.arguments, site.call.expressions, strict=True):
            names.append(self._argument(site, argument, own[argument.name], value, raw, casts, finals))
        state = status(finals, guard)
        status_name = None
        if state is not None:
            status_name = f"{site.output}_status"
            casts[status_name] = state
        key_name = None
        if site.contract.strategy == "store":
            key_name = f"{site.output}_key"
            keys[key_name] = self._key(names, site)
        dialect = self.builder.catalog.dialect
        return Call(
            function=site.contract.name,
            digest=site.contract.digest,
            strategy=site.contract.strategy,
            arguments=tuple(names),
            output=site.output,
            key=key_name,
            status=status_name,
            sql=self.builder.source.quote(site.call, dialect),
            guards=(site.guard.sql(dialect=dialect),) if site.guard is not None else (),
            columns=self.builder.columns_of(site),
        )

    def _argument(
        self,
        site: Site,
        argument: Argument,
        own: str,
        value: exp.Expr,
        raw: dict[str, exp.Expr],
        casts: dict[str, exp.Expr],
        finals: list[tuple[Argument, CastArgument, exp.Expr]],
    ) -> str:
        """Add what one argument needs, in column ``own`` where the stage has none; the name of its final column."""
        given = self._given(site, argument, value)
        plain = (
            site.guard is None and fit(given, argument.data_type) == "same" and argument.on_null in ("null", "error")
        )
        if plain:
            name = self.known.setdefault(text(value), own)
            if name not in raw:
                raw[name] = value.copy()
            column = exp.column(name, quoted=True)
            finals.append((argument, cast_argument(column, argument, given, self.builder.form), column))
            return name
        source_name, name = f"{own}_raw", own
        self.hidden.add(source_name)
        tried = self._tried(value, site)
        raw[source_name] = tried if site.guard is None else exp.case().when(self._tried(site.guard, site), tried)
        column = exp.column(source_name, quoted=True)
        cast = cast_argument(column, argument, given, self.builder.form)
        final = cast.value
        if site.guard is not None and argument.on_null in ("default", "nan"):
            final = exp.case().when(exp.column(f"{site.output}_guard", quoted=True), final.copy())
        casts[name] = final
        finals.append((argument, cast, final))
        return name

    def _tried(self, node: exp.Expr, site: Site) -> exp.Expr:
        """NULL instead of an error where SQL might not have evaluated the expression."""
        risky = site.partial and can_try(node) and not is_volatile(node)
        return self.builder.tried(node, site.call) if risky else node.copy()

    def _key(self, names: list[str], site: Site) -> exp.Expr:
        form, contract = self.builder.form, site.contract
        pairs: list[tuple[exp.Expr, str]] = [
            (exp.column(name, quoted=True), argument.data_type)
            for name, argument in zip(names, contract.arguments, strict=True)
        ]
        known = exp.and_(*[exp.not_(is_null(column)) for column, _ in pairs])
        for name, argument in zip(names, contract.arguments, strict=True):
            if argument.name == contract.file_argument:  # what is scored is the file, not its name
                pairs.append((self.builder.file_stamp(name, site.call), "TEXT"))
        return exp.case().when(known, form.key(pairs))

    def _given(self, site: Site, argument: Argument, value: exp.Expr) -> str | None:
        """The type of what a call is given, from the query or, where that does not tell, from the warehouse."""
        seen = self._type(value)
        told = self.builder.catalog.arguments.get(f"{site.output}.{argument.name}")
        return seen if told is None or is_certain(seen) else canonical_type(told, self.builder.form)

    def _type(self, value: exp.Expr) -> str | None:
        """The canonical type of an argument where it is certain: columns, casts and literals."""
        node = value.unnest()
        if isinstance(node, exp.Column):
            return self._column_type(node)
        if isinstance(node, (exp.Cast, exp.TryCast)):
            return cast_type(node.to, self.builder.form)
        if isinstance(node, exp.Literal):
            return "TEXT" if node.is_string else ("INT" if node.is_int and abs(int(node.this)) < 2**31 else None)
        if isinstance(node, exp.Anonymous):
            return _CLOCK.get(str(node.name).casefold())
        return next((name for kind, name in _MADE.items() if isinstance(node, kind)), None)

    def _column_type(self, column: exp.Column) -> str | None:
        table = sources(self.body).get(column.table)
        return column_type(self.builder, table, column.name)

    def _check_types(self) -> None:
        for site in self.sites:
            for argument, value in zip(site.contract.arguments, site.call.expressions, strict=True):
                given = self._given(site, argument, value)
                if fit(given, argument.data_type) == "never":
                    ours = any(column.table.startswith("_") for column in columns_in(value))
                    shown = None if ours else value.sql(dialect="duckdb", comments=False)
                    raise CallError.never_fits(
                        site.contract.name, argument.name, argument.data_type, shown, str(given),
                        self.builder.source.locate(site.call),
                    )  # fmt: skip

    def _untyped(self, raw: Mapping[str, exp.Expr]) -> exp.Select | None:
        """The arguments whose type is not certain, named ``<output>.<argument>``."""
        unsure = {
            f"{site.output}.{argument.name}": raw[f"{own}_raw"]
            for site in self.sites
            for argument, own, value in zip(
                site.contract.arguments, _column_names(site).values(), site.call.expressions, strict=True
            )
            if f"{own}_raw" in raw and not is_certain(self._given(site, argument, value))
        }
        if not unsure:
            return None
        query = self.body.copy()
        query.set("expressions", _aliased(unsure))
        return query

    def _nested(self, raw: dict[str, exp.Expr], casts: dict[str, exp.Expr], keys: dict[str, exp.Expr]) -> exp.Select:
        query = self.body.copy()
        if not casts and all(isinstance(e, exp.Column) for e in raw.values()):
            keys = {name: _over(node, raw) for name, node in keys.items()}
            query.set("expressions", _aliased(raw | keys) or [exp.alias_(exp.Literal.number(1), "_", quoted=True)])
            return query
        query.set("expressions", _aliased(raw) or [exp.alias_(exp.Literal.number(1), "_", quoted=True)])
        hidden = self.hidden
        if casts:
            kept = [exp.column(n, quoted=True) for n in raw if n not in hidden]
            query = exp.select(*kept, *_aliased(casts), copy=False).from_(query.subquery("_raw", copy=False))
        if keys:
            kept = [exp.column(n, quoted=True) for n in (*(n for n in raw if n not in hidden), *casts)]
            query = exp.select(*kept, *_aliased(keys), copy=False).from_(query.subquery("_cast", copy=False))
        return query


def _column_names(site: Site) -> dict[str, str]:
    """Argument → its column in the stage, which meets neither another argument's nor what else is ours."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for argument in site.contract.arguments:
        name = argument.name
        while name.casefold() in taken or name.casefold() in _OURS or name.casefold().endswith("_raw"):
            name += "_"
        taken.add(name.casefold())
        names[argument.name] = f"{site.output}_{name}"
    return names


def _aliased(columns: Mapping[str, exp.Expr]) -> list[exp.Expr]:
    return [exp.alias_(node.copy(), name, quoted=True) for name, node in columns.items()]


def _over(node: exp.Expr, columns: Mapping[str, exp.Expr]) -> exp.Expr:
    """Column names of this query replaced by what they stand for."""
    return replace_top_down(
        node,
        lambda n: columns[n.name].copy() if isinstance(n, exp.Column) and not n.table and n.name in columns else None,
    )
