"""``sqlinfer run``: score and publish models."""

from __future__ import annotations

from pathlib import Path

import click

from sqlinfer.cli.options import DEFERRING, EXECUTION, REFRESH, SELECTION, Flags, shared


@click.command("run")
@click.option("--dbt", "in_dbt", is_flag=True, help="Run the prediction nodes of the dbt project here.")
@click.option(
    "--manifest", type=click.Path(dir_okay=False, path_type=Path), help="With --dbt: use this manifest.json of dbt.",
)  # fmt: skip
@shared(EXECUTION, REFRESH, SELECTION, DEFERRING, claims=True)
def command(flags: Flags, in_dbt: bool, manifest: Path | None) -> int:
    """Score and publish the selected models."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    if in_dbt or manifest is not None:
        return run_dbt(flags, manifest)
    options = flags.options()
    with job(flags, "run") as console:
        result = api.run(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)


def run_dbt(flags: Flags, manifest: Path | None) -> int:
    from sqlinfer.cli.commands.dbt import dbt_options
    from sqlinfer.cli.console import job
    from sqlinfer.dbt import executor

    options = dbt_options(flags)
    with job(flags, "run") as console:
        result = executor.run(options, manifest=manifest, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
