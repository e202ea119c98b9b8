"""``data_tests:`` of yml files and tests/*.sql → DataTest."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlinfer.audits.registry import Problem, find, kinds, read
from sqlinfer.errors import ProjectError, RenderError, did_you_mean
from sqlinfer.project.testconfig import KEYS, Fail, checked, stored_at
from sqlinfer.project.validation import describe
from sqlinfer.project.values import DataTest
from sqlinfer.project.yamlfile import Keys, YamlFile
from sqlinfer.relation import Relation

_OUTER = ("name", "description", "config", "arguments", "test_name")
_REF = re.compile(
    r"""^\s*(?:\{\{)?\s*(ref|source)\(\s*(['"])([^'"]+)\2\s*(?:,\s*(['"])([^'"]+)\4\s*)?\)\s*(?:\}\})?\s*$"""
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a test is declared on. ``relation_of`` resolves ``ref('x')``: (unique_id, relation), or raises."""

    project: str
    name: str
    unique_id: str
    file: YamlFile
    relation_of: Callable[[str, str, str | None], tuple[str, Relation] | None]
    known: tuple[str, ...] = ()
    schema: str = "main"
    database: str | None = None
    """The target's, where failing rows are kept."""
    macros: Collection[str] = ()
    """``test_…``: tests that the project writes itself."""
    called: Callable[[str], Iterable[str]] = lambda _: ()
    """unique_ids that a test's template refers to. Raises RenderError."""


def read_tests(
    entries: Sequence[Any] | None, keys: Keys, column: str | None, subject: Subject, *, quoted: bool = False
) -> tuple[DataTest, ...]:
    """The enabled tests of one list. ``quoted``: tests of the project's own get the column's name in quotes."""
    tests = (_test(entry, (*keys, index), column, subject, quoted) for index, entry in enumerate(entries or ()))
    return tuple(test for test in tests if test is not None)


def _test(entry: Any, keys: Keys, column: str | None, subject: Subject, quoted: bool) -> DataTest | None:
    file = subject.file
    if isinstance(entry, str):
        kind, body, here = entry, {}, keys
    elif isinstance(entry, dict) and "test_name" in entry:
        kind, body, here = str(entry["test_name"]), {k: v for k, v in entry.items() if k != "test_name"}, keys
    elif isinstance(entry, dict) and len(entry) == 1:
        kind = str(next(iter(entry)))
        body, here = entry[kind] or {}, (*keys, kind)
    elif isinstance(entry, dict) and entry:
        extra = [str(key) for key in entry][1]
        raise file.error(f"a test has one name, found '{extra}' beside it", (*keys, extra),
                         hint="indent its arguments deeper")  # fmt: skip
    else:
        raise file.error(f"a test is a name or a mapping, found {describe(entry)}", keys, value=True)
    if not isinstance(body, dict):
        raise file.error(f"the arguments of '{kind}' are a mapping, found {describe(body)}", here, value=True)
    short = kind.removeprefix(f"{subject.project}.")
    if f"test_{short}" in subject.macros:
        return _own(short, body, here, column, subject, quoted)
    if find(kind) is None:
        known = (*kinds(), *(name.removeprefix("test_") for name in subject.macros))
        raise file.error(f"unknown test '{kind}'", here, hint=did_you_mean(kind.rpartition(".")[2], known))
    return _built(kind, body, here, column, subject)


def _own(
    kind: str, body: Mapping[str, Any], keys: Keys, column: str | None, subject: Subject, quoted: bool
) -> DataTest | None:
    """A test of the project's own: a call of its macro, rendered when it runs."""
    places, arguments, given = _sorted(kind, body, keys, subject.file)

    def fail(key: str, message: str, hint: str | None) -> ProjectError:
        return subject.file.error(message, places.get(key, keys), value=key in given and key in KEYS, hint=hint)

    config = checked(given, fail)
    named = _column(arguments.pop("column_name", None), fail)
    shown = named or (f'"{column}"' if quoted and column else column)
    passed = {**({"column_name": shown} if shown else {}), **arguments}
    sql = f"{{{{ test_{kind}({', '.join(['model=model', *(f'{k}={_jinja(v)}' for k, v in passed.items())])}) }}}}"
    try:
        called = subject.called(sql)
    except RenderError as error:
        raise subject.file.error(f"test '{kind}': {error.message}", keys, hint=error.hint) from error
    if config.get("enabled") is False:
        return None
    own = (subject.unique_id,) if subject.unique_id.startswith(("model.", "seed.")) else ()
    parts = (kind, subject.name, named or column or "")
    name = str(body.get("name") or re.sub(r"\W+", "_", "_".join(parts)).strip("_"))
    return DataTest(
        unique_id=f"test.{subject.project}.{name}", name=name, kind=kind, node=subject.unique_id,
        column=named or column, arguments=arguments, severity=config["severity"], where=config.get("where"),
        error_if=str(config.get("error_if", "!= 0")), warn_if=str(config.get("warn_if", "!= 0")), config=config,
        tags=tuple(_strings(config.get("tags"))), depends_on=tuple(dict.fromkeys((*own, *called))), sql=sql,
        location=subject.file.locate(keys), stored=stored_at(config, name, subject.schema, subject.database),
    )  # fmt: skip


def _jinja(value: Any) -> str:
    """A value of a yml file as Jinja; ``ref('x')`` is called."""
    match = _REF.match(value) if isinstance(value, str) else None
    if match is not None:
        return f"{match[1]}({', '.join(repr(name) for name in (match[3], match[5]) if name)})"
    if isinstance(value, list):
        return f"[{', '.join(map(_jinja, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_jinja(inner)}' for key, inner in value.items())}}}"
    return repr(value)


def _built(kind: str, body: Mapping[str, Any], keys: Keys, column: str | None, subject: Subject) -> DataTest | None:
    places, arguments, given = _sorted(kind, body, keys, subject.file)

    def fail(key: str, message: str, hint: str | None) -> ProjectError:
        return subject.file.error(message, places.get(key, keys), value=key in given and key in KEYS, hint=hint)

    config = checked(given, fail)
    column = _column(arguments.pop("column_name", None), fail) or column
    audit = read(kind, arguments, column)
    if isinstance(audit, Problem):
        at = places.get(audit.argument or "", keys)
        unknown = audit.message.startswith("unknown")
        raise subject.file.error(audit.message, at, value=at != keys and not unknown, hint=audit.hint)
    depends = [subject.unique_id] if subject.unique_id.startswith(("model.", "seed.")) else []
    if audit.kind == "relationships":
        target = _target(arguments["to"], places["to"], subject)
        arguments["to"] = target[1]
        depends.append(target[0])
    if config.get("enabled") is False:
        return None
    columns = getattr(audit, "columns", None) or ([column] if column else [])
    name = str(body.get("name") or re.sub(r"\W+", "_", "_".join((audit.kind, subject.name, *columns))).strip("_"))
    return DataTest(
        unique_id=f"test.{subject.project}.{name}", name=name, kind=audit.kind, node=subject.unique_id, column=column,
        arguments=arguments, severity=config["severity"], where=config.get("where"),
        error_if=str(config.get("error_if", "!= 0")), warn_if=str(config.get("warn_if", "!= 0")), config=config,
        tags=tuple(_strings(config.get("tags"))), depends_on=tuple(dict.fromkeys(depends)),
        location=subject.file.locate(keys), stored=stored_at(config, name, subject.schema, subject.database),
    )  # fmt: skip


def _column(name: Any, fail: Fail) -> str | None:
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise fail("column_name", f"column_name is text, found {describe(name)}", None)
    return name


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value or ()]


def _sorted(
    kind: str, body: Mapping[str, Any], keys: Keys, file: YamlFile
) -> tuple[dict[str, Keys], dict[str, Any], dict[str, Any]]:
    """Places, arguments and configuration, wherever dbt lets them stand."""
    places: dict[str, Keys] = {}
    arguments: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for key, value in body.items():
        if key in ("config", "arguments"):
            if not isinstance(value, dict):
                raise file.error(f"'{key}' is a mapping, found {describe(value)}", (*keys, key), value=True)
            into = config if key == "config" else arguments
            for inner, content in value.items():
                if inner in into:
                    raise file.error(f"'{inner}' of test '{kind}' is given twice", (*keys, key, inner))
                into[inner], places[inner] = content, (*keys, key, inner)
        elif key not in _OUTER:
            into = config if key in KEYS else arguments
            if key in into:
                raise file.error(f"'{key}' of test '{kind}' is given twice", (*keys, key))
            into[key], places[key] = value, (*keys, key)
    return places, arguments, config


def is_reference(text: str) -> bool:
    """Whether the text is ``ref('…')`` or ``source('…', '…')`` and nothing else."""
    return _REF.match(text) is not None


def _target(text: Any, keys: Keys, subject: Subject) -> tuple[str, Relation]:
    match = _REF.match(str(text))
    if match is None:
        raise subject.file.error(f"to: '{text}' is not ref('…') or source('…', '…')", keys, value=True)
    function, first, second = match.group(1), match.group(3), match.group(5)
    found = subject.relation_of(function, first, second)
    if found is None:
        name = f"{first}.{second}" if function == "source" else second or first
        raise subject.file.error(f"to: unknown {'source' if function == 'source' else 'model or seed'} '{name}'",
                                 keys, value=True, hint=did_you_mean(name, subject.known))  # fmt: skip
    return found
