"""``sqlinfer seed``: load the seeds into the warehouse."""

from __future__ import annotations

import click

from sqlinfer.cli.options import EXECUTION, REFRESH, SELECTION, Flags, shared


@click.command("seed")
@shared(EXECUTION, REFRESH, SELECTION, claims=True)
def command(flags: Flags) -> int:
    """Load the selected seeds into the warehouse."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    options = flags.options()
    with job(flags, "seed") as console:
        result = api.seed(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
