"""The one place where exceptions of PySpark become ours. What Spark quotes from rows is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlinfer.errors import AdapterError, ConnectionLost, Location, StatementRefused
from sqlinfer.scrub import scrub

_UNKNOWN = ("42P01", "42703", "42883", "42704", "46103", "42000", "42S02")
"""SQLSTATE of names that the catalog does not have."""
EXISTS = ("42P07", "42710", "42P06")
"""SQLSTATE of a table or schema that is there."""
_OF_ROWS = "22"
_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_HEAD = re.compile(r"^\[[A-Z0-9_.]+\]\s*")
_JAVA = re.compile(r"^An error occurred while calling \S+\s*: [\w.$]+: ")
"""Before the words of an exception that the gateway hands on as it is."""
_TOLD_STATE = re.compile(r"SQLSTATE: (\w{5})")
_TAIL = re.compile(r"\s*SQLSTATE: \w{5}.*", re.S)
_LOST = re.compile(
    r"StatusCode\.UNAVAILABLE|failed to connect to all addresses|Connection refused|Connection reset|"
    r"SparkContext was shut down|stopped SparkContext|SESSION_CLOSED|SESSION_NOT_FOUND|"
    r"INVALID_HANDLE|An error occurred while trying to connect to the Java server|Answer from Java side is empty",
    re.I,
)
_GONE = re.compile(r"RETRIES_EXCEEDED|StatusCode\.UNAVAILABLE|failed to connect to all addresses")
_AFTERWARDS = "what was scored is kept; run again once Spark is back"
_FILE_GONE = "KD001"
_GONE_HINT = "files of the table were removed or damaged: bring them back, or publish it anew (--full-refresh)"
_CAST_HINT = "values of rows are not shown; look for the ones that do not fit with try_cast"


@contextmanager
def translated(sql: str | None = None, lead: str = "") -> Iterator[None]:
    """Raise AdapterError for anything that PySpark raises inside.

    ``lead``: what was put in front of ``sql``; places are counted without it.
    """
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    try:
        yield
    except Py4JNetworkError as error:
        raise ConnectionLost("Spark: its JVM is gone", hint=_AFTERWARDS) from error
    except (PySparkException, Py4JError) as error:
        ours = adapter_error(error, sql, lead)
        if isinstance(ours, StatementRefused) and ours.code.startswith(_OF_ROWS):
            raise ours from None  # a traceback would show what the message leaves out
        raise ours from error
    except (ConnectionError, EOFError) as error:
        raise ConnectionLost("Spark: the connection is gone", hint=_AFTERWARDS) from error


def adapter_error(error: Any, sql: str | None = None, lead: str = "") -> AdapterError:
    text = _JAVA.sub("", str(error))
    if _GONE.search(text):
        return ConnectionLost("Spark: the Connect server is gone", hint=_AFTERWARDS)
    if _LOST.search(text):
        return ConnectionLost(f"Spark: {first_line(text)}", hint=_AFTERWARDS)
    state = _state(error)
    said = scrub(_TAIL.sub("", _HEAD.sub("", first_line(text))))
    if state.startswith(_OF_ROWS):
        said = _VALUE.sub(lambda found: found[0] if sql and found[0][1:-1] in sql else "…", said)
    found = StatementRefused(
        f"Spark: {said}",
        hint=_CAST_HINT if state in ("22018", "22003", "22007") else _GONE_HINT if state == _FILE_GONE else None,
        unknown_name=state in _UNKNOWN,
        code=state,
    )
    place = _place(error, sql, lead) if sql is not None else None
    found.at(place)
    return found


def first_line(text: str) -> str:
    """Of Spark's own words: without the plan, the SQL and the trace of the JVM."""
    said = text.split("\n\n== SQL")[0].split("\n== SQL")[0].split("JVM stacktrace")[0].strip()
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[0] if lines else "an error without a message"


def _state(error: Any) -> str:
    try:
        return str(error.getSqlState() or "")
    except Exception:  # an error of the gateway tells the state in its text
        found = _TOLD_STATE.search(str(error))
        return found[1] if found else ""


def _place(error: Any, sql: str, lead: str) -> Location | None:
    """From the query context; a syntax error names its line and position in the text alone."""
    try:
        contexts = [one for one in error.getQueryContext() or [] if not one.objectName()]  # of this text, no view's
        spans = [(one.startIndex() - len(lead), one.stopIndex() + 1 - len(lead)) for one in contexts]
    except Exception:
        spans = []
    for start, end in spans:
        if 0 <= start < len(sql):
            return Location.in_source(sql, start, min(end, len(sql)))
    found = re.search(r"\(?line (\d+), pos (\d+)\)?", str(error))
    if found is None:
        return None
    return _at(sql, int(found[1]), int(found[2]), lead)


def _at(sql: str, line: int, column: int, lead: str) -> Location | None:
    """``line`` counts from 1 and ``column`` from 0, both in the text that was sent."""
    sent = lead + sql
    starts = [0, *(found.end() for found in re.finditer("\n", sent))]
    if line > len(starts):
        return None
    at = starts[line - 1] + column - len(lead)
    if not 0 <= at <= len(sql):
        return None
    word = re.match(r"`[^`]*`|\w+", sql[at:])
    return Location.in_source(sql, at, at + (len(word[0]) if word else 1))
