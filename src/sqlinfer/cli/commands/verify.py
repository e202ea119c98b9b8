"""``sqlinfer verify``: is a prepared function still the same model as its original?"""

from __future__ import annotations

import click

from sqlinfer.cli.options import EXECUTION, Flags, Whole, shared


@click.command("verify")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]…")
@click.option("--from", "relation", metavar="RELATION", help="Rows of this node, source or table instead.")
@click.option("--rows", type=Whole(0), default=10_000, show_default=True, help="Most rows of your own; 0 for none.")
@click.option("--tolerance", type=click.FloatRange(0), help="Largest relative difference (default: the function's).")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shared(EXECUTION)
def command(
    flags: Flags, functions: tuple[str, ...], relation: str | None, rows: int, tolerance: float | None, output: str
) -> int:
    """Compare FUNCTIONs (default: all) with their original libraries, side by side, on rows of the nodes that call them
    and on rows made from the models. Exits with 1 where a difference is above the tolerance."""
    from sqlinfer import api
    from sqlinfer.cli import verification
    from sqlinfer.cli.console import job

    with job(flags, "verify", results_on_stdout=True) as console:
        found = []
        for one in api.verify(
            flags.options(), functions, relation=relation, rows=rows, tolerance=tolerance, on_event=console.on_event
        ):
            found.append(one)
            if output == "text":
                click.echo(verification.text(one))
    if output == "json":
        click.echo(verification.as_json(found))
    return 0 if all(one.ok for one in found) else 1
