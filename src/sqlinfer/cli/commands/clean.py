"""``sqlinfer clean``: remove the target folder."""

from __future__ import annotations

import click

from sqlinfer.cli.options import Flags, shared


@click.command("clean")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@shared()
def command(flags: Flags, dry_run: bool) -> int:
    """Remove compiled SQL, artifacts and caches from the target folder. Databases that lie in it stay."""
    from sqlinfer import api
    from sqlinfer.shown import one_line

    for path in api.clean(flags.options(), dry_run=dry_run):
        click.echo(f"{'would remove' if dry_run else 'removed'} {one_line(path)}")
    return 0
