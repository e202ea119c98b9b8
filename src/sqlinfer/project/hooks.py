"""``pre_hook``, ``post_hook``, ``on-run-start``, ``on-run-end``: every form that dbt takes → Hook."""

from __future__ import annotations

import json
import re
from typing import Any

from sqlinfer.errors import Location, ProjectError
from sqlinfer.files import parse_json
from sqlinfer.project.schema import HOOKS
from sqlinfer.project.validation import describe
from sqlinfer.project.values import Hook

_CONTROL = re.compile(r"^(begin|start\s+transaction|commit|rollback|abort|end)\b", re.IGNORECASE)
_QUOTED = re.compile(
    r"""--[^\n]*|/\*|\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$|"(?:[^"]|"")*"|(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'""",
    re.S,
)
_COMMENT = re.compile(r"/\*|\*/")
_FORMS = "SQL, {sql: …, transaction: true}, or a list of these"


def read_hooks(value: Any, key: str, location: Location | None) -> tuple[Hook, ...]:
    """Raises ProjectError for anything that is no hook."""
    if isinstance(value, list | tuple):
        return tuple(hook for item in value for hook in read_hooks(item, key, location))
    if value is None:
        return ()
    name = HOOKS.get(key, key)
    found = _unpacked(value)
    if isinstance(found, str):
        return (Hook(found, True, name, location),) if found.strip() else ()
    if not isinstance(found, dict) or not isinstance(found.get("sql"), str):
        raise ProjectError(f"{key} is {_FORMS}; found {describe(value)}", location=location)
    unknown = [str(one) for one in found if one not in ("sql", "transaction", "index")]
    if unknown:
        raise ProjectError(f"unknown key '{unknown[0]}' of {key}", hint="it takes sql and transaction",
                           location=location)  # fmt: skip
    inside = found.get("transaction", True)
    if not isinstance(inside, bool):
        raise ProjectError(f"transaction of {key} is true or false, found {describe(inside)}", location=location)
    return (Hook(found["sql"], inside, name, location),)


def _unpacked(value: Any) -> Any:
    """``before_begin('…')`` and ``after_commit('…')`` give JSON text, as in dbt."""
    if isinstance(value, str) and value.lstrip().startswith("{") and '"sql"' in value:
        try:
            found = parse_json(value)
        except ValueError:
            return value
        return found if isinstance(found, dict) else value
    return value


def packed(sql: str, inside: bool) -> str:
    return json.dumps({"sql": sql, "transaction": inside})


def ends_transaction(sql: str) -> str | None:
    """The first word of a statement that would end the transaction around it."""
    for statement in _bare(sql).split(";"):
        found = _CONTROL.match(statement.strip())
        if found:
            return found[1].lower()
    return None


def _bare(sql: str) -> str:
    """Without comments, which may hold each other, and with empty texts and names."""
    kept, at = [], 0
    while found := _QUOTED.search(sql, at):
        kept.append(sql[at : found.start()])
        at = found.end()
        if found[0] != "/*":
            kept.append(" " if found[0].startswith("--") else "''")
            continue
        depth = 1
        while depth and (mark := _COMMENT.search(sql, at)):
            depth, at = depth + (1 if mark[0] == "/*" else -1), mark.end()
        kept.append(" ")
    return "".join([*kept, sql[at:]])
