"""``sqlinfer functions``: list and describe what SQL can call, and promote challengers."""

from __future__ import annotations

import click

from sqlinfer.cli.options import Flags, shared


@click.group("functions")
def command() -> None:
    """List and describe the declared functions, and promote challengers."""


@command.command("list")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shared()
def list_functions(flags: Flags, output: str) -> int:
    """List the declared functions with their arguments and results."""
    import json

    from sqlinfer import api
    from sqlinfer.cli import tables

    rows = api.functions(flags.options())
    names = ("name", "signature", "source", "artifact", "description")
    if output == "json":
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(tables.render(names, ([row[name] for name in names] for row in rows)))
    return 0


@command.command("describe")
@click.argument("name")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shared()
def describe(flags: Flags, name: str, output: str) -> int:
    """Show how NAME's arguments reach its graph, what comes back, and how it will be run."""
    import json

    from sqlinfer import api
    from sqlinfer.cli import explain
    from sqlinfer.cli.options import to_stderr

    described = api.describe_function(flags.options(), name, on_event=to_stderr)
    click.echo(json.dumps(described, indent=2) if output == "json" else explain.function_text(described))
    return 0


@command.command("promote")
@click.argument("name")
@shared()
def promote(flags: Flags, name: str) -> int:
    """Swap NAME with its challenger in functions/*.yml: what SQL calls NAME is the challenger's model from now on.

    Nothing is scored again: the predictions of both are kept.
    """
    from sqlinfer import api
    from sqlinfer.cli.options import to_stderr

    found = api.promote_function(flags.options(), name, on_event=to_stderr)
    for path in found.files:
        click.echo(f"Changed {path}")
    champion, challenger = found.places
    click.echo(f"  {found.champion}: now the model declared at line {challenger.line}, which was {found.challenger}")
    click.echo(f"  {found.challenger}: now the model declared at line {champion.line}, the challenger from now on")
    return 0
