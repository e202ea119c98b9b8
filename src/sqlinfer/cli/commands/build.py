"""``sqlinfer build``: seed, run and test in one pass over the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from sqlinfer.cli.estimating import show_estimate
from sqlinfer.cli.options import BOUNDS, DEFERRING, EMPTY, EXECUTION, REFRESH, SELECTION, Flags, add_options, shared


@click.command("build")
@add_options(BOUNDS)
@shared(EXECUTION, REFRESH, SELECTION, DEFERRING, EMPTY, claims=True)
def command(flags: Flags, estimate: bool, **bounds: Any) -> int:
    """Seed, run and test the selected nodes in the order of the graph; what follows a failure is skipped."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    options = replace(flags.options(), **bounds)
    if estimate:
        return show_estimate(flags, options, "build")
    with job(flags, "build") as console:
        result = api.build(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
