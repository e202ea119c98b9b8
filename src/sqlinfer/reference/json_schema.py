"""A JSON Schema (draft 2020-12) of a yml file, for editors: ``# yaml-language-server: $schema=…``."""

from __future__ import annotations

from typing import Any

from sqlinfer.reference.meanings import meanings
from sqlinfer.reference.sections import SECTIONS

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_JINJA = {"type": "string", "pattern": "\\{\\{"}


def json_schema(section: str) -> dict[str, Any]:
    """The schema of one of ``SECTIONS``. Text with Jinja is allowed in the place of any value."""
    chosen = SECTIONS[section]
    found = chosen.model.model_json_schema(by_alias=True)
    for name, one in (*found.get("$defs", {}).items(), (chosen.model.__name__, found)):
        one["properties"] = {key: _property(name, key, value) for key, value in one.get("properties", {}).items()}
        one.pop("description", None)
    return {"$schema": DRAFT, **found, "title": f"sqlinfer: {chosen.title}"}


def _property(model: str, key: str, schema: dict[str, Any]) -> dict[str, Any]:
    schema.pop("title", None)
    said, default = meanings().get(model, {}).get(key, ("", ""))[0], schema.pop("default", None)
    found = schema if not schema or schema.get("type") == "string" else {"anyOf": [*_choices(schema), _JINJA]}
    told = {"description": said} if said else {}
    return {**told, **found} if default is None else {**told, **found, "default": default}


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return list(schema["anyOf"]) if set(schema) == {"anyOf"} else [schema]
