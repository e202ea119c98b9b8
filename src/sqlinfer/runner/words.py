"""Errors of a plan's SQL in the user's words: names of stages, columns and aliases in it are ours. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from sqlinfer.errors import DataTestError, Location, SqlinferError, StatementRefused
from sqlinfer.spec.names import OURS
from sqlinfer.spec.plan import Call, Plan, Stage

_ALIASES = re.compile(r'"?\b_(?:[a-z]\d+|raw|cast|input|c|nested\d*|preview)\b"?\.')
_CANDIDATES = re.compile(r"\s*Candidate bindings:[^\n]*")
_IDENTIFIER = re.compile(r'"((?:[^"]|"")+)"(\s*\.)?')
_OURS = re.compile(rf"_[a-z]\d+(_.*)?$|_raw$|_cast$|{OURS}|.*__s\d+(_scored)?$|[cv]\d+$")


def in_users_words(
    error: SqlinferError, plan: Plan, path: Path | None = None, written: str | None = None
) -> SqlinferError:
    """The same error without a name of ours, at the user's place. ``written`` is the text of the file ``path``."""
    if not plan.stages or isinstance(error, DataTestError):  # names the rows that failed, for people to look at
        return error
    where = error.location if error.location is not None and error.location.path is None else None
    stage = _stage_of(where, plan)
    error.message = _said(error.message, plan)
    if stage is not None and stage.calls:
        error.message = f"while computing {', '.join(call.sql for call in stage.calls[:3])}: {error.message}"
    if error.hint is not None:
        error.hint = _said(error.hint, plan)
    if where is None and error.location is None and isinstance(error, StatementRefused):
        where = Location()  # it was raised where rows were read, with no place
    if where is not None:
        error.location = _in_file(_place(where, error.message, plan), path, written)
    error.args = (error.message,)
    return error


def _said(message: str, plan: Plan) -> str:
    for call in plan.calls:
        output = re.escape(call.output)
        message = re.sub(rf'"?\b{output}_(\w+?)(?:_raw)?\b"?', lambda m, c=call: _argument(m[1], c), message)  # type: ignore[misc]
        message = re.sub(rf'"?\b{output}\b"?', lambda _, c=call: c.sql, message)  # type: ignore[misc]
    shown = _CANDIDATES.search(message)
    if shown is not None and (OURS in shown[0] or '"_' in shown[0]):
        message = message.replace(shown[0], "")
    return _relations(plan).sub("the rows of this query", _ALIASES.sub("", message))


def _relations(plan: Plan) -> re.Pattern[str]:
    """Names of stages and results, with the place where this warehouse keeps them or without its catalog."""
    catalog, schema = (rf'"?{re.escape(name)}"?\.' for name in _place_of_stages(plan))
    return re.compile(rf'(?:{catalog})?{schema}"?[^"\s.]+__(?:s\d+(?:_scored)?|result)"?')


def _place_of_stages(plan: Plan) -> tuple[str, str]:
    relation = plan.stages[0].relation
    return relation.catalog or "", relation.schema or ""


def _argument(name: str, call: Call) -> str:
    return f"the {name} of {call.sql}" if name in ("key", "status", "guard") else f"argument {name} of {call.sql}"


def _stage_of(where: Location | None, plan: Plan) -> Stage | None:
    line = (where.text or "").strip() if where is not None else ""
    return next((s for s in plan.stages if line and line in s.sql), None)


def _place(where: Location, message: str, plan: Plan) -> Location | None:
    """The first name of the user's that follows the caret, found again in the user's text."""
    rest = (where.text or "")[max(0, (where.column or 1) - 1) :]
    names = [name.replace('""', '"') for name, dot in _IDENTIFIER.findall(rest) if not dot]
    names += re.findall(r"\bcolumn \"?(\w+)", message)
    places = _place_of_stages(plan)
    for name in (name for name in names if not _OURS.match(name) and name not in places):
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", plan.sql, re.IGNORECASE)
        if found is not None:
            return Location.in_source(plan.sql, *found.span())
    return None


def _in_file(place: Location | None, path: Path | None, written: str | None) -> Location | None:
    """The same line in the file, where Jinja left it as it is."""
    if place is None:
        return Location(path) if path is not None else None
    if path is None or written is None:
        return replace(place, path=path)
    lines = written.splitlines()
    number = next((n for n, line in enumerate(lines, 1) if line == place.text), None)
    return replace(place, path=path, line=number) if number is not None else Location(path)
