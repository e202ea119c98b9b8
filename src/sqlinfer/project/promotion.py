"""``functions/*.yml`` → the same files with a champion and its challenger swapped, byte for byte but for that.

The two declarations exchange their names, and ``challenger:`` moves to the new champion: what is said of a model, and
where its files lie, stays with the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlinfer.errors import Location, ProjectError, UnknownFunction
from sqlinfer.project.values import FunctionConfig
from sqlinfer.project.yamlfile import Keys, Span, YamlFile, parse_yaml, read_yaml

_BY_HAND = "swap the two declarations by hand"


@dataclass(frozen=True, slots=True)
class Promotion:
    champion: str
    """The name that SQL calls, before and after."""
    challenger: str
    files: Mapping[Path, str]
    """The files that change, as they are to be."""
    places: tuple[Location, Location]
    """Of the two declarations, the old champion's first."""


@dataclass(slots=True)
class _Edited:
    file: YamlFile
    edits: list[tuple[Span, str]] = field(default_factory=list)

    def text(self) -> str:
        text = self.file.text
        for (start, end), new in sorted(self.edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text


def promotion(functions: Mapping[str, FunctionConfig], name: str) -> Promotion:
    """Nothing is written.

    Raises:
        UnknownFunction: no function has this name.
        ProjectError: it has no challenger, or the files do not spell the two out.
    """
    if name not in functions:
        raise UnknownFunction.for_call(name, functions)
    config = functions[name]
    if config.challenger is None:
        raise ProjectError(
            f"'{name}' has no challenger", hint="challenger: NAME in its config", location=config.location
        )
    other = functions[config.challenger]
    files: dict[Path, _Edited] = {}
    own, theirs = (_entry(files, one) for one in (config, other))
    for (edited, keys), new in ((own, other.name), (theirs, config.name)):
        edited.edits.append((edited.file.values[(*keys, "name")], new))
    _take(*own)
    _give(*theirs, config.challenger)
    changed = {path: edited.text() for path, edited in files.items()}
    _check(changed, config, other)
    return Promotion(name, other.name, changed, (config.location, other.location))


def _entry(files: dict[Path, _Edited], config: FunctionConfig) -> tuple[_Edited, Keys]:
    path = config.location.path
    assert path is not None
    edited = files.setdefault(path, _Edited(read_yaml(path)))
    found = [n for n, one in enumerate(edited.file.data["functions"]) if one.get("name") == config.name]
    if len(found) != 1:  # Jinja makes it
        raise ProjectError(
            f"the name of '{config.name}' is not spelt out in {path.name}", hint=_BY_HAND, location=config.location
        )
    return edited, ("functions", found[0])


def _take(edited: _Edited, keys: Keys) -> None:
    """``challenger:`` goes, and a ``config:`` that holds nothing else."""
    data = _at(edited.file.data, keys)
    inner = "challenger" in (data.get("config") or {})
    holder = (*keys, "config") if inner else keys
    gone = holder if inner and len(data["config"]) == 1 else (*holder, "challenger")
    text, start, end = edited.file.text, edited.file.keys[gone][0], edited.file.values[gone][1]
    line, after = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    after = len(text) if after < 0 else after + 1
    if not text[line:start].strip() and re.fullmatch(r"\s*(#.*)?\n?", text[end:after]):
        edited.edits.append(((line, after), ""))
        return
    if comma := re.match(r"\s*,\s*", text[end:]):
        end += comma.end()
    elif comma := re.search(r"\s*,\s*$", text[:start]):
        start = comma.start()
    edited.edits.append(((start, end), ""))


def _give(edited: _Edited, keys: Keys, challenger: str) -> None:
    """``challenger:`` comes into ``config:`` where there is one, else beside the name."""
    file, line = edited.file, f"challenger: {challenger}"
    inside = _at(file.data, keys).get("config")
    if isinstance(inside, dict):
        start, end = file.values[(*keys, "config")]
        if file.text[start] == "{":
            edited.edits.append(((end - 1, end - 1), f", {line}" if inside else line))
        else:
            indent = start - (file.text.rfind("\n", 0, start) + 1)
            edited.edits.append(((start, start), f"{line}\n{' ' * indent}"))
        return
    start, _ = file.keys[(*keys, "name")]
    _, end = file.values[(*keys, "name")]
    if file.text[file.values[keys][0]] == "{":
        edited.edits.append(((end, end), f", {line}"))
    else:
        indent = start - (file.text.rfind("\n", 0, start) + 1)
        edited.edits.append(((end, end), f"\n{' ' * indent}{line}"))


def _at(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data[key]
    return data


def _check(changed: Mapping[Path, str], config: FunctionConfig, other: FunctionConfig) -> None:
    """Anchors and merges may stand where an edit means more than one declaration."""
    wanted = {one.location.path: _read(one.location.path) for one in (config, other)}
    names = {config.name: other.name, other.name: config.name}
    for path, entries in wanted.items():
        assert path is not None
        for entry in entries:
            swapped = names.get(entry["name"], entry["name"])
            challenger = _without_challenger(entry)
            if swapped == config.name:
                entry["challenger"] = config.challenger
            elif entry["name"] == config.name:
                entry["challenger"] = None
            else:
                entry["challenger"] = challenger
            entry["name"] = swapped
        if _made(changed[path]) != entries:
            raise ProjectError(
                f"{path.name} shares what the two declarations say", hint=_BY_HAND, location=config.location
            )


def _made(text: str) -> list[dict[str, Any]] | None:
    try:
        found: list[dict[str, Any]] = parse_yaml(text).data["functions"]
    except ProjectError:
        return None
    for entry in found:
        entry["challenger"] = _without_challenger(entry)
    return found


def _read(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    found: list[dict[str, Any]] = read_yaml(path).data["functions"]
    return found


def _without_challenger(entry: dict[str, Any]) -> Any:
    """Taken out of it, a ``config:`` without anything too."""
    config = entry.get("config") or {}
    found = entry.pop("challenger", None) or config.pop("challenger", None)
    if not config:
        entry.pop("config", None)
    return found
