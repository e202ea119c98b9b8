"""``exposures:`` of properties files, as dbt has them: what reads the tables. In: entries. Out: Exposure."""

from __future__ import annotations

import re

from sqlinfer.errors import ProjectError, did_you_mean
from sqlinfer.project.properties import DescribedExposure
from sqlinfer.project.values import Exposure, Project

_REFERENCE = re.compile(
    r"""^\s*(ref|source)\(\s*(['"])([^'"]+)\2\s*(?:,\s*(['"])([^'"]+)\4\s*)?(?:,\s*v(?:ersion)?\s*=\s*[^)]*)?\)\s*$"""
)


def with_exposures(project: Project, described: dict[str, DescribedExposure]) -> Project:
    """Raises ProjectError where one depends on what is not there."""
    from dataclasses import replace

    found = {f"exposure.{project.name}.{name}": _exposure(project, one) for name, one in described.items()}
    return replace(project, exposures=found)


def _exposure(project: Project, one: DescribedExposure) -> Exposure:
    props, config = one.props, one.props.config
    depends = tuple(dict.fromkeys(_unique_id(project, one, text, index) for index, text in enumerate(props.depends_on)))
    tags = (*props.tags, *((config.tags or []) if config else []))
    return Exposure(
        f"exposure.{project.name}.{props.name}", props.name, props.type, depends,
        {key: value for key, value in props.owner.model_dump().items() if value is not None},
        props.label, props.description, props.url, props.maturity, tuple(dict.fromkeys(tags)),
        {**(props.meta or {}), **((config.meta or {}) if config else {})},
        one.file.locate((*one.keys, "name"), value=True),
    )  # fmt: skip


def _unique_id(project: Project, one: DescribedExposure, text: str, index: int) -> str:
    here = (*one.keys, "depends_on", index)
    match = _REFERENCE.match(text)
    if match is None:
        raise one.file.error(f"'{text}' is not ref('…') or source('…', '…')", here, value=True)
    function, first, second = match.group(1), match.group(3), match.group(5)
    if function == "source":
        unique_id, name, known = f"source.{project.name}.{first}.{second}", f"{first}.{second}", list(project.sources)
        if unique_id in project.sources:
            return unique_id
    else:
        name = second or first
        node, known = project.node(name), list(project.nodes)
        if node is not None:
            return node.unique_id
        if any(uid.endswith(f".{project.name}.{name}") for uid in project.disabled):
            raise _unknown(one, here, f"'{name}' is disabled", None)
    hint = did_you_mean(name, [uid.split(".", 2)[2] for uid in known])
    raise _unknown(one, here, f"unknown {'source' if function == 'source' else 'model or seed'} '{name}'", hint)


def _unknown(one: DescribedExposure, keys: tuple[str | int, ...], what: str, hint: str | None) -> ProjectError:
    return one.file.error(f"exposure '{one.props.name}' depends on what is not there: {what}", keys, value=True,
                          hint=hint)  # fmt: skip
