"""``contract: {enforced: true}`` of a prediction node: declared columns against those of its compiled query."""

from __future__ import annotations

from sqlinfer import types
from sqlinfer.catalog import CompiledNode
from sqlinfer.errors import CompileError, Location, ProjectError
from sqlinfer.project import Node


def enforce(node: Node, item: CompiledNode, dialect: str) -> None:
    """Raises CompileError naming every difference."""
    if not node.config.contract:
        return
    declared = {column.name.casefold(): column.data_type for column in node.columns}
    found = {column.name.casefold(): column.data_type for column in item.columns}
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


def _spelled(data_type: str, dialect: str) -> str:
    try:
        return types.canonical(data_type, dialect)
    except ProjectError:
        return data_type.upper()
