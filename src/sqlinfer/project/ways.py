"""An error that names what is missing gets the way to it: the real node, and the command that makes it. Pure."""

from __future__ import annotations

import re

from sqlinfer.errors import SqlinferError, UnknownFunction
from sqlinfer.project.values import Node, Project, Source

_MISSING = re.compile(
    r"(?:Table|View) with name (?P<bare>.+?) does not exist!?(?P<guess>\n\s*Did you mean .*)?"
    r"|relation '(?P<full>[^']+)' does not exist|file '(?P<file>.+?)' does not exist"
)
"""As the warehouse says it, with a guess of its own among all that it knows, and as the compiler does."""


def with_way(error: SqlinferError, project: Project) -> SqlinferError:
    """The same error. Its hint names a node of the project that has not been built, or where functions are declared."""
    if isinstance(error, UnknownFunction) and (error.hint or "").startswith("declare it in "):
        error.hint = f"declare it in {_function_folder(project)}/*.yml"
        return error
    found = _MISSING.search(error.message)
    member = _named(project, found) if found else None
    if found and member is not None:
        error.hint = _way(member, project)
        error.message = error.message.replace(found["guess"] or "\0", "")
    return error


def _named(project: Project, found: re.Match[str]) -> Node | Source | None:
    if found["file"] is None:
        return _member(project, found["full"] or found["bare"])
    return next((one for one in project.nodes.values() if one.config.location == found["file"]), None)


def _function_folder(project: Project) -> str:
    inside = [path.relative_to(project.root) for path in project.function_paths if path.is_relative_to(project.root)]
    return inside[0].as_posix() if inside else "ml" if _is_dbt(project) else "functions"


def _member(project: Project, name: str) -> Node | Source | None:
    """What publishes a relation of this name, or is declared as it; none where several do."""
    wanted = name.casefold()
    members: tuple[Node | Source, ...] = (*project.nodes.values(), *project.sources.values())
    found = [one for one in members if str(one.relation).casefold() == wanted]
    found = found or [one for one in members if one.relation.name.casefold() == wanted]
    found = [one for one in found if not isinstance(one, Node) or one.config.materialized != "ephemeral"]
    return found[0] if len({str(one.relation) for one in found}) == 1 else None


def _way(member: Node | Source, project: Project) -> str:
    if isinstance(member, Source):
        declared = f", or correct its declaration at {member.location}" if member.location else ""
        return f"source {member.source_name}.{member.name} is not in the warehouse: load it{declared}"
    tool = "dbt" if _is_dbt(project) else "sqlinfer"
    if member.resource_type == "seed":
        return f"seed {member.name} is not loaded yet: {tool} seed --select {member.name}"
    ours = member.config.extra.get("materialized") == "prediction"
    run = f"sqlinfer run --dbt --select {member.name}" if ours else f"{tool} run --select +{member.name}"
    return f"{member.name} is not built yet: {run}"


def _is_dbt(project: Project) -> bool:
    """Whether the nodes come from dbt's manifest."""
    return any(node.compiled is not None for node in project.nodes.values())
