"""``schedule``: a project and its flags → the files that a scheduler wants."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from sqlinfer import numerals
from sqlinfer.errors import UsageError, did_you_mean
from sqlinfer.jobs.options import RunOptions
from sqlinfer.jobs.schedules import SCHEDULERS, ScheduledNight
from sqlinfer.project import Project

_ENV_VAR = re.compile(r"""\benv_var\s*\(\s*(?:'(\w+)'|"(\w+)")""")
_MOST_TEXT = 1 << 20


def files(
    project: Project, options: RunOptions, scheduler: str, *, at: str = "02:00", timezone: str | None = None,
    command: str = "run",
) -> Mapping[str, str]:  # fmt: skip
    """File name → text.

    Raises:
        UsageError: no such scheduler, a time that is none, an unknown time zone.
    """
    if scheduler not in SCHEDULERS:
        raise UsageError(f"unknown scheduler '{scheduler}'", hint=did_you_mean(scheduler, SCHEDULERS))
    hour, minute = _time(at)
    flags = _flags(options)
    for word in (str(project.root), *flags):
        if not word.isprintable():
            raise UsageError(f"{word!r} has no place in one line", hint="write --vars as '{day: 2026-11-01}'")
    night = ScheduledNight(
        project=project.name, root=project.root.absolute(), hour=hour, minute=minute, timezone=_zone(timezone),
        command=command, flags=flags, again=tuple(_shared(options)), variables=variables(project),
        program=_program() if scheduler not in ("kubernetes", "github-actions") else "sqlinfer",
    )  # fmt: skip
    return SCHEDULERS[scheduler](night)


def _time(at: str) -> tuple[int, int]:
    parts = [numerals.whole(part) for part in at.split(":")]
    match parts:
        case [int(hour), int(minute)] if 0 <= hour < 24 and 0 <= minute < 60:
            return hour, minute
    raise UsageError(f"--at {at!r} is no time of day", hint="HH:MM, such as 02:30")


def _zone(name: str | None) -> str | None:
    if name is None:
        return None
    known = available_timezones()
    if name not in known:
        raise UsageError(f"unknown time zone '{name}'", hint=did_you_mean(name, known))
    return ZoneInfo(name).key


def _flags(options: RunOptions) -> tuple[str, ...]:
    """What chooses the work, spelled as flags; folders absolute, for no scheduler starts where this was typed."""
    words = list(_shared(options))
    for flag, values in (("--select", options.select), ("--exclude", options.exclude)):
        if values:
            words += [flag, " ".join(values)]
    words += ["--selector", options.selector] if options.selector else []
    words += ["--vars", _yaml(options.vars)] if options.vars else []
    words += ["--state", str(options.state.absolute())] if options.state else []
    words += ["--full-refresh"] if options.full_refresh else []
    words += ["--fail-fast"] if options.fail_fast else []
    return tuple(words)


def _yaml(given: Mapping[str, object] | str) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)


def _shared(options: RunOptions) -> Iterator[str]:
    """Flags that the run and its retry share."""
    if options.profiles_dir:
        yield from ("--profiles-dir", str(options.profiles_dir.absolute()))
    named = (
        ("--profile", options.profile), ("--target", options.target), ("--device", options.device),
        ("--memory-limit", options.memory_limit), ("--threads", options.threads), ("--max-rows", options.max_rows),
        ("--max-seconds", options.max_seconds), ("--max-cost", options.max_cost),
    )  # fmt: skip
    for flag, value in named:
        if value is not None:
            yield from (flag, str(value))


def _program() -> str:
    """This very program, absolute: schedulers start with a short PATH."""
    called = Path(sys.argv[0])
    if called.name == "sqlinfer" and called.is_file():
        return os.path.abspath(called)
    return shutil.which("sqlinfer") or "sqlinfer"


def variables(project: Project) -> tuple[str, ...]:
    """Environment variables that the files of the project and its profile read, by name."""
    found: set[str] = set()
    for file in _texts(project):
        with file.open(errors="replace") as opened:
            text = opened.read(_MOST_TEXT)
        found.update(first or second for first, second in _ENV_VAR.findall(text))
    return tuple(sorted(found))


def _texts(project: Project) -> Iterator[Path]:
    if project.profile.path is not None:
        yield project.profile.path
    yield from project.root.glob("*.yml")
    folders: Iterable[Path] = (
        *project.model_paths, *project.function_paths, *project.seed_paths, *project.macro_paths, *project.test_paths,
    )  # fmt: skip
    for folder in folders:
        for pattern in ("**/*.yml", "**/*.yaml", "**/*.sql"):
            yield from (file for file in (project.root / folder).glob(pattern) if file.is_file())
