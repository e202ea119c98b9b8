"""``sqlinfer clean``: what sqlinfer wrote into the target folder goes."""

from __future__ import annotations

import click

from sqlinfer.cli.options import Flags, shared


@click.command("clean")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@shared()
def command(flags: Flags, dry_run: bool) -> int:
    """Remove what sqlinfer wrote into the target folder (`clean-targets`) and list it.

    That is compiled SQL, manifest.json, run_results.json and the cache of prepared functions. Databases stay, with the
    predictions that they remember, and so does every file that sqlinfer did not write.
    """
    from sqlinfer import api
    from sqlinfer.shown import one_line

    for path in api.clean(flags.options(), dry_run=dry_run):
        click.echo(f"{'would remove' if dry_run else 'removed'} {one_line(path)}")
    return 0
