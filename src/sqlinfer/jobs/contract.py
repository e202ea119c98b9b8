"""``contract: {enforced: true}``: declared columns against the query's, constraints that a table can hold."""

from __future__ import annotations

from sqlinfer import types
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import ColumnError, CompileError, Location, ProjectError, did_you_mean
from sqlinfer.project import Node
from sqlinfer.relation import fold
from sqlinfer.spec.constraint import Constraint


def enforce(node: Node, item: CompiledNode, dialect: str) -> None:
    """Raises CompileError naming every difference, or the constraint that cannot be held."""
    if not node.config.contract:
        return
    declared = {fold(column.name): column.data_type for column in node.columns}
    found = {fold(column.name): column.data_type for column in item.columns}
    wrong = [f"{name} is missing in the query" for name in declared if name not in found]
    wrong += [f"{name} is not declared" for name in found if name not in declared]
    wrong += [
        f"{name} is {found[name]}, declared {kind}"
        for name, kind in declared.items()
        if kind and name in found and _spelled(kind, dialect) != _spelled(found[name], dialect)
    ]
    if wrong:
        raise CompileError(
            f"'{node.name}' breaks its contract: {'; '.join(wrong)}", hint="cast in the SQL, or change the contract",
            location=Location(node.compiled_path or node.path),
        )  # fmt: skip
    for constraint in node.constraints:
        _refuse_unheld(node, constraint, item)


def _refuse_unheld(node: Node, constraint: Constraint, item: CompiledNode) -> None:
    kind = node.config.materialized
    said = None
    if kind not in ("table", "incremental"):
        what = {"external": "a file", "ephemeral": "an ephemeral model"}.get(kind, f"a {kind}")
        said = f"{what} holds no constraints"
    elif constraint.kind == "custom":
        said = "sqlinfer knows not_null, unique, primary_key, foreign_key and check"
    if said is not None:
        raise CompileError(
            f"constraint {constraint} of '{node.name}' cannot be enforced: {said}", hint="write a data test instead",
            location=constraint.location or Location(node.path),
        )  # fmt: skip
    names = {fold(column.name): column.name for column in item.columns}
    unknown = next((name for name in constraint.columns if fold(name) not in names), None)
    if unknown is not None:
        raise ColumnError(
            f"constraint {constraint} of '{node.name}' names '{unknown}', which is no column of the query",
            hint=did_you_mean(unknown, list(names.values())), location=constraint.location or Location(node.path),
        )  # fmt: skip


def _spelled(data_type: str, dialect: str) -> str:
    try:
        return types.canonical(data_type, dialect)
    except ProjectError:
        return data_type.upper()
