"""``sqlinfer source``: what is known about the sources."""

from __future__ import annotations

from pathlib import Path

import click

from sqlinfer.cli.options import SELECTION, Flags, shared


@click.group("source")
def command() -> None:
    """Look at the sources of the project."""


@command.command("freshness")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write this file (default: sources.json "
    "in the target folder).",
)  # fmt: skip
@shared(SELECTION)
def freshness(flags: Flags, output: Path | None) -> int:
    """Compare the newest row of each source with its limits; exit code 1 where one is too old."""
    from collections import Counter

    from sqlinfer import api
    from sqlinfer.cli.console import job

    with job(flags, "source freshness") as console:
        found = api.source_freshness(
            flags.options(), output=output, on_event=console.on_event, cancel=console.cancel
        )  # fmt: skip
        counts = Counter(one.status.removeprefix("runtime ").upper() for one in found.results)
        if not found.results:
            console.line("No source has freshness: nothing to do")
        names = " ".join(f"{name}={counts[name]}" for name in ("PASS", "WARN", "ERROR"))
        console.line(f"Done. {names} TOTAL={counts.total()}", event="Finished", data={"elapsed": found.elapsed})
        return 1 if console.cancel.is_set() else found.exit_code
