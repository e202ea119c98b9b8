"""``sqlinfer report``: what the nights did, as one HTML file or served on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from sqlinfer.cli.options import EXECUTION, IN_DBT, Flags, Whole, add_options, shared

PORT = 8675


@click.command("report")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file (default: report.html in target/).")
@click.option("--nights", type=Whole(1), default=365, show_default=True, help="How many of the last runs it shows.")
@click.option(
    "--freshness", is_flag=True, help="Also how many rows are stale, which reads what the queries give today."
)
@click.option("--serve", type=click.IntRange(0, 65535), is_flag=False, flag_value=PORT, metavar="[PORT]",
              help=f"Serve it on this machine alone (port {PORT}, 0: a free one); it follows the runs.")  # fmt: skip
@add_options(IN_DBT)
@shared(EXECUTION)
def command(
    flags: Flags, output: Path | None, nights: int, freshness: bool, serve: int | None, in_dbt: bool,
    manifest: Path | None,
) -> int:  # fmt: skip
    """Write one HTML file that needs no network: the graph, the last nights, their predictions, the slowest nodes."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    if serve is not None and output is not None:
        raise click.UsageError("--serve writes no file: leave out --output")
    if serve is not None and (in_dbt or manifest is not None):
        raise click.UsageError("--serve does not go with --dbt: write the file again after each run")
    with job(flags, "report", results_on_stdout=True) as console:
        if in_dbt or manifest is not None:
            from sqlinfer.cli.commands.dbt import dbt_options
            from sqlinfer.dbt import asking

            path = asking.report(
                dbt_options(flags), manifest=manifest, output=output, nights=nights, freshness=freshness,
                on_event=console.on_event, cancel=console.cancel,
            )  # fmt: skip
            click.echo(f"Wrote {path}")
        elif serve is None:
            path = api.report(
                flags.options(), output=output, nights=nights, freshness=freshness, on_event=console.on_event,
                cancel=console.cancel,
            )  # fmt: skip
            click.echo(f"Wrote {path}")
        else:
            api.serve_report(
                flags.options(), serve, nights=nights, freshness=freshness, on_event=console.on_event,
                on_ready=lambda address: click.echo(f"Report at {address} (Ctrl-C ends it)"), cancel=console.cancel,
            )  # fmt: skip
        return 0
