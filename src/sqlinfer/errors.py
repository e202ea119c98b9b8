"""Every exception that sqlinfer raises on purpose.

SqlinferError
├── UsageError            flags and arguments of the command line
├── ProjectError          sqlinfer_project.yml, models, seeds, macros, yml files
│   └── ProfileError      profiles.yml, targets
├── CompileError          SQL and Jinja of one node
│   ├── RenderError       Jinja
│   ├── ParseError        SQL that does not parse
│   ├── UnknownFunction
│   ├── CallError         arguments of a predict() call
│   ├── ParameterError    values for ? and $name
│   ├── ColumnError       unknown or ambiguous columns
│   └── UnsupportedQuery  positions that cannot be planned
├── FunctionError         a declared function and its artifact do not fit
│   └── ArtifactError     the artifact is missing, damaged or not allowed
├── DeviceError           the asked-for execution provider does not load
├── InferenceError        scoring as a whole failed (single bad rows do not raise)
├── AdapterError          the warehouse said no
│   ├── StatementRefused  to one statement, in its own words
│   ├── DatabaseLocked    another process holds the database
│   └── ConnectionLost    the warehouse has ended the connection
└── RunError              a node failed while running
    ├── Cancelled         the caller asked to stop
    ├── BoundReached      what the run may spend is spent
    ├── PublicationError  the published table is as it was
    │   ├── NotPublished  scored, and the warehouse stayed held: a retry publishes
    │   └── NoPlaceForPredictions
    ├── DataTestError     a data test of severity error failed
    ├── SystemRefused     a file or folder: no space, not allowed, something else lies there
    ├── StorageError      a bucket: not there, no right, not reachable
    └── StoreError        the store is damaged, too new, or held

Signal: one part of a package tells another, which catches it. Anything else that escapes is a bug and shows its
traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlinfer.scrub import scrub
from sqlinfer.shown import one_line, shown

WIDEST = 240
"""Characters of a source line that an error shows."""
LONGEST_NAME = 200
"""Nothing that is longer was meant to be a name; comparing it with names would take minutes."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where in the user's files something stands. Lines and columns count from 1."""

    path: Path | None = None
    line: int | None = None
    column: int | None = None
    length: int = 1
    text: str | None = None
    """The whole source line, for the underlined span."""

    def __str__(self) -> str:
        parts = [one_line(self.path) if self.path else "<inline>"]
        if self.line is not None:
            parts.append(str(self.line))
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts)

    def excerpt(self) -> str:
        """The source line with the span underlined, or an empty string."""
        if self.text is None or self.column is None:
            return ""
        gutter = f"{self.line} | " if self.line is not None else "| "
        before, after = (scrub(half) for half in (self.text[: self.column - 1], self.text[self.column - 1 :]))
        before, after = shown(before.replace("\n", " ")), shown(after.replace("\n", " "))
        if len(before) + len(after) > WIDEST:  # generated or minified: the part around the span
            before = "…" + before[-WIDEST // 2 :] if len(before) > WIDEST // 2 else before
            after = after[: WIDEST // 2] + "…" if len(after) > WIDEST // 2 else after
        width = max(1, min(self.length, len(after)))
        return f"{gutter}{before}{after}\n{' ' * (len(gutter) + len(before))}{'^' * width}"

    @classmethod
    def in_source(cls, source: str, start: int, end: int, path: Path | None = None) -> Location:
        """The place of ``source[start:end]`` (end exclusive, cut at the end of its line)."""
        start = max(0, min(start, len(source)))
        begin = source.rfind("\n", 0, start) + 1
        stop = source.find("\n", start)
        stop = len(source) if stop < 0 else stop
        return cls(
            path=path,
            line=source.count("\n", 0, start) + 1,
            column=start - begin + 1,
            length=max(1, min(end, stop) - start),
            text=source[begin:stop],
        )


class SqlinferError(Exception):
    """One message, the place, and a hint; what the command line prints."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None, location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location

    def __str__(self) -> str:
        lines = shown(self.message).split("\n")
        lines[1:] = [f"  {line}" for line in lines[1:]]  # so that no text of others begins a line
        if self.location is not None:
            lines.append(f"  --> {self.location}")
            lines += [f"  {line}" for line in self.location.excerpt().splitlines()]
        if self.hint:
            lines.append(f"  hint: {one_line(self.hint)}")
        return "\n".join(lines)

    def at(self, location: Location | None) -> SqlinferError:
        """The same error, with a place if it had none."""
        if self.location is None:
            self.location = location
        return self


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint from known names, e.g. ``did you mean 'churn_score'?``, or None."""
    if len(name) > LONGEST_NAME:
        return None
    names = sorted(set(known))
    folded = {candidate.casefold(): candidate for candidate in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{folded[close[0]]}'?"
    if names and len(names) <= 12:
        return "known: " + ", ".join(names)
    return None


class UsageError(SqlinferError):
    pass


class ProjectError(SqlinferError):
    pass


class ProfileError(ProjectError):
    pass


class CompileError(SqlinferError):
    pass


class RenderError(CompileError):
    pass


class ParseError(CompileError):
    pass


class UnknownFunction(CompileError):
    @classmethod
    def for_call(cls, name: str, known: Iterable[str], location: Location | None = None) -> UnknownFunction:
        names = tuple(known)
        hint = did_you_mean(name, names) or "declare it in functions/*.yml"
        return cls(f"unknown function '{name}'", hint=hint, location=location)


class CallError(CompileError):
    @classmethod
    def never_fits(
        cls, function: str, argument: str, declared: str, shown: str | None, given: str, location: Location | None
    ) -> CallError:
        """``shown``: the value as it reads in the query."""
        said = f"{shown} is" if shown else "it is given"
        return cls(
            f"argument '{argument}' of {function} is {declared.lower()}, {said} {given.lower()}",
            hint="a value of this type never fits; pass another column or cast it",
            location=location,
        )


class ParameterError(CompileError):
    pass


class ColumnError(CompileError):
    @classmethod
    def unknown(cls, name: str, known: Iterable[str], location: Location | None = None) -> ColumnError:
        return cls(f"unknown column '{name}'", hint=did_you_mean(name, known), location=location)


class UnsupportedQuery(CompileError):
    @classmethod
    def in_lambda(cls, location: Location) -> UnsupportedQuery:
        return cls(
            "predict() cannot stand inside a lambda or list comprehension",
            hint="unnest the list in a subquery and predict over its rows",
            location=location,
        )


class FunctionError(SqlinferError):
    pass


class ArtifactError(FunctionError):
    pass


class DeviceError(SqlinferError):
    pass


class InferenceError(SqlinferError):
    exit_code = 1


class AdapterError(SqlinferError):
    exit_code = 1


class StatementRefused(AdapterError):
    """The message is the warehouse's own, with names of ours in it where the SQL is ours (``runner.words``)."""

    def __init__(
        self, message: str, *, hint: str | None = None, location: Location | None = None, unknown_name: bool = False,
        code: str = "",
    ) -> None:  # fmt: skip
        """``unknown_name``: the statement names what the warehouse does not have, or a macro that does not fit.
        ``code``: the warehouse's own, such as a SQLSTATE; empty where it has none."""
        super().__init__(message, hint=hint, location=location)
        self.unknown_name, self.code = unknown_name, code


class DatabaseLocked(AdapterError):
    """``holder`` names the process that holds the file, as far as it could be found."""

    def __init__(self, message: str, *, holder: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.holder = holder


class ConnectionLost(AdapterError):
    pass


class RunError(SqlinferError):
    exit_code = 1


class Cancelled(RunError):
    """Everything committed so far stays."""


class BoundReached(RunError):
    """``--max-rows``, ``--max-seconds`` or ``--max-cost``; everything committed so far stays."""


class PublicationError(RunError):
    pass


class NotPublished(PublicationError):
    @classmethod
    def held(cls, error: DatabaseLocked, timeout: float) -> NotPublished:
        """``timeout``: the seconds that were waited."""
        return cls(
            f"scored, not published: {error.message} (waited {timeout:g} s)",
            hint="`sqlinfer retry` publishes without scoring again",
        )


class NoPlaceForPredictions(PublicationError):
    """``columns``: what the query predicts and the published table has no column for, the first one first."""

    def __init__(self, target: object, columns: tuple[str, ...], *, hint: str) -> None:
        names, has = ", ".join(f"'{name}'" for name in columns), "has no columns" if columns[1:] else "has no column"
        super().__init__(
            f"{target} {has} {names} for what the query predicts; the published table is unchanged", hint=hint
        )
        self.columns = columns


class DataTestError(RunError):
    pass


class SystemRefused(RunError):
    @classmethod
    def of(cls, error: OSError, path: object = None) -> SystemRefused:
        """``path``: what the system was asked for, where the error does not name it."""
        named = path if path is not None else error.filename
        what = f" {one_line(named)}" if named is not None else ""
        reason = error.strerror or str(error) or type(error).__name__
        return cls(f"the system refused{what}: {reason}", hint=_WAYS.get(error.errno or 0))


_FULL = "free some space and run again; tables that were not published yet are as they were"
_CLOSED = "make it writable, or choose another target-path in the project file or DBT_TARGET_PATH"
_TAKEN = "a link or a file lies on the way to it; remove that, or choose another target-path"
_AWAY = "its folder cannot be made or is gone; make it, or choose another target-path"
_WAYS = {
    errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _FULL, errno.EACCES: _CLOSED, errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED, errno.ENOTDIR: _TAKEN, errno.EISDIR: _TAKEN, errno.EEXIST: _TAKEN, errno.ELOOP: _TAKEN,
    errno.ENOENT: _AWAY,
}  # fmt: skip


class StorageError(RunError):
    """``missing``: what was asked for is not there."""

    def __init__(
        self, message: str, *, hint: str | None = None, location: Location | None = None, missing: bool = False
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.missing = missing


class StoreError(RunError):
    @classmethod
    def held_by(cls, holder: Mapping[str, object] | None) -> StoreError:
        """Another run holds the target. ``holder`` says what is known of it: pid, host and, once it works, its run."""
        who = "an unknown process"
        if holder is not None:
            known = {name: one_line(value, 100) for name, value in holder.items()}
            run = f"run {known['run_id']}, started {known['started']}" if "run_id" in known else "just starting"
            who = f"process {known['pid']} on {known['host']}, {run}"
        return cls(f"another run holds this target: {who}", hint="wait for it to end; its lock goes with its process")


class Signal(Exception):
    """Never leaves its package."""


class PassStopped(Signal):
    """The consumer of a pass is gone; workers stop between two runs."""


class KernelError(Signal):
    """A run failed. Caught by the scorer, which looks for the rows that did it."""


class KernelOutOfMemory(KernelError):
    pass


class WorkerDied(Signal):
    """A worker process ended or was ended."""

    def __init__(self, error_class: str, message: str) -> None:
        super().__init__(message)
        self.error = f"{error_class}: {message}"


class MixesRows(Signal):
    """An operator of a graph makes a row depend on others; says how."""
