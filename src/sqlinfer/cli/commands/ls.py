"""``sqlinfer ls``: the selected nodes."""

from __future__ import annotations

import click

from sqlinfer.cli.options import SELECTION, Flags, shared


@click.command("ls")
@click.option("--resource-type", multiple=True, type=click.Choice(["model", "seed", "test", "function", "source"]))
@click.option("--output", type=click.Choice(["name", "path", "selector", "json"]), default="selector")
@shared(SELECTION)
def command(flags: Flags, resource_type: tuple[str, ...], output: str) -> int:
    """List the selected nodes, one a line."""
    import json

    from sqlinfer import api
    from sqlinfer.cli.console import job
    from sqlinfer.shown import one_line

    with job(flags, "ls", results_on_stdout=True) as console:
        found = api.ls(flags.options(), resource_types=resource_type, on_event=console.on_event)
    for item in found:
        click.echo(json.dumps(item) if output == "json" else one_line(item[output]))
    return 0
