"""``sqlinfer compile``: the plan of each node, and the compiled SQL and manifest.json on disk."""

from __future__ import annotations

import click

from sqlinfer.cli.options import DEFERRING, EMPTY, SELECTION, Flags, shared


@click.command("compile")
@click.argument("node", required=False)
@click.option("--inline", metavar="SQL", help="SQL to compile instead of nodes.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--estimate", is_flag=True, help="Count rows in, distinct, remembered and to be scored (reads tables).")
@click.option("--sql", is_flag=True, help="Show the SQL too, as it can be run by hand (predictions are NULL there).")
@shared(SELECTION, DEFERRING, EMPTY)
def command(flags: Flags, node: str | None, inline: str | None, output: str, estimate: bool, sql: bool) -> int:
    """Show the plan of NODE, of the selected nodes, or of --inline SQL; loads no session and scores nothing."""
    import json

    from sqlinfer import api
    from sqlinfer.cli.console import job

    with job(flags, "compile", results_on_stdout=True) as console:
        plans = api.compile(flags.options(), node=node, inline=inline, estimate=estimate, on_event=console.on_event)
    if output == "json":
        click.echo(json.dumps([plan.as_json() for plan in plans], indent=2))
    elif plans:
        click.echo("\n\n".join(plan.as_text(sql=sql) for plan in plans))
    return 0
