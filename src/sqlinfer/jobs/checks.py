"""``sqlinfer debug``: what a run needs, tried one by one. A check never raises what the next one could still tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlinfer.adapters.base import Check
from sqlinfer.adapters.registry import open_adapter
from sqlinfer.errors import SqlinferError
from sqlinfer.functions import describe
from sqlinfer.jobs.events import Event
from sqlinfer.jobs.functions import Functions
from sqlinfer.project import Project


def run(project: Project, device: str | None, emit: Callable[[Event], None]) -> Iterator[Check]:
    profile = project.profile
    yield Check("project", True, f"{project.name} in {project.root}")
    yield Check("profile", True, f"{profile.name}, target {profile.target} ({profile.type}) from {profile.path}")
    yield from connection(project)
    yield chosen_device(device or "auto")
    functions = Functions(project, device or "auto", emit)
    yield from (artifact(functions, name) for name in functions)


def connection(project: Project) -> Iterator[Check]:
    try:
        adapter = open_adapter(project.profile.type, project.profile.config, project.root)
        relations = adapter.list_relations()
        place = ".".join(part for part in (adapter.default.catalog, adapter.default.schema) if part)
        yield Check("connection", True, f"{place}: {len(relations)} tables and views")
        yield from adapter.checks()
    except SqlinferError as error:
        yield Check("connection", False, str(error))


def chosen_device(device: str) -> Check:
    from sqlinfer.inference.providers import resolve_device

    try:
        return Check("device", True, f"{resolve_device(device)} (asked for: {device})")
    except SqlinferError as error:
        return Check("device", False, str(error))


def artifact(functions: Functions, name: str) -> Check:
    """Prepare the function and load its session, as a run would."""
    from sqlinfer.inference import open_session
    from sqlinfer.jobs.functions import cache_dir

    try:
        prepared = functions[name]
        with open_session(prepared, cache_dir=cache_dir(functions.project)) as session:
            session.load()
            contract = prepared.contract
            proof = describe.proof(prepared.verified, prepared.runtime)
            detail = f"{contract.short_digest} on {session.device}, {contract.strategy}, {proof}"
    except SqlinferError as error:
        return Check(f"function {name}", False, str(error))
    return Check(f"function {name}", True, detail)
