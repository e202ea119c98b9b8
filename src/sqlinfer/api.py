"""The whole flow: load → compile → preview | run. The command line is thin over this module, Python uses it directly.

``load`` reads the project, ``compile`` plans its nodes, ``preview`` shows rows, ``run``, ``seed``, ``test``, ``build``
and ``retry`` do the work of a night, ``connect`` and ``register`` bring predict() to Python.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer import project as projects
from sqlinfer.jobs.functions import Functions
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import Project

if TYPE_CHECKING:

    from sqlinfer.jobs.checks import Check

__all__ = [
    "RunOptions", "build", "clean", "compile", "connect", "debug", "describe_function", "functions", "load", "ls",
    "preview", "register", "retry", "run", "seed", "test",
]  # fmt: skip


def load(options: RunOptions) -> Project:
    """The project's files as one checked value."""
    return projects.load(
        options.project_dir,
        profiles_dir=options.profiles_dir,
        profile=options.profile,
        target=options.target,
        vars=options.vars,
        env=os.environ,
    )


def ls(options: RunOptions, *, resource_types: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The selected members of the project as rows: name, unique_id, selector, path, …"""
    from sqlinfer.jobs import listing

    return list(listing.members(load(options), options.select, options.exclude, resource_types))


def functions(options: RunOptions) -> list[dict[str, Any]]:
    """The declared functions; their artifacts are not opened."""
    from sqlinfer.jobs import listing

    return list(listing.functions(load(options)))


def describe_function(options: RunOptions, name: str) -> dict[str, Any]:
    """How a function's arguments reach its graph and what comes back."""
    from dataclasses import asdict

    from sqlinfer.errors import UnknownFunction
    from sqlinfer.functions import describe

    available = Functions(load(options), options.device or "auto")
    if name not in available:
        raise UnknownFunction.for_call(name, available)
    return asdict(describe(available[name]))


def debug(options: RunOptions) -> Iterator[Check]:
    """Profile, connection, device and artifacts, each tried."""
    from sqlinfer.jobs import checks

    return checks.run(load(options), options.device)


def clean(options: RunOptions, *, dry_run: bool = False) -> list[Path]:
    """Remove artifacts from the target folder; databases stay."""
    from sqlinfer.jobs import cleaning

    return list(cleaning.clean(load(options), dry_run=dry_run))


def register(connection: Any, project_dir: Path | str, **options: Any) -> tuple[str, ...]:
    """Make each function of a project callable on a ``duckdb.DuckDBPyConnection``; their names.

    Functions are vectorised UDFs, sessions live as long as the connection. ``options`` are those of ``RunOptions``.
    """
    from sqlinfer.inference import open_session
    from sqlinfer.jobs.functions import cache_dir
    from sqlinfer.jobs.udf import register_function

    chosen = RunOptions(project_dir=Path(project_dir), **options)
    available = Functions(load(chosen), chosen.device or "auto")
    for prepared in available.values():
        session = open_session(prepared, threads=chosen.threads, cache_dir=cache_dir(available.project))
        register_function(connection, prepared, session)
    return tuple(available)
