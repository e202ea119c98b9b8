"""``sqlinfer schema``: what yml files may hold, for editors."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("section", type=click.Choice(["functions", "models", "config", "project"]), default="functions")
@click.option("--page", is_flag=True, help="Print docs/reference.md instead.")
def command(section: str, page: bool) -> int:
    """Print the JSON Schema of functions/*.yml, or of another file."""
    from sqlinfer import reference

    if page:
        click.echo(reference.page(), nl=False)
    else:
        click.echo(json.dumps(reference.json_schema(section), indent=2))
    return 0
