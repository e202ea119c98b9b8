"""What a yml file holds → a pydantic model; errors become ProjectErrors at the offending key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sqlinfer.errors import ProjectError, did_you_mean
from sqlinfer.project.yamlfile import YamlFile

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], file: YamlFile, data: Any, keys: Sequence[str | int] = (),
             kind: type[ProjectError] = ProjectError) -> Model:  # fmt: skip
    """Check ``data``, which stands under ``keys`` of the file. Raises ``kind`` for the first offending key."""
    what = "a mapping of keys to values"
    if not isinstance(data, dict):
        raise file.error(f"expected {what}, found {describe(data)}", keys, value=True, kind=kind)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=lambda e: _rank(e["type"]))
        raise _translate(first, model, file, data, tuple(keys), kind) from error


def _rank(code: str) -> int:
    """Unknown keys first: a misspelt required key is better named as unknown than as missing."""
    return 0 if code == "extra_forbidden" else 1


def describe(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def _translate(error: Any, model: type[BaseModel], file: YamlFile, data: Any, keys: tuple[str | int, ...],
               kind: type[ProjectError]) -> ProjectError:  # fmt: skip
    path, parent, owner = _walk(error["loc"], data, model)
    last = error["loc"][-1] if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(str(last), known_keys(owner))
        return file.error(f"unknown key '{last}'", (*keys, *path), hint=hint, kind=kind)
    if error["type"] == "missing":
        what = f" in {describe_owner(parent)}" if parent else ""
        return file.error(f"'{last}' is missing{what}", (*keys, *path), kind=kind)
    name = next((str(part) for part in reversed(path) if isinstance(part, str)), str(last))
    found = f", found {describe(error['input'])}" if "type" in error["type"] or error["type"] == "none_required" else ""
    message = error["msg"][:1].lower() + error["msg"][1:]
    if error["type"] == "string_pattern_mismatch":
        message = f"'{error['input']}' is not allowed here"
    elif error["type"] == "literal_error":
        message = f"'{error['input']}' is not one of {error['ctx']['expected'].replace(' or ', ', ')}"
        expected = [part.strip(" '") for part in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        hint = did_you_mean(str(error["input"]), expected)
        return file.error(f"{name}: {message}", (*keys, *path), value=True, hint=hint, kind=kind)
    return file.error(f"{name}: {message}{found}", (*keys, *path), value=True, kind=kind)


def describe_owner(parent: Any) -> str:
    return f"'{parent['name']}'" if isinstance(parent, dict) and isinstance(parent.get("name"), str) else "this entry"


def _walk(loc: Sequence[str | int], data: Any, model: type[BaseModel]) -> tuple[list[str | int], Any, Any]:
    """The part of pydantic's location that exists in the data, the innermost mapping, and the model it is of."""
    path: list[str | int] = []
    current, parent, owner = data, data, model
    for part in loc:
        if isinstance(current, dict) and part in current:
            owner = _child(owner, part) if isinstance(current[part], dict | list) else owner
            current = current[part]
        elif isinstance(current, list) and isinstance(part, int) and part < len(current):
            current = current[part]
        else:
            continue
        path.append(part)
        parent = current if isinstance(current, dict) else parent
    return path, parent, owner


def _child(owner: Any, key: str | int) -> Any:
    """The pydantic model of a nested key, found in the annotation."""
    if not (isinstance(owner, type) and issubclass(owner, BaseModel)):
        return owner
    for name, field in owner.model_fields.items():
        if key in (name, field.alias):
            return _inner(field.annotation) or owner
    return owner


def _inner(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _inner(part)
        if found is not None:
            return found
    return None


def known_keys(model: Any) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
