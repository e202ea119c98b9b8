"""``sqlinfer retry``: continue the last run."""

from __future__ import annotations

import click

from sqlinfer.cli.options import EXECUTION, Flags, shared


@click.command("retry")
@shared(EXECUTION)
def command(flags: Flags) -> int:
    """Continue the last run: what failed, was skipped, or was scored and not published."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    options = flags.options()
    with job(flags, "retry") as console:
        result = api.retry(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
