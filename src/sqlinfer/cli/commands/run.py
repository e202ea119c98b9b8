"""``sqlinfer run``: score and publish models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sqlinfer.cli.estimating import show_estimate
from sqlinfer.cli.options import (
    BOUNDS,
    DEFERRING,
    EMPTY,
    EXECUTION,
    IN_DBT,
    REFRESH,
    SELECTION,
    Flags,
    add_options,
    shared,
)


@click.command("run")
@add_options(IN_DBT)
@click.option("--sample", metavar="WINDOW", help="With --dbt: inputs of this window alone, '3 days', by event_time.")
@click.option("--every", metavar="INTERVAL", help="Stay, and run again at this interval: 30s, 5m, 1h.")
@click.option("--backfill", type=click.Choice(["hour", "day", "week", "month"]), metavar="GRAIN",
              help="Incremental models slice by slice, from --from to --to: hour, day, week or month.")  # fmt: skip
@click.option("--from", "first", metavar="DATE", help="With --backfill: a day or time in the first slice.")
@click.option("--to", "last", metavar="DATE", help="With --backfill: a day or time in the last slice.")
@add_options(BOUNDS)
@shared(EXECUTION, REFRESH, SELECTION, DEFERRING, EMPTY, claims=True)
def command(
    flags: Flags, in_dbt: bool, manifest: Path | None, sample: str | None, every: str | None, estimate: bool,
    backfill: str | None, first: str | None, last: str | None, **bounds: Any,
) -> int:  # fmt: skip
    """Score and publish the selected models."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    if backfill is not None or first is not None or last is not None:
        if backfill is None or first is None or last is None:
            raise click.UsageError("--backfill, --from and --to go together")
        if in_dbt or manifest is not None or sample or estimate or every is not None or flags.empty:
            raise click.UsageError(
                "--backfill goes with none of --dbt, --manifest, --sample, --estimate, --every, --empty"
            )
        return run_backfill(flags, (backfill, first, last), **bounds)
    if every is not None:
        if in_dbt or manifest is not None or sample or estimate or flags.full_refresh:
            raise click.UsageError("--every goes with none of --dbt, --manifest, --sample, --estimate, --full-refresh")
        return run_every(flags, every, **bounds)
    if in_dbt or manifest is not None:
        if estimate:
            raise click.UsageError("--estimate does not go with --dbt")
        return run_dbt(flags, manifest, sample, **bounds)
    if sample:
        raise click.UsageError("--sample goes with --dbt: it looks at the event_time of dbt's nodes")
    options = replace(flags.options(), **bounds)
    if estimate:
        return show_estimate(flags, options, "run")
    with job(flags, "run") as console:
        result = api.run(options, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)


def run_every(flags: Flags, every: str, **bounds: Any) -> int:
    """0 where it was stopped while all was well."""
    from sqlinfer import api
    from sqlinfer.cli.console import job
    from sqlinfer.jobs import nearline

    seconds = nearline.interval(every)
    with job(flags, "run") as console:

        def waits(state: nearline.Waiting) -> None:
            if state.error is not None:
                console.paragraph(str(state.error), level="error")
            again = f", after {state.failures} failed in a row" if state.failures else ""
            console.line(f"Next run at {state.at:%H:%M:%S}{again}", event="Waiting", data={"seconds": state.seconds})

        result = api.run_every(
            replace(flags.options(), **bounds), seconds, on_event=console.on_event, on_wait=waits,
            cancel=console.cancel, on_result=console.close_run,
        )  # fmt: skip
        console.line("Stopped", event="Stopped")
        return 0 if result is None or result.ok else 1


def run_backfill(flags: Flags, asked: tuple[str, str, str], **bounds: Any) -> int:
    """0 where every slice is published."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    with job(flags, "run") as console:
        console.way_on = "sqlinfer run --backfill {} --from {} --to {}".format(*asked)
        result = api.backfill(
            replace(flags.options(), **bounds), *asked, on_event=console.on_event, cancel=console.cancel,
            on_result=console.close_run,
        )  # fmt: skip
        if not result.results:
            console.close_run(result)
        if console.cancel.is_set():
            console.interrupted()
            return 1
        return result.exit_code


def run_dbt(flags: Flags, manifest: Path | None, sample: str | None, **bounds: Any) -> int:
    from sqlinfer.cli.commands.dbt import dbt_options
    from sqlinfer.cli.console import job

    with job(flags, "run") as console:
        console.way_on = "sqlinfer dbt retry"
        if manifest is None:
            console.line("Compiling the prediction nodes with dbt")
        from sqlinfer.dbt import executor  # dear: the line comes first

        options = replace(dbt_options(flags), sample=sample, **bounds)
        result = executor.run(options, manifest=manifest, on_event=console.on_event, cancel=console.cancel)
        return console.finish(result)
