"""``sqlinfer lookup``: one published prediction by its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sqlinfer.cli.options import EXECUTION, IN_DBT, Flags, add_options, shared

if TYPE_CHECKING:
    from sqlinfer.cli.console import Console
    from sqlinfer.jobs.lookup import Lookup


@click.command("lookup")
@click.argument("table")
@click.option("--key", "keys", multiple=True, required=True, metavar="COLUMN=VALUE", help="Once for each column.")
@click.option("--or-score", is_flag=True, help="Score the row now where it is missing or stale; nothing is written.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@add_options(IN_DBT)
@shared(EXECUTION)
def command(
    flags: Flags, table: str, keys: tuple[str, ...], or_score: bool, output: str, in_dbt: bool, manifest: Path | None
) -> int:
    """Show one published prediction; exit code 1 where there is none."""
    from sqlinfer.cli.console import job

    wanted = _pairs(keys)
    with job(flags, "lookup", results_on_stdout=True) as console:
        with _opened(flags, table, or_score, in_dbt, manifest, console) as opened:
            row = opened.once(wanted)
        if row is None:
            named = ", ".join(f"{name}={value}" for name, value in wanted.items())
            said = "the query gives none either" if or_score else "--or-score asks the query for one"
            console.note(f"No row of '{table}' has {named}; {said}.")
            return 1
        _show(row, output)
        return 0


def _opened(flags: Flags, table: str, or_score: bool, in_dbt: bool, manifest: Path | None, console: Console) -> Lookup:
    if in_dbt or manifest is not None:
        from sqlinfer.cli.commands.dbt import dbt_options
        from sqlinfer.dbt import asking

        return asking.lookup(
            dbt_options(flags), table, manifest=manifest, or_score=or_score, on_event=console.on_event,
            cancel=console.cancel,
        )  # fmt: skip
    from sqlinfer import api

    return api.lookup_in(flags.options(), table, or_score=or_score, on_event=console.on_event, cancel=console.cancel)


def _pairs(keys: tuple[str, ...]) -> dict[str, str]:
    from sqlinfer.relation import fold

    found: dict[str, str] = {}
    for text in keys:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--key {text!r}: COLUMN=VALUE is wanted, such as --key customer_id=42")
        if fold(name.strip()) in map(fold, found):
            raise click.UsageError(f"--key names '{name.strip()}' twice")
        found[name.strip()] = value
    return found


def _show(row: dict[str, Any], output: str) -> None:
    from sqlinfer.cli.tables import plain
    from sqlinfer.shown import one_line

    if output == "json":
        click.echo(json.dumps(plain(row), indent=2, ensure_ascii=False))
        return
    width = max(map(len, row))
    for name, value in row.items():
        text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
        click.echo(f"{one_line(name):<{width}}  {one_line(text)}")
