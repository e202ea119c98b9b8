"""Flags shared by the commands, with dbt's names. In: what click parsed. Out: ``Flags``."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sqlinfer import numerals
from sqlinfer.cli.doorman import door

if TYPE_CHECKING:
    from sqlinfer.api import RunOptions
    from sqlinfer.jobs.events import Event

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Option = Callable[[Decorated], Decorated]


class Whole(click.IntRange):
    """Digits of ASCII alone; click takes what Python's ``int`` takes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and numerals.whole(value) is None:
            self.fail(f"{value!r} is not a valid integer.", param, ctx)
        return super().convert(value, param, ctx)


class Amount(click.FloatRange):
    """A number that is not below 0."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and numerals.decimal(value) is None:
            self.fail(f"{value!r} is not a number.", param, ctx)
        return super().convert(value, param, ctx)


_DIR = click.Path(file_okay=False, path_type=Path)
_FLAG: dict[str, Any] = {"is_flag": True, "default": None}
_MANY: dict[str, Any] = {"multiple": True, "metavar": "SELECTOR…"}

GLOBAL_OPTIONS: tuple[Option[Any], ...] = (
    click.option("--project-dir", type=_DIR, help="Folder of the project (default: the nearest from here up)."),
    click.option("--profiles-dir", type=_DIR, help="Folder of profiles.yml (default: the project's, then ~/.dbt)."),
    click.option("--profile", help="Profile to use instead of the project's."),
    click.option("-t", "--target", help="Target of the profile to use instead of its default."),
    click.option("--vars", "variables", metavar="YAML", help="Variables, as YAML: 'day: 2026-11-01'."),
    click.option("--threads", type=Whole(1), help="Worker threads."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Form of the log lines."),
    click.option("--log-level", type=click.Choice(["debug", "info", "warn", "error", "none"]), help="Least severity."),
    click.option("-q", "--quiet", help="Print results and errors only.", **_FLAG),
    click.option("-d", "--debug", help="Show tracebacks of errors.", **_FLAG),
    click.option("--use-colors/--no-use-colors", default=None, help="Colours (default: on a terminal)."),
)
SELECTION: tuple[Option[Any], ...] = (
    click.option("-s", "--select", "-m", "--models", "select", help="Nodes to take, dbt's syntax.", **_MANY),
    click.option("--exclude", help="Nodes to leave out.", **_MANY),
    click.option("--selector", metavar="NAME", help="A selection of selectors.yml, instead of the two."),
    click.option("--state", type=_DIR, help="Folder of an earlier run's artifacts, for state:, result: and --defer."),
)
DEFERRING: tuple[Option[Any], ...] = (
    click.option(
        "--defer/--no-defer", default=None, help="Read what is neither built nor in the target where --state has it."
    ),
    click.option("--favor-state/--no-favor-state", default=None, help="With --defer: also what is in the target."),
    click.option("--defer-state", type=_DIR, help="Folder for --defer, where it is not that of --state."),
)
EXECUTION: tuple[Option[Any], ...] = (
    click.option("-x", "--fail-fast", help="Stop at the first failure.", **_FLAG),
    click.option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where functions run, over their own config."),
    click.option("--memory-limit", metavar="SIZE", help="Bound of host memory, such as 4GB."),
)
REFRESH: tuple[Option[Any], ...] = (
    click.option("-f", "--full-refresh", help="Rebuild incremental models from nothing.", **_FLAG),
)
LIMITS: tuple[Option[Any], ...] = (
    click.option(
        "--max-rows", type=Whole(0), help="Do not score a model that would bring the run above so many inputs."
    ),
    click.option("--max-seconds", type=Amount(), help="Nor above so many seconds; stop after the chunk in hand then."),
    click.option("--max-cost", type=Amount(), help="Nor above such a cost, by prices: of the project file."),
)
"""A command takes them as ``**bounds``."""
BOUNDS: tuple[Option[Any], ...] = (
    click.option("--estimate", is_flag=True, help="Say what would be scored and what it would take, and stop."),
    *LIMITS,
)
IN_DBT: tuple[Option[Any], ...] = (
    click.option("--dbt", "in_dbt", is_flag=True, help="In a dbt project: its prediction nodes, compiled by dbt now."),
    click.option("--manifest", type=click.Path(dir_okay=False, path_type=Path),
                 help="In a dbt project: as this manifest.json of dbt has them."),
)  # fmt: skip
"""A command takes them as ``in_dbt`` and ``manifest``."""
EMPTY: tuple[Option[Any], ...] = (
    click.option("--empty/--no-empty", default=None, help="Read no rows: empty tables of the right columns."),
)
ENV_PREFIXES = ("SQLINFER_", "DBT_")
"""``SQLINFER_TARGET`` is ``--target`` where the flag is not given, else ``DBT_TARGET`` is."""
SELECTOR_FLAGS = frozenset({"-s", "--select", "-m", "--models", "--exclude"})


def add_options(options: Iterable[Option[Any]]) -> Option[Any]:
    """One decorator out of many, shown in ``--help`` in the given order."""

    def decorate(function: Decorated) -> Decorated:
        for option in reversed(tuple(options)):
            function = option(function)
        return function

    return decorate


@dataclass(frozen=True, slots=True)
class Flags:
    """The shared flags; those before the command count where the command did not repeat them."""

    project_dir: Path | None = None
    profiles_dir: Path | None = None
    profile: str | None = None
    target: str | None = None
    variables: str | None = None
    threads: int | None = None
    log_format: str | None = None
    log_level: str | None = None
    quiet: bool | None = None
    debug: bool | None = None
    use_colors: bool | None = None
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    selector: str | None = None
    state: Path | None = None
    defer: bool | None = None
    favor_state: bool | None = None
    defer_state: Path | None = None
    fail_fast: bool | None = None
    device: str | None = None
    memory_limit: str | None = None
    full_refresh: bool | None = None
    empty: bool | None = None

    @property
    def root(self) -> Path:
        return self.project_dir or find_project(Path.cwd())

    def options(self) -> RunOptions:
        from sqlinfer.api import RunOptions

        return RunOptions(
            project_dir=self.root,
            profiles_dir=self.profiles_dir,
            profile=self.profile,
            target=self.target,
            vars=self.variables,
            threads=self.threads,
            select=self.select,
            exclude=self.exclude,
            selector=self.selector,
            state=self.state,
            defer=bool(self.defer),
            favor_state=bool(self.favor_state),
            defer_state=self.defer_state,
            fail_fast=bool(self.fail_fast),
            device=self.device,
            memory_limit=self.memory_limit,
            full_refresh=bool(self.full_refresh),
            empty=bool(self.empty),
        )


COMMON = frozenset(field.name for field in fields(Flags))


def shared(*groups: tuple[Option[Any], ...], claims: bool = False) -> Option[Any]:
    """Give a command the global flags and those of ``groups``; it receives them as one ``Flags``, first.

    A command that ``claims`` the target does not even start while another run of the same project is there.
    """
    options = [option for group in (*groups, GLOBAL_OPTIONS) for option in group]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(**given: Any) -> Any:
            before = click.get_current_context().find_root().params
            merged = {name: before.get(name, value) if value in (None, ()) else value for name, value in given.items()}
            common = {name: merged.pop(name) for name in COMMON & merged.keys()}
            flags = Flags(**{name: from_env(name) if value is None else value for name, value in common.items()})
            # dbt's files choose that target; a loop claims it once a run.
            if not claims or merged.get("in_dbt") or merged.get("manifest") or merged.get("every"):
                return function(flags, **merged)
            context = click.get_current_context()
            with door(flags.root, flags, os.environ) as context.obj:
                return function(flags, **merged)

        decorated: Callable[..., Any] = add_options(options)(wrapper)
        return decorated

    return decorate


def from_env(name: str, context: click.Context | None = None) -> Any:
    """The value of a flag that was not given, from its variable. Raises click's usage error where it does not fit."""
    context = context or click.get_current_context()
    option = next(one for one in context.command.params if one.name == name)
    variable = {"variables": "VARS"}.get(name, name.upper())
    for prefix in ENV_PREFIXES:
        text = os.environ.get(f"{prefix}{variable}")
        if not text or (prefix == "DBT_" and name == "log_format" and text != "json"):  # dbt knows more forms
            continue
        try:
            return option.type.convert(text, option, context)
        except click.BadParameter as error:
            raise click.UsageError(f"{prefix}{variable}: {error.message}", context) from error
    return None


def find_project(start: Path) -> Path:
    """The nearest folder with a project file, ``start`` itself where there is none (loading names what is missing)."""
    candidates = (start, *start.parents)
    return next((folder for folder in candidates if (folder / "sqlinfer_project.yml").is_file()), start)


def join_selectors(args: Sequence[str], commands: Container[str]) -> list[str]:
    """``--select a b`` as dbt takes it: the words up to the next flag (or command) become one value.

    >>> join_selectors(["run", "-s", "+a", "tag:x", "-x"], {"run"})
    ['run', '-s', '+a tag:x', '-x']
    """
    joined: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word not in SELECTOR_FLAGS:
            continue
        values: list[str] = []
        while rest and not rest[0].startswith("-") and not (values and rest[0] in commands):
            values.append(rest.pop(0))
        joined += [" ".join(values)] if values else []
    return joined


def to_stderr(event: Event) -> None:
    """For commands that only read: what takes time, as a line that is not part of the answer."""
    from sqlinfer.jobs.events import Preparing

    if isinstance(event, Preparing):
        click.echo(event.message, err=True)
