"""What is done at each loading, whether files are read or an earlier reading is remembered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlinfer import scrub
from sqlinfer.errors import Location, ProjectError
from sqlinfer.project import locations
from sqlinfer.project.values import Project


def learn_secrets(given: Any) -> None:
    """Values of variables that are secrets by their names, and passwords inside connection strings."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            if isinstance(value, str) and len(value) >= scrub.PART and scrub.SECRET_KEYS.search(str(key)):
                scrub.learn([value])
            learn_secrets(value)
    elif isinstance(given, list | tuple):
        for one in given:
            learn_secrets(one)
    elif isinstance(given, str):
        scrub.learn(scrub.secrets_of(given))


def finished(project: Project) -> Project:
    """The project itself, where its external models write what is theirs.

    Raises:
        ProjectError: one of them may not, or two write one file.
    """
    _refuse_locations(project)
    scrub.spare(names_of(project))
    return project


def names_of(project: Project) -> Iterator[str]:
    """What every output names."""
    yield from (project.name, project.profile.name, project.profile.target, project.profile.schema)
    for node in project.nodes.values():
        yield from (node.name, node.relation.name, node.relation.schema or "")
    for source in project.sources.values():
        yield from (source.source_name, source.name, source.relation.name)
    yield from project.functions


def _refuse_locations(project: Project) -> None:
    owners: dict[str, str] = {}
    for node in project.nodes.values():
        if node.config.materialized == "external" and node.config.location:
            folder = node.config.is_folder
            locations.refuse(project, node.config.location, Location(node.path, 1), folder=folder)
            first = owners.setdefault(node.config.location.rstrip("/").casefold(), node.name)
            if first != node.name:
                said = f"'{first}' and '{node.name}' both write {node.config.location}"
                raise ProjectError(said, hint="give one another location", location=Location(node.path, 1))
