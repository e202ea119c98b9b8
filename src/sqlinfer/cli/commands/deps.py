"""``sqlinfer deps``: fetch the packages of packages.yml."""

from __future__ import annotations

import click

from sqlinfer.cli.options import Flags, shared


@click.command("deps")
@shared()
def command(flags: Flags) -> int:
    """Let dbt fetch the packages of packages.yml into dbt_packages/; of packages only macros are read."""
    import os

    from sqlinfer.dbt.deps import install
    from sqlinfer.shown import one_line

    for line in install(flags.root, os.environ):
        click.echo(one_line(line))
    return 0
