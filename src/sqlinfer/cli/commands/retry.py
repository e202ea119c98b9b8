"""``sqlinfer retry``: continue the last run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from sqlinfer.cli.options import EXECUTION, LIMITS, Flags, add_options, shared


@click.command("retry")
@add_options(LIMITS)
@shared(EXECUTION, claims=True)
@click.option("--errors", is_flag=True, help="Also score again the inputs that failed, and no others.")
def command(flags: Flags, errors: bool, **bounds: Any) -> int:
    """Continue the last run: what failed, was skipped, or was scored and not published."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    options = replace(flags.options(), retry_errors=errors, **bounds)
    with job(flags, "retry") as console:
        result = api.retry(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
