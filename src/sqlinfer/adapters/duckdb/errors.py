"""The one place where the driver's exceptions become ours. The original stays chained where it quotes no row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from sqlinfer.errors import AdapterError, DatabaseLocked, Location, StatementRefused
from sqlinfer.scrub import scrub
from sqlinfer.shown import one_line

_LOCK = re.compile(r"Conflicting lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")
_INTERRUPTED = "Query interrupted"
_DUCKDB_SAYS = re.compile(r"(?:[A-Z]\w* )+Error: ")
_NOT_OURS = re.compile(r"Could not set lock on file")
_MISSING = re.compile(
    r'download extension "(?P<name>\w+)"|Extension "(?:[^"]*/)?(?P<other>\w+)\.duckdb_extension" not found'
)
_KEPT_OUT = re.compile(
    r'Cannot access (?:file|directory) "(?P<path>[^"*?\[]+?)(?:/\*\*/\*\.\w+)?" - file system operations'
)
"""A name that is no file is looked for as a folder, which is another place and not allowed."""
_PLACE = re.compile(r"\n\s*LINE (?P<line>\d+): (?P<text>.*)\n(?P<pad> *)\^")


_DENIED = (
    "only files that the project's SQL names are read; name it there, or in the profile under settings: "
    "allowed_directories (extensions under extensions:)"
)


@contextmanager
def translated(sql: str | None = None, lead: str = "", *, rows: bool = True) -> Iterator[None]:
    """Raise AdapterError or DatabaseLocked for anything the driver raises inside.

    Ctrl-C in a statement is KeyboardInterrupt, as everywhere in Python.

    ``lead``: lines that were put in front of the user's SQL; places are counted without them.
    ``rows``: false where no row is read, so that the whole message may be shown.
    """
    try:
        yield
    except duckdb.Error as error:
        from sqlinfer.withheld import holds_values

        ours = adapter_error(error, sql, lead.count("\n"), rows=rows)
        if rows and holds_values(str(error)):
            raise ours from None  # a traceback would show what the message leaves out
        raise ours from error
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise KeyboardInterrupt from error


def adapter_error(error: duckdb.Error, sql: str | None = None, lead: int = 0, *, rows: bool = True) -> AdapterError:
    from sqlinfer.withheld import warehouse_message

    text = scrub(str(error))  # before anything is cut
    if _NOT_OURS.search(text):
        return _locked(text)
    if isinstance(error, duckdb.InterruptException) or text.startswith("INTERRUPT Error"):
        return AdapterError("the statement was interrupted")
    missing = _MISSING.search(text)
    if missing:
        return _without_extension(missing["name"] or missing["other"])
    said = warehouse_message(text, sql) if rows else text.strip()
    absent = _absent(text, sql) if isinstance(error, duckdb.PermissionException) else None
    if absent is not None:
        where = "" if Path(absent).is_absolute() else f"; it was looked for in {one_line(Path.cwd(), 200)}"
        way = f"correct its name, or have it delivered first{where}"
        found = StatementRefused(f"file '{absent}' does not exist", hint=way)
        found.at(_place(text, sql or "", lead))
        return found
    found = StatementRefused(f"DuckDB: {said}", hint=_hint(error), unknown_name=_is_unknown_name(error, said))
    if sql is not None:
        found.at(_place(text, sql, lead))
    return found


def _absent(text: str, sql: str | None) -> str | None:
    """The file that the statement itself names, where there is none: DuckDB says only that it may not look further."""
    found = _KEPT_OUT.search(text)
    if found is None or found["path"].replace("'", "''") not in (sql or ""):
        return None
    try:
        return None if Path(found["path"]).exists() else one_line(found["path"], 200)
    except (OSError, ValueError):
        return None


def _without_extension(name: str) -> AdapterError:
    return AdapterError(
        f"DuckDB's extension {name} is needed and is not installed here, and it could not be fetched",
        hint=f"run `INSTALL {name}` once in a DuckDB {duckdb.__version__} where there is a network, or name its file "
        "under extensions: of the profile",
    )


def _is_unknown_name(error: duckdb.Error, said: str) -> bool:
    return isinstance(error, duckdb.CatalogException) or "Macro" in said


def _hint(error: duckdb.Error) -> str | None:
    if isinstance(error, duckdb.PermissionException):
        return _DENIED
    if isinstance(error, duckdb.ConversionException):
        return "values of rows are not shown; `try_cast(expression as type) is null` finds them"
    return None


def is_streamed(error: Exception) -> bool:
    """Whether Arrow raised it for DuckDB, which is OSError for what the statement itself would raise."""
    return getattr(error, "errno", None) is None and _DUCKDB_SAYS.match(str(error)) is not None


def streamed(error: Exception, sql: str) -> AdapterError:
    """What Arrow raises while rows stream out of DuckDB: its text begins as DuckDB's own does."""
    from sqlinfer.withheld import warehouse_message

    text = scrub(str(error))
    found = StatementRefused(f"DuckDB: {warehouse_message(text, sql)}")
    found.at(_place(text, sql, 0))
    return found


def _locked(text: str) -> DatabaseLocked:
    match = _LOCK.search(text)
    holder = f"process {match['pid']} ({match['program']})" if match else None
    path = re.search(r'lock on file "(.*?)"', text)
    return DatabaseLocked(
        f"database {path[1] if path else ''} is held by {holder or 'another process'}",
        holder=holder,
        hint="close the program that has it open, or try again later",
    )


def _place(text: str, sql: str, lead: int) -> Location | None:
    """Where DuckDB points its caret, found again in our SQL (it abbreviates long lines with ``...``)."""
    match = _PLACE.search("\n" + text)
    if match is None:
        return None
    number, shown = int(match["line"]), match["text"]
    lines = sql.splitlines()
    if not 0 < number <= len(lines):
        return None
    line = lines[number - 1]
    caret = len(match["pad"]) - len(f"LINE {number}: ")
    if shown.startswith("..."):
        piece = shown[3:].removesuffix("...")
        caret += line.find(piece) - 3
    if not 0 <= caret <= len(line):
        return None
    word = re.match(r'"[^"]*"|\w+', line[caret:])
    return Location(line=max(1, number - lead), column=caret + 1, length=len(word[0]) if word else 1, text=scrub(line))
