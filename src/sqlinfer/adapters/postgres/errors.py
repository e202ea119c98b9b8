"""The one place where the driver's exceptions become ours. What PostgreSQL quotes from rows is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlinfer.errors import AdapterError, ConnectionLost, DatabaseLocked, Location, StatementRefused
from sqlinfer.scrub import scrub

_UNKNOWN = ("42P01", "42703", "42883", "42704", "3F000", "42P02", "42P10")
"""SQLSTATE of names that the database does not have."""
_HELD, _INTERRUPTED = "55P03", "57014"
_LOST = ("08", "57P")
"""How SQLSTATE begins where the connection is gone."""
_GONE = re.compile(
    r"server closed the connection|no connection to the server|connection to server|SSL SYSCALL|terminating connection",
    re.I,
)
_OF_ROWS = "22"
_OTHERS_SAY = ("P0", "38", "39", "XX")
"""Classes whose text is written by functions and extensions: it may hold anything."""
_MORE = re.compile(r"\n(?:DETAIL|HINT|CONTEXT|LOCATION):")
"""A detail may name the values of a row."""
_QUOTED = re.compile(r'".*"', re.S)
_HEAD = re.compile(
    r"^(?:[A-Z_]+: )?(?:\[libpq\] )?(?:Failed to [^:]*: )?(?:Execution error \[\w+\]: )?"
    r"(?:could not begin COPY: )?(?:[A-Z]+:  ?)?"
)
_NOT_SHOWN = "what it says may come from rows and is not shown"
_AFTERWARDS = "what was scored is kept; run again once the server is back"
_CAST_HINT = "values of rows are not shown; look for the ones that do not fit with a regular expression"


@contextmanager
def translated(sql: str | None = None, lead: str = "") -> Iterator[None]:
    """Raise AdapterError or DatabaseLocked for anything that the driver raises inside.

    ``lead``: what was put in front of ``sql``; places are counted without it.
    """
    import adbc_driver_manager

    try:
        yield
    except adbc_driver_manager.Error as error:
        ours = adapter_error(error, sql, len(lead))
        if _holds_values(error):
            raise ours from None  # a traceback would show what the message leaves out
        raise ours from error


def adapter_error(error: Any, sql: str | None = None, lead: int = 0) -> AdapterError:
    state, details = str(error.sqlstate or ""), {_text(key): _text(value) for key, value in error.details or ()}
    said = scrub(details.get("PG_DIAG_MESSAGE_PRIMARY") or _primary(str(error)))
    if state == _HELD:
        return DatabaseLocked(f"PostgreSQL: {said}", hint="somebody else holds it; try again later")
    if state == _INTERRUPTED:
        return AdapterError("the statement was interrupted")
    if state.startswith(_LOST):
        return ConnectionLost(f"PostgreSQL: {said}", hint=_AFTERWARDS)
    if not state:
        return AdapterError(f"PostgreSQL: {said}") if not _GONE.search(said) else ConnectionLost(f"PostgreSQL: {said}")
    found = StatementRefused(
        f"PostgreSQL: {_without_values(state, said, sql)}",
        hint=scrub(details.get("PG_DIAG_MESSAGE_HINT", "")) or (_CAST_HINT if state in ("22P02", "22003") else None),
        unknown_name=state in _UNKNOWN,
        code=state,
    )
    if sql is not None and "PG_DIAG_STATEMENT_POSITION" in details:
        found.at(_place(sql, int(details["PG_DIAG_STATEMENT_POSITION"]) - 1 - lead))
    return found


def streamed(text: str, sql: str) -> AdapterError:
    """What Arrow raises while rows stream out of the server: its text holds no SQLSTATE, and may hold a value."""
    said = scrub(_primary(text))
    if _GONE.search(said):
        return ConnectionLost(f"PostgreSQL: {said}", hint=_AFTERWARDS)
    if "canceling statement" in said:
        return AdapterError("the statement was interrupted")
    return StatementRefused(f"PostgreSQL: {_without_values(_OF_ROWS, said, sql)}", hint=_CAST_HINT)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _primary(text: str) -> str:
    """PostgreSQL's own words of a text that the driver has put together."""
    said = text.split("\n\nQuery was:")[0].split("\nLINE ")[0].strip()
    said = re.sub(r"\. SQLSTATE: \w+$", "", _MORE.split(said)[0])
    return _HEAD.sub("", said, count=1).strip()


def _without_values(state: str, said: str, sql: str | None) -> str:
    if state.startswith(_OTHERS_SAY):
        return said if sql and said in sql else f"an exception of class {state} ({_NOT_SHOWN})"
    if not state.startswith(_OF_ROWS):
        return said
    return _QUOTED.sub(lambda found: found[0] if sql and found[0][1:-1] in sql else "…", said)


def _holds_values(error: Any) -> bool:
    """Class 23 too: its detail names the values of a key."""
    return str(error.sqlstate or "").startswith((_OF_ROWS, "23", *_OTHERS_SAY))


def _place(sql: str, at: int) -> Location | None:
    if not 0 <= at <= len(sql):
        return None
    word = re.match(r'"[^"]*"|\w+', sql[at:])
    return Location.in_source(sql, at, at + (len(word[0]) if word else 1))
