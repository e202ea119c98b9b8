"""``sqlinfer retry``: continue the last run."""

from __future__ import annotations

from dataclasses import replace

import click

from sqlinfer.cli.options import EXECUTION, Flags, shared


@click.command("retry")
@shared(EXECUTION, claims=True)
@click.option("--errors", is_flag=True, help="Also score again the inputs that failed, and no others.")
def command(flags: Flags, errors: bool) -> int:
    """Continue the last run: what failed, was skipped, or was scored and not published."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    options = replace(flags.options(), retry_errors=errors)
    with job(flags, "retry") as console:
        result = api.retry(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
