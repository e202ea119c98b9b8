"""``sqlinfer schedule``: the project's night as a unit of a scheduler."""

from __future__ import annotations

from pathlib import Path

import click

from sqlinfer.cli.options import EXECUTION, REFRESH, SELECTION, Flags, shared

NAMES = ("cron", "systemd", "airflow", "dagster", "prefect", "github-actions", "kubernetes")


@click.command("schedule")
@click.argument("scheduler", type=click.Choice(NAMES))
@click.option("--at", default="02:00", show_default=True, metavar="HH:MM", help="When the night begins.")
@click.option("--timezone", metavar="NAME", help="Of --at, such as Europe/Berlin (default: the scheduler's own).")
@click.option("--command", "what", type=click.Choice(["run", "build"]), default="run", show_default=True,
              help="What the night does.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path),
              help="Write the files into this folder instead of printing them.")  # fmt: skip
@shared(EXECUTION, REFRESH, SELECTION)
def command(flags: Flags, scheduler: str, at: str, timezone: str | None, what: str, output: Path | None) -> int:
    """Print a commented unit that runs this project every night."""
    from sqlinfer import api
    from sqlinfer.files import write_atomic

    files = api.schedule(flags.options(), scheduler, at=at, timezone=timezone, command=what)
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
