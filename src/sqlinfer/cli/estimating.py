"""``run --estimate`` and ``build --estimate``: what a run would score and cost. In: a forecast. Out: lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlinfer.shown import counted

if TYPE_CHECKING:
    from sqlinfer.api import RunOptions
    from sqlinfer.cli.lines import Line
    from sqlinfer.cli.options import Flags
    from sqlinfer.jobs.forecasting import NodeForecast, RunForecast


def show_estimate(flags: Flags, options: RunOptions, command: str) -> int:
    """Exit code 1 where a node would pass a bound."""
    from sqlinfer import api
    from sqlinfer.cli.console import job

    with job(flags, command) as console:
        found = api.estimate(options, on_event=console.on_event, cancel=console.cancel)
        for line in lines(found):
            console.line(line.text, level=line.level, event="Estimate", data=line.data)
        return 1 if console.cancel.is_set() else found.exit_code


def lines(found: RunForecast) -> Iterator[Line]:
    from sqlinfer.cli.lines import Line
    from sqlinfer.cli.receipts import amounts

    for one in found.nodes:
        yield Line(f"Estimate {one.name}: {_node(one)}", data=one.as_json())
    cost = amounts(found.cost, found.cost.on_demand, found.cost.spot) if found.cost else ""
    whole = f"{counted(found.to_score, 'input')} to score, about {found.seconds:.2f} s of scoring"
    yield Line(f"Estimate in total: {whole}{f', {cost}' if cost else ''}; nothing was scored", data=found.as_json())
    for one in found.nodes:
        if one.refused:
            yield Line(f"Left undone: {one.name}: {one.refused}", "error", {"unique_id": one.unique_id})


def _node(one: NodeForecast) -> str:
    if not one.rows and one.refused:
        return one.refused
    return (
        f"{counted(one.rows, 'row')}, {one.reused:,} remembered, {one.to_score:,} to score in about {one.seconds:.2f} s"
    )
