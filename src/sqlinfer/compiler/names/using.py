"""What the column of USING is: that of the left side, of the right one after a right join, of all after a full one.

sqlglot takes COALESCE of all sides wherever the column is read, which may have another type, and the first side in the
conditions of later joins, which a right or full join has filled with NULLs.

>>> from sqlglot import parse_one
>>> from sqlglot.optimizer.qualify import qualify
>>> query = parse_one("select k from a right join b using (k) join c using (k)")
>>> mark_using(query)
>>> query = qualify(query, schema={name: {"k": "int"} for name in "abc"}, quote_identifiers=False)
>>> query.sql()[-55:]
'RIGHT JOIN b AS b ON a.k = b.k JOIN c AS c ON a.k = c.k'
>>> columns_of_using(query)
>>> query.sql()
'SELECT b.k AS k FROM a AS a RIGHT JOIN b AS b ON a.k = b.k JOIN c AS c ON b.k = c.k'
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from sqlinfer.compiler.scopes.analyse import flat_conjuncts

_USING, _WRITTEN = "using", "written"


@dataclass(slots=True)
class _Shared:
    """The column of one name that joins have made one."""

    sides: list[exp.Column]
    whole: exp.Column | None
    """The side that has every row's value; None after a full join."""

    def value(self) -> exp.Expr:
        if self.whole is not None:
            return self.whole.copy()
        whole = exp.func("coalesce", *(side.copy() for side in self.sides))
        whole.meta[_WRITTEN] = True
        return whole

    def add(self, column: exp.Column, side: str) -> None:
        self.sides.append(column)
        self.whole = {"FULL": None, "RIGHT": column}.get(side, self.whole)


def mark_using(query: exp.Expr) -> None:
    """Before names are resolved: which joins have USING, and which COALESCE the user wrote."""
    for node in query.find_all(exp.Coalesce):
        node.meta[_WRITTEN] = True
    for join in query.find_all(exp.Join):
        join.meta[_USING] = bool(join.args.get("using")) or join.method == "NATURAL"


def columns_of_using(query: exp.Expr) -> None:
    """After names are resolved, while aliases are still the user's."""
    for select in query.find_all(exp.Select):
        shared: dict[str, _Shared] = {}
        for join in select.args.get("joins") or []:
            if join.meta.get(_USING):
                _through(join, shared)
        if shared:
            _read(select, shared)


def _through(join: exp.Join, shared: dict[str, _Shared]) -> None:
    for part in flat_conjuncts(join.args.get("on")):
        if not isinstance(part, exp.EQ) or not isinstance(part.expression, exp.Column):
            continue
        right, left = part.expression, part.this
        first = left if isinstance(left, exp.Column) else left.find(exp.Column)
        if first is None:
            continue
        known = shared.setdefault(right.name.casefold(), _Shared([first.copy()], first.copy()))
        left.replace(known.value())
        if join.kind not in ("SEMI", "ANTI"):
            known.add(right.copy(), join.side)


def _read(select: exp.Select, shared: dict[str, _Shared]) -> None:
    for node in [n for n in select.find_all(exp.Coalesce) if _WRITTEN not in n.meta]:
        columns = [node.this, *node.expressions]
        known = shared.get(columns[0].name.casefold()) if isinstance(columns[0], exp.Column) else None
        if known is not None and {c.sql() for c in columns} <= {side.sql() for side in known.sides}:
            node.replace(known.value())
