"""``sqlinfer freshness``: how old and how stale the predictions are, and whether that matters."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sqlinfer.cli.options import EXECUTION, IN_DBT, Flags, Whole, add_options, shared


@click.command("freshness")
@click.argument("tables", nargs=-1, metavar="[TABLE…]")
@click.option("--impact", type=Whole(1), metavar="N", help="Score N stale rows again: how far scores move, what flips.")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Which rows --impact takes.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@add_options(IN_DBT)
@shared(EXECUTION)
def command(
    flags: Flags, tables: tuple[str, ...], impact: int | None, seed: int, output: str, in_dbt: bool,
    manifest: Path | None,
) -> int:  # fmt: skip
    """Age and staleness of each prediction table, by key and in the warehouse; nothing is scored or published.

    Exit code 1 where a source is older than its error_after.
    """
    from sqlinfer import api
    from sqlinfer.cli.console import job
    from sqlinfer.cli.staleness import lines

    with job(flags, "freshness", results_on_stdout=True) as console:
        if in_dbt or manifest is not None:
            from sqlinfer.cli.commands.dbt import dbt_options
            from sqlinfer.dbt import asking

            found, code = asking.freshness(
                dbt_options(flags), tables, manifest=manifest, impact=impact, seed=seed, on_event=console.on_event,
                cancel=console.cancel,
            ), 0  # fmt: skip
        else:
            found, sources = api.freshness(
                flags.options(), tables, impact=impact, seed=seed, on_event=console.on_event, cancel=console.cancel
            )
            code = sources.exit_code
        if output == "json":
            click.echo(json.dumps([one.as_json() for one in found], indent=2))
        else:
            for line in lines(found):
                click.echo(line)
        return 1 if console.cancel.is_set() else code
