"""``sqlinfer freshness``: how old and how stale the predictions are, and whether that matters."""

from __future__ import annotations

import json

import click

from sqlinfer.cli.options import EXECUTION, Flags, Whole, shared


@click.command("freshness")
@click.argument("tables", nargs=-1, metavar="[TABLE…]")
@click.option("--impact", type=Whole(1), metavar="N", help="Score N stale rows again: how far scores move, what flips.")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Which rows --impact takes.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@shared(EXECUTION)
def command(flags: Flags, tables: tuple[str, ...], impact: int | None, seed: int, output: str) -> int:
    """Age and staleness of each prediction table, by key and in the warehouse; nothing is scored or published.

    Exit code 1 where a source is older than its error_after.
    """
    from sqlinfer import api
    from sqlinfer.cli.console import job
    from sqlinfer.cli.staleness import lines

    with job(flags, "freshness", results_on_stdout=True) as console:
        found, sources = api.freshness(
            flags.options(), tables, impact=impact, seed=seed, on_event=console.on_event, cancel=console.cancel
        )
        if output == "json":
            click.echo(json.dumps([one.as_json() for one in found], indent=2))
        else:
            for line in lines(found):
                click.echo(line)
        return 1 if console.cancel.is_set() else sources.exit_code
