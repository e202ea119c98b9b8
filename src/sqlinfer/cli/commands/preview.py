"""``sqlinfer preview``: the first rows of a node or of inline SQL; nothing is published."""

from __future__ import annotations

import click

from sqlinfer.cli.options import DEFERRING, EXECUTION, SELECTION, Flags, Whole, shared


@click.command("preview")
@click.argument("node", required=False)
@click.option("--inline", metavar="SQL", help="SQL to preview instead of a node; Jinja and predict() work.")
@click.option("--limit", type=Whole(), default=5, show_default=True, help="Rows to show; -1 for all.")
@click.option("--max-rows", type=Whole(1), help="Stop with an error before scoring more inputs than this.")
@click.option(
    "--output", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True,
)  # fmt: skip
@shared(SELECTION, DEFERRING, EXECUTION)
def command(flags: Flags, node: str | None, inline: str | None, limit: int, max_rows: int | None, output: str) -> int:
    """Show the first rows of NODE, or of --inline SQL. Only these rows are scored, and nothing is published."""
    from sqlinfer import api
    from sqlinfer.cli.console import job
    from sqlinfer.cli.tables import write_table

    with job(flags, "preview", results_on_stdout=True) as console:
        rows = api.preview(
            flags.options(), node=node, inline=inline, limit=limit, max_rows=max_rows,
            on_event=console.on_event, cancel=console.cancel,
        )  # fmt: skip
    write_table(rows, output)
    return 0
