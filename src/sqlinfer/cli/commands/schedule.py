"""``sqlinfer schedule``: the project's night as a unit of a scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sqlinfer.cli.options import EXECUTION, LIMITS, REFRESH, SELECTION, Flags, add_options, shared

NAMES = ("cron", "systemd", "airflow", "dagster", "prefect", "github-actions", "kubernetes")


@click.command("schedule")
@click.argument("scheduler", type=click.Choice(NAMES))
@click.option("--at", default="02:00", show_default=True, metavar="HH:MM", help="When the night begins.")
@click.option("--timezone", metavar="NAME", help="Of --at, such as Europe/Berlin (default: the scheduler's own).")
@click.option("--command", "what", type=click.Choice(["run", "build"]),
              help="What the night does (default: run; with --dbt always build).")  # fmt: skip
@click.option("--dbt", "in_dbt", is_flag=True, help="The night of the dbt project here: `sqlinfer dbt build`.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path),
              help="Write the files into this folder instead of printing them.")  # fmt: skip
@add_options(LIMITS)
@shared(EXECUTION, REFRESH, SELECTION)
def command(
    flags: Flags, scheduler: str, at: str, timezone: str | None, what: str | None, in_dbt: bool, output: Path | None,
    **bounds: Any,
) -> int:  # fmt: skip
    """Print a commented unit that runs this project every night."""
    from sqlinfer.files import write_atomic

    files = _files(flags, scheduler, at, timezone, what, in_dbt, bounds)
    for number, (name, text) in enumerate(files.items()):
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            write_atomic(output / name, text.encode())
            click.echo(str(output / name))
        elif len(files) == 1:
            click.echo(text, nl=False)
        else:
            click.echo(("\n" if number else "") + f"# {name}\n{text}", nl=False)
    return 0


def _files(
    flags: Flags, scheduler: str, at: str, timezone: str | None, what: str | None, in_dbt: bool, bounds: dict[str, Any]
) -> Mapping[str, str]:
    if not in_dbt:
        from sqlinfer import api

        return api.schedule(
            replace(flags.options(), **bounds), scheduler, at=at, timezone=timezone, command=what or "run"
        )
    given = [f"--{name.replace('_', '-')}" for name, value in bounds.items() if value is not None]
    if what == "run":
        raise click.UsageError("--command run does not go with --dbt: the night there is `sqlinfer dbt build`")
    if given:
        raise click.UsageError(f"{given[0]} does not go with --dbt: `sqlinfer dbt build` has no such bound")
    from sqlinfer.cli.commands.dbt import dbt_options
    from sqlinfer.dbt import asking

    return asking.schedule(dbt_options(flags), scheduler, at=at, timezone=timezone)
