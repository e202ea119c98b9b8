"""``sqlinfer test``: run data tests on published tables."""

from __future__ import annotations

import click

from sqlinfer.cli.options import DEFERRING, EXECUTION, SELECTION, Flags, shared


@click.command("test")
@shared(EXECUTION, SELECTION, DEFERRING, claims=True)
def command(flags: Flags) -> int:
    """Run the data tests of the selected nodes on the published tables."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    options = flags.options()
    with job(flags, "test") as console:
        result = api.test(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
