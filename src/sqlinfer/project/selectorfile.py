"""selectors.yml: named selections. In: the file. Out: definitions as expressions over selection words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlinfer.errors import did_you_mean
from sqlinfer.project.files import inside
from sqlinfer.project.jinja import Engine
from sqlinfer.project.selections import FILE, AllOf, AnyOf, Expression, Named, Selectors, Without, Words
from sqlinfer.project.strings import render_values
from sqlinfer.project.validation import describe
from sqlinfer.project.witness import seen
from sqlinfer.project.yamlfile import Keys, YamlFile, read_yaml

_METHOD_KEYS = (
    "method", "value", "children", "parents", "children_depth", "parents_depth", "childrens_parents", "exclude",
    "indirect_selection",
)  # fmt: skip


def read_selectors(root: Path, engine: Engine, context: Mapping[str, Any]) -> Selectors:
    """None at all where the project has no such file.

    Raises:
        ProjectError: at the place of what is wrong.
    """
    path = root / FILE
    for witness in seen():
        witness.probe("file", path)
    if not path.is_file():
        return Selectors({})
    file = read_yaml(inside(path, root))
    data = render_values(file.data or {}, (), file, engine, context)
    if not isinstance(data, dict) or not isinstance(data.get("selectors"), list):
        raise file.error(f"{FILE} holds a list 'selectors:'", ())
    found: dict[str, Expression] = {}
    default = None
    for index, entry in enumerate(data["selectors"]):
        keys: Keys = ("selectors", index)
        name = _name(entry, keys, file)
        if name in found:
            raise file.error(f"duplicate selector '{name}'", (*keys, "name"), value=True)
        found[name] = _expression(entry["definition"], (*keys, "definition"), file, found)
        if entry.get("default") is True:
            if default is not None:
                raise file.error(f"'{default}' and '{name}' both are the default", (*keys, "default"))
            default = name
    return Selectors(found, default)


def _name(entry: Any, keys: Keys, file: YamlFile) -> str:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or "definition" not in entry:
        raise file.error("a selector has a 'name' and a 'definition'", keys)
    unknown = next((key for key in entry if key not in ("name", "definition", "description", "default")), None)
    if unknown is not None:
        known = ("name", "definition", "description", "default")
        raise file.error(f"unknown key '{unknown}'", (*keys, unknown), hint=did_you_mean(str(unknown), known))
    return str(entry["name"])


def _expression(data: Any, keys: Keys, file: YamlFile, known: Mapping[str, Expression]) -> Expression:
    if isinstance(data, str):
        return Words(data)
    if not isinstance(data, dict) or not data:
        raise file.error(f"a definition is text or a mapping, found {describe(data)}", keys, value=True)
    for word, kind in (("union", AnyOf), ("intersection", AllOf)):
        if word in data:
            return _combined(data, word, kind, keys, file, known)
    if "method" in data:
        return _method(data, keys, file, known)
    if len(data) == 1:
        ((method, value),) = data.items()
        return Words(f"{method}:{_value(value, (*keys, method), file)}")
    first = next(iter(data))
    raise file.error("a definition is one 'method: value', or has 'method', 'union' or 'intersection'", (*keys, first))


def _combined(
    data: Mapping[str, Any], word: str, kind: type[AnyOf | AllOf], keys: Keys, file: YamlFile,
    known: Mapping[str, Expression],
) -> Expression:  # fmt: skip
    """The parts of a union or an intersection; an ``exclude`` among them is taken away from the whole."""
    if len(data) > 1 or not isinstance(data[word], list) or not data[word]:
        raise file.error(f"'{word}' stands alone and is a list", (*keys, word))
    parts, dropped = [], []
    for index, part in enumerate(data[word]):
        here: Keys = (*keys, word, index)
        if isinstance(part, dict) and set(part) == {"exclude"}:
            dropped += _listed(part["exclude"], (*here, "exclude"), file, known)
        else:
            parts.append(_expression(part, here, file, known))
    if not parts:
        raise file.error(f"'{word}' chooses nothing: it only excludes", (*keys, word))
    whole = kind(tuple(parts))
    return Without(whole, AnyOf(tuple(dropped))) if dropped else whole


def _listed(data: Any, keys: Keys, file: YamlFile, known: Mapping[str, Expression]) -> list[Expression]:
    if not isinstance(data, list):
        raise file.error(f"'exclude' is a list, found {describe(data)}", keys, value=True)
    return [_expression(part, (*keys, index), file, known) for index, part in enumerate(data)]


def _method(data: Mapping[str, Any], keys: Keys, file: YamlFile, known: Mapping[str, Expression]) -> Expression:
    unknown = next((key for key in data if key not in _METHOD_KEYS), None)
    if unknown is not None:
        raise file.error(f"unknown key '{unknown}'", (*keys, unknown), hint=did_you_mean(str(unknown), _METHOD_KEYS))
    if data.get("indirect_selection", "eager") != "eager":
        raise file.error("indirect_selection is 'eager' here: a test follows each node that it reads",
                         (*keys, "indirect_selection"), value=True, hint="leave it out")  # fmt: skip
    if "value" not in data:
        raise file.error("'value' is missing", keys)
    value = _value(data["value"], (*keys, "value"), file)
    chosen: Expression
    if data["method"] == "selector":
        if value not in known:
            raise file.error(f"no selector above is named '{value}'", (*keys, "value"), value=True,
                             hint=did_you_mean(value, known) if known else "define it before this one")  # fmt: skip
        chosen = Named(value)
    else:
        chosen = Words(_spelled(data, value, keys, file))
    if "exclude" not in data:
        return chosen
    return Without(chosen, AnyOf(tuple(_listed(data["exclude"], (*keys, "exclude"), file, known))))


def _spelled(data: Mapping[str, Any], value: str, keys: Keys, file: YamlFile) -> str:
    """The word that means the same on the command line."""
    at = "@" if data.get("childrens_parents") else ""
    if at and (data.get("parents") or data.get("children")):
        raise file.error("childrens_parents cannot be combined with parents or children", (*keys, "childrens_parents"))
    up = f"{data.get('parents_depth', '')}+" if data.get("parents") else ""
    down = f"+{data.get('children_depth', '')}" if data.get("children") else ""
    return f"{at}{up}{data['method']}:{value}{down}"


def _value(value: Any, keys: Keys, file: YamlFile) -> str:
    if isinstance(value, dict | list) or value is None:
        raise file.error(f"the value of a selection is text, found {describe(value)}", keys, value=True)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not text or " " in text or "," in text:
        raise file.error(f"'{text}' is not one value", keys, value=True, hint="use 'union' or 'intersection'")
    return text
