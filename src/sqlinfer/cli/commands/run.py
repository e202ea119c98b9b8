"""``sqlinfer run``: score and publish models."""

from __future__ import annotations

import click

from sqlinfer.cli.options import EXECUTION, REFRESH, SELECTION, Flags, shared


@click.command("run")
@shared(EXECUTION, REFRESH, SELECTION)
def command(flags: Flags) -> int:
    """Score and publish the selected models."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    options = flags.options()
    with job(flags, "run") as console:
        result = api.run(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
