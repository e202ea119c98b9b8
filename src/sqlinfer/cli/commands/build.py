"""``sqlinfer build``: seed, run and test in one pass over the graph."""

from __future__ import annotations

import click

from sqlinfer.cli.options import DEFERRING, EMPTY, EXECUTION, REFRESH, SELECTION, Flags, shared


@click.command("build")
@shared(EXECUTION, REFRESH, SELECTION, DEFERRING, EMPTY, claims=True)
def command(flags: Flags) -> int:
    """Seed, run and test the selected nodes in the order of the graph; what follows a failure is skipped."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    options = flags.options()
    with job(flags, "build") as console:
        result = api.build(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
