"""``sqlinfer debug``: is everything there that a run needs?"""

from __future__ import annotations

import click

from sqlinfer.cli.options import EXECUTION, Flags, shared


@click.command("debug")
@shared(EXECUTION)
def command(flags: Flags) -> int:
    """Check the profile, the connection, each function's artifact, and which device will be used."""
    from sqlinfer import api
    from sqlinfer.cli.options import to_stderr

    failed = 0
    for check in api.debug(flags.options(), on_event=to_stderr):
        mark = click.style("OK", fg="green") if check.ok else click.style("ERROR", fg="red")
        click.echo(f"{check.name:<32} [{mark}] {check.detail}".rstrip())
        failed += not check.ok
    click.echo("All checks passed!" if not failed else f"{failed} check{'s' if failed > 1 else ''} failed")
    return 1 if failed else 0
