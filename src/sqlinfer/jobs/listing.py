"""``sqlinfer ls`` and ``functions list``: the selected members of a project as rows of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlinfer.jobs.functions import Functions
from sqlinfer.project import FunctionConfig, Project

Row = dict[str, Any]


SELECTED = ("model", "seed", "test", "source")
"""Types that are listed where none is asked for."""


def members(project: Project, ids: Iterable[str], *, with_functions: bool = False) -> Iterator[Row]:
    """Nodes, tests and sources; functions only where their type is asked for."""
    for unique_id in ids:
        yield row(project, unique_id)
    if with_functions:
        yield from (function_row(project, config) for config in project.functions.values() if config.enabled)


def row(project: Project, unique_id: str) -> Row:
    node = project.nodes.get(unique_id)
    test = project.tests.get(unique_id)
    source = project.sources.get(unique_id)
    member = node or test or source
    kind = unique_id.partition(".")[0]
    path = node.path if node else getattr(getattr(member, "location", None), "path", None)
    name = f"{source.source_name}.{source.name}" if source else str(getattr(member, "name", unique_id))
    fqn = tuple(getattr(member, "fqn", ())) or (project.name, name)
    return {
        "name": name,
        "resource_type": kind,
        "unique_id": unique_id,
        "selector": ("source:" if source else "") + ".".join(fqn),
        "path": relative(path, project),
        "tags": list(getattr(member, "tags", ())),
        "materialized": node.config.materialized if node else None,
        "depends_on": list(getattr(member, "depends_on", ())),
        "functions": list(node.functions) if node else [],
    }


def function_row(project: Project, config: FunctionConfig) -> Row:
    return {
        "name": config.name,
        "resource_type": "function",
        "unique_id": f"function.{project.name}.{config.name}",
        "selector": f"function:{config.name}",
        "path": relative(config.location.path, project),
        "tags": list(config.tags),
        "source": config.source,
    }


def functions(project: Project) -> Iterator[Row]:
    """Declarations only: no artifact is opened."""
    for config in Functions(project).configs.values():
        arguments = ", ".join(f"{argument.name} {argument.data_type}" for argument in config.arguments) or _unsaid(
            config
        )
        yield {
            "name": config.name,
            "signature": f"{config.name}({arguments or _unsaid(config)})",
            "source": config.source,
            "artifact": config.remote
            or relative(config.path or config.weights, project)
            or config.uri
            or config.entrypoint
            or "",
            "description": config.description,
            "tags": list(config.tags),
        }


def _unsaid(config: FunctionConfig) -> str:
    """The model knows its arguments; it is asked when the function is prepared."""
    return "" if config.source == "onnx" else "…"


def relative(path: Path | None, project: Project) -> str:
    if path is None:
        return ""
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else str(path)
