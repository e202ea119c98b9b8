"""``sqlinfer init``: write a small project that runs."""

from __future__ import annotations

import click

from sqlinfer.cli.options import Flags, shared


@click.command("init")
@click.argument("name")
@shared()
def command(flags: Flags, name: str) -> int:
    """Write a small project that runs into the new folder NAME."""
    from sqlinfer.cli.scaffold import create

    folder = create(name, flags.project_dir)
    click.echo(
        f"Wrote {folder}. Next:\n\n  cd {folder}\n  sqlinfer seed\n  sqlinfer run\n  sqlinfer preview churn_scores\n"
    )
    return 0
