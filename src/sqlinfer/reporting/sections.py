"""The parts of the page. In: a report and its nights. Out: HTML."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlinfer.reporting import charts
from sqlinfer.reporting.data import Member, Record, Report, Staleness
from sqlinfer.reporting.graph import graph
from sqlinfer.reporting.markup import (
    age,
    anchor,
    block,
    day,
    duration,
    minute,
    money,
    number,
    percent,
    table,
    text,
)
from sqlinfer.reporting.nights import Column, Night, Table, slowest
from sqlinfer.shown import counted

SHIFTED = 0.2
"""From here on a distribution counts as shifted, the usual rule of thumb."""
_OPEN = 6
"""Prediction tables whose charts are open at first."""
_LISTED = 30
"""Nights in a table beside a chart of all of them."""


def tiles(report: Report, found: Sequence[Night], predictions: Sequence[Table]) -> str:
    """The last night in a few numbers."""
    if not found:
        return ""
    last = found[-1]
    shifted = sum(one.worst >= SHIFTED for one in predictions)
    facts = [
        ("last night", minute(last.started) + " UTC", age(report.made_at.timestamp() - last.started) + " old"),
        ("took", duration(last.seconds), counted(last.nodes, "node")),
        ("scored", number(last.scored), f"{number(last.reused)} reused"),
        ("errors", number(last.errors), ""),
        ("cost", money(last.cost, last.currency), "" if last.cost is not None else "no prices are declared"),
        ("shifted tables", number(shifted), f"PSI {SHIFTED} or more"),
    ]
    body = "".join(f"<div><dt>{name}</dt><dd>{value}<small>{said}</small></dd></div>" for name, value, said in facts)
    return f'<dl class="tiles">{body}</dl>'


def runs(found: Sequence[Night]) -> str:
    if not found:
        return "<p>No run is recorded yet: <code>sqlinfer run</code> makes the first.</p>"
    currency = next((one.currency for one in reversed(found) if one.currency), "")
    titles = [minute(one.started) for one in found]
    scored = [float(one.scored + one.reused) for one in found]
    drawn = [
        _over("Seconds", [one.seconds for one in found], titles),
        _over("Rows predicted", scored, titles),
        _over("Errors", [float(one.errors) for one in found], titles),
    ]
    if any(one.cost is not None for one in found):
        drawn.append(_over(f"Cost in {currency}", [one.cost for one in found], titles))
    listed = table(
        ("Run (UTC)", "Took", "Nodes", "Scored", "Reused", "Errors", "Cost"),
        [
            (minute(one.started), duration(one.seconds), number(one.nodes), number(one.scored), number(one.reused),
             number(one.errors), money(one.cost, one.currency))
            for one in list(reversed(found))[:_LISTED]
        ],
        f"The last {counted(min(len(found), _LISTED), 'run')} of {len(found)}",
    )  # fmt: skip
    span = f"{counted(len(found), 'run')}, {day(found[0].started)} to {day(found[-1].started)}"
    return f'<p>{span}</p><div class="charts">{"".join(drawn)}</div>{listed}'


def _over(name: str, values: Sequence[float | None], titles: Sequence[str]) -> str:
    known = [value for value in values if value is not None]
    says = (
        f"{len(known)} runs: last {number(known[-1])}, least {number(min(known))}, most {number(max(known))}"
        if known
        else "nothing is known"
    )
    named = [f"{title}: {number(value)}" for title, value in zip(titles, values, strict=True)]
    return f"<figure><figcaption>{text(name)}</figcaption>{charts.bars(values, named, name, says, (420, 130))}</figure>"


def project_graph(report: Report) -> str:
    if not report.members:
        return "<p>The project has no models yet.</p>"
    return graph(report.members)


def predictions(report: Report, found: Sequence[Table]) -> str:
    if not found:
        return "<p>No model of this project calls a function.</p>"
    asked = bool(report.staleness)
    heads = ["Table", "Rows", "Age", "Error rate", "PSI"] + (["Stale rows", "Oldest"] if asked else [])
    listed = table(heads, [_row(report, one, asked) for one in found], "Prediction tables, tonight")
    return listed + "".join(_table(one, n < _OPEN) for n, one in enumerate(found))


def _row(report: Report, one: Table, asked: bool) -> Sequence[str]:
    last = one.last
    shift = max((column.shift for column in one.columns if column.shift is not None), default=None)
    cells = [
        f'<a href="#t{anchor(one.member.unique_id)}">{text(one.member.name)}</a>',
        number(last.rows) if last else "–",
        age(report.made_at.timestamp() - last.ended) if last else "not built yet",
        percent(last.error_rate) if last else "–",
        _flagged(shift),
    ]
    return cells + (_stale(report.staleness.get(one.member.unique_id), report.made_at) if asked else [])


def _flagged(shift: float | None) -> str:
    if shift is None:
        return "–"
    return f"<strong>{shift:.3f} shifted</strong>" if shift >= SHIFTED else f"{shift:.3f}"


def _stale(found: Staleness | None, made_at: datetime) -> list[str]:
    if found is None:
        return ["–", "–"]
    oldest = age((made_at - found.oldest.astimezone(UTC)).total_seconds()) if found.oldest else "–"
    share = percent(found.stale_share) if found.stale_share is not None else text(found.problem, 60) or "–"
    return [share, oldest]


def _table(one: Table, is_open: bool) -> str:
    name = text(one.member.name)
    body = "".join(_column(one, column) for column in one.columns)
    if not one.records:
        body = "<p>It is not built yet.</p>"
    elif not one.columns:
        body = "<p>How its predictions are spread is known from the next run on.</p>"
    if any(record.error_rate is not None for record in one.records):
        rates = [record.error_rate for record in one.records]
        body += _figure("Error rate", [None if rate is None else rate * 100 for rate in rates], "percent of inputs")
    more = _nights(one) if one.records else ""
    said = f"PSI {one.worst:.3f}" if any(column.shift is not None for column in one.columns) else ""
    flag = "open" if is_open else ""
    return (
        f'<details class="card" id="t{anchor(one.member.unique_id)}" {flag}><summary><h3>{name}</h3> '
        f'<span>{said}</span> <a href="#{anchor(one.member.unique_id)}">SQL of {name}</a></summary>'
        f'<div class="charts">{body}</div>{more}</details>'
    )


def _column(one: Table, column: Column) -> str:
    name = f"{column.name}, tonight against last night"
    if column.tonight.known + column.tonight.nulls:
        drawn = charts.histogram(column.tonight, column.last, name, (420, 150))
    else:
        drawn = "<p>It has no rows.</p>"
    key = '<span class="key"><i class="kb"></i>last night <i class="ka"></i>tonight</span>' if column.last else ""
    mean = f" mean {number(column.tonight.mean)}" if column.tonight.mean is not None else ""
    told = f"<figcaption>{text(column.name, 60)}{mean} {key}</figcaption>"
    shifts = _figure(f"PSI of {column.name}", column.shifts, "to the night before", SHIFTED)
    return f"<figure>{told}{drawn}{_numbers(column)}</figure>{shifts}"


def _numbers(column: Column) -> str:
    rows = [(text(label), f"{new:.2%}", f"{old:.2%}") for label, new, old in charts.pairs(column.tonight, column.last)]
    listed = table(("Values", "Tonight", "Last night"), rows, f"Shares of {column.name}")
    return f"<details><summary>Numbers of {text(column.name, 60)}</summary>{listed}</details>"


def _figure(name: str, values: Sequence[float | None], unit: str, limit: float | None = None) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    says = f"{unit}, {len(known)} nights: last {number(known[-1])}, most {number(max(known))}"
    drawn = charts.line(values, name, says, (420, 110), limit)
    return f"<figure><figcaption>{text(name, 60)} <small>{text(says)}</small></figcaption>{drawn}</figure>"


def _nights(one: Table) -> str:
    rows = [
        (minute(record.started), number(record.rows), duration(record.seconds), percent(record.error_rate),
         *(_shift(column, n) for column in one.columns))
        for n, record in reversed(list(enumerate(one.records))[-_SHORT:])
    ]  # fmt: skip
    heads = ("Run (UTC)", "Rows", "Took", "Error rate", *(f"PSI of {column.name}" for column in one.columns))
    caption = f"Last runs of {one.member.name}"
    return f"<details><summary>{text(caption)}</summary>{table(heads, rows, caption)}</details>"


_SHORT = 14


def _shift(column: Column, n: int) -> str:
    shift = column.shifts[n]
    return "–" if shift is None else f"{shift:.3f}"


def slowest_nodes(report: Report, runs: Sequence[Night]) -> str:
    found = slowest(report, runs[-1].run_id) if runs else ()
    if not found:
        return "<p>Nothing is recorded of how long nodes took.</p>"
    top = found[0][1].seconds or 1.0
    rows = [
        (f'<a href="#{anchor(member.unique_id)}">{text(member.name)}</a>', duration(record.seconds),
         _meter(record, top), duration(usual), text(record.bound_by or "–"))
        for member, record, usual in found
    ]  # fmt: skip
    return table(("Node", "Last night", "", "Median", "Bound by"), rows, "Slowest nodes of the last night")


def _meter(record: Record, top: float) -> str:
    width = 120 * (record.seconds or 0.0) / (top or 1.0)
    return (
        f'<svg class="meter" viewBox="0 0 120 10" aria-hidden="true"><rect class="a" width="{width:.1f}" height="10"/>'
        "</svg>"
    )


def nodes(report: Report) -> str:
    """All members, their SQL behind a click."""
    names = {member.unique_id: member for member in report.members}
    return "".join(_node(member, names) for member in sorted(report.members, key=lambda one: (one.kind, one.name)))


def _node(member: Member, names: dict[str, Member]) -> str:
    above = [names[one] for one in member.parents if one in names]
    reads = ", ".join(f'<a href="#{anchor(one.unique_id)}">{text(one.name)}</a>' for one in above)
    facts = [
        f"<p>{text(member.description, 600)}</p>" if member.description else "",
        f"<p>Table <code>{text(member.relation)}</code></p>" if member.relation else "",
        f"<p>File <code>{text(member.path)}</code></p>" if member.path else "",
        f"<p>Reads {reads}</p>" if reads else "",
    ]
    if member.sql:
        facts.append(f'<p>{text(member.sql_is)}</p><pre tabindex="0"><code>{block(member.sql)}</code></pre>')
    return (
        f'<details class="node" id="{anchor(member.unique_id)}"><summary>{text(member.name)} '
        f"<small>{member.kind}</small></summary>{''.join(facts)}</details>"
    )
