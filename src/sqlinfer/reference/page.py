"""docs/reference.md: each key with its type, default, meaning and an example."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sqlinfer.audits.base import Audit
from sqlinfer.audits.registry import AUDITS
from sqlinfer.reference.meanings import meanings
from sqlinfer.reference.profiles import PROFILE_KEYS
from sqlinfer.reference.sections import SECTIONS, known_models

HEAD = """\
# Reference

What each yml file may hold. Made by `sqlinfer schema --page` from the models that load these files.

`sqlinfer schema functions` (`models`, `config`, `project`) prints a JSON Schema; those of this version lie in
[src/sqlinfer/reference/schemas](../src/sqlinfer/reference/schemas/). For an editor with a YAML language server, put one
beside the file and name it in the first line:

```yaml
# yaml-language-server: $schema=functions.schema.json
```

A key that is not here is an error with its place. Values may be written in Jinja, such as `{{ env_var('…') }}`.
"""
_NAMES = {
    "FunctionsFile": "A file of functions", "FunctionProps": "A function", "ModelSource": "`model:`",
    "TokenizerProps": "`tokenizer:`", "ImageProps": "`image:`", "ArgumentProps": "An argument",
    "ReturnsProps": "`returns:`", "FieldProps": "A field of a struct", "FunctionConfigProps": "`config:` of a function",
    "PropertiesFile": "A file of models, seeds and sources", "ModelProps": "A model or seed", "ColumnProps": "A column",
    "ExposureProps": "An exposure", "ExposureConfigProps": "`config:` of an exposure", "OwnerProps": "Its owner",
    "SourceProps": "A source", "TableProps": "A table of a source", "SourceConfigProps": "`config:` of a source",
    "FreshnessProps": "`freshness:`", "Threshold": "`warn_after:` and `error_after:`", "ConfigKeys": "Keys",
    "Contract": "`contract:`", "IndexProps": "An index", "Quoting": "`quoting:`", "ProjectFile": "Keys",
    "PricesProps": "`prices:`",
}  # fmt: skip


def page() -> str:
    parts = [HEAD]
    done: set[str] = set()
    for section in SECTIONS.values():
        parts.append(f"## {section.title}\n\n`{section.files}`\n")
        for name, model in known_models(section.model).items():
            if name not in done:
                done.add(name)
                parts.append(f"### {_NAMES.get(name, name)}\n\n{_table(model)}")
    parts.append("## Data tests\n\nWhat they mean, and their configuration: [data tests](data_tests.md).\n")
    parts += [_audit(kind) for kind in AUDITS]
    parts.append("## Profiles\n\n`profiles.yml`: `<profile>: {target: …, outputs: {<target>: {…}}}`.\n")
    parts += [_profile(kind, keys) for kind, keys in PROFILE_KEYS.items()]
    return "\n".join(parts)


def _table(model: type[BaseModel]) -> str:
    known = meanings().get(model.__name__, {})
    rows = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        meaning, example = known.get(key, ("", ""))
        rows.append(
            f"| `{key}` | {_type(field.annotation, field)} | {_default(field)} | {meaning} | `{_cell(example)}` |"
        )
    return "| key | type | default | meaning | example |\n| --- | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"


def _audit(kind: type[Audit]) -> str:
    rows = []
    others = {own: other for other, own in kind.aliases.items()}
    hints = get_type_hints(kind)
    for field in fields(kind):
        name = field.name
        also = f" (also `{others[name]}`)" if name in others else ""
        default = "**needed**" if field.default is MISSING else _shown(field.default)
        rows.append(f"| `{name}`{also} | {_type(hints[name])} | {default} |")
    head = "| argument | type | default |\n| --- | --- | --- |\n"
    return f"### `{kind.kind}`\n\n" + (head + "\n".join(rows) + "\n" if rows else "No arguments.\n")


def _profile(kind: str, keys: dict[str, tuple[str, str]]) -> str:
    rows = [f"| `{key}` | {meaning} | `{_cell(example)}` |" for key, (meaning, example) in keys.items()]
    return f"### `type: {kind}`\n\n| key | meaning | example |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    return _shown(field.get_default(call_default_factory=True))


def _shown(value: Any) -> str:
    if value is None or value == "" or isinstance(value, BaseModel) or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _type(annotation: Any, field: FieldInfo | None = None) -> str:
    return " or ".join(dict.fromkeys(_types(annotation)))


def _types(annotation: Any) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _types(get_args(annotation)[0])
    elif origin is Literal:
        yield ", ".join(f"`{_word(one)}`" for one in get_args(annotation))
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            if part is not type(None):
                yield from _types(part)
    elif origin is list:
        yield f"list of {' or '.join(dict.fromkeys(_types(get_args(annotation)[0])))}"
    elif origin is dict:
        yield "mapping"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        name = _NAMES.get(annotation.__name__, annotation.__name__)
        yield name[:1].lower() + name[1:]
    else:
        yield _PLAIN.get(annotation, "any")


_PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
