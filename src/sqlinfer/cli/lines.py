"""dbt's lines for the events of a job. In: events. Out: text, level and the data of a JSON log line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlinfer.errors import BoundReached
from sqlinfer.jobs.events import (
    BackfillStarted,
    Event,
    JobStarted,
    Preparing,
    SliceStarted,
    SourceFinished,
    SourceStarted,
    TargetClaimed,
)
from sqlinfer.runner.results import RunResult
from sqlinfer.shown import counted, shown
from sqlinfer.spec.events import Audited, Challenged, NodeFinished, NodeStarted, Progress, Publishing, Warned
from sqlinfer.spec.results import NodeResult

WIDTH = 80
WORDS = {"success": "OK", "pass": "PASS", "warn": "WARN", "fail": "FAIL", "error": "ERROR", "skipped": "SKIP"}
TOTALS = {"success": "PASS", "pass": "PASS", "warn": "WARN", "fail": "ERROR", "error": "ERROR", "skipped": "SKIP"}
STREAMED = "; streamed: cheaper than looking up, reuse: true to remember"
"""Why ``reuse: auto`` scored what it may have scored last night, and what to set."""


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    level: str = "info"
    data: dict[str, Any] = field(default_factory=dict)


class Lines:
    """Numbers the nodes as they start: ``2 of 3``."""

    def __init__(self) -> None:
        self._total = 0
        self._numbers: dict[str, int] = {}
        self._kinds: dict[str, str] = {}
        self._relations: dict[str, str] = {}

    def describe(self, event: Event) -> Iterator[Line]:
        match event:
            case JobStarted():
                self._total = event.total
                yield from started(event)
            case NodeStarted():
                self._kinds[event.unique_id] = event.kind
                self._relations[event.unique_id] = short = shortened(event.relation)
                text = f"{self._place(event.unique_id)} START {event.kind} {short}"
                yield Line(dotted(text, "RUN"), data={"unique_id": event.unique_id, "status": "started"})
            case NodeFinished():
                yield self._finished(event.result)
            case Audited(unique_id, result):
                yield self._audited(unique_id, result)
            case Challenged():
                yield from challenged(event)
            case Warned():
                yield Line(f"[WARNING] {name_of(event.unique_id)}: {event.message}", "warn")
            case SourceStarted():
                yield Line(dotted(f"{event.number} of {event.total} START freshness of {event.name}", "RUN"))
            case SourceFinished():
                yield from freshness(event)
            case BackfillStarted():
                before = f", {event.done:,} of them done before" if event.done else ""
                names = ", ".join(map(name_of, event.unique_ids))
                told = {"unique_ids": list(event.unique_ids), "slices": event.slices, "done": event.done}
                yield Line(f"Backfill of {names}: {counted(event.slices, 'slice')}{before}", data=told)
            case SliceStarted():
                self._numbers.clear()
                text = f"Slice {event.number} of {event.total}: {event.start} to {event.end}"
                yield Line(text, data=asdict(event))
            case Preparing():
                yield Line(event.message, data={"function": event.function})
            case Progress() | Publishing() | TargetClaimed():
                return

    def _place(self, unique_id: str) -> str:
        number = self._numbers.setdefault(unique_id, len(self._numbers) + 1)
        return f"{number} of {max(self._total, number)}"

    def _finished(self, result: NodeResult) -> Line:
        word = WORDS[result.status]
        kind = self._kinds.get(result.unique_id) or result.unique_id.partition(".")[0]
        created = (
            {"OK": "created ", "ERROR": "creating "}.get(word, "") if "test" not in kind and kind != "hook" else ""
        )
        created = created.replace("creat", "load") if kind.startswith("seed") else created
        relation = self._relations.get(result.unique_id) or name_of(result.unique_id)
        text = f"{self._place(result.unique_id)} {word} {created}{kind} {relation}"
        return Line(dotted(text, status(result)), level_of(result), {"node": result.as_dbt()})

    def _audited(self, unique_id: str, result: NodeResult) -> Line:
        """A test of a node, under the node's number."""
        text = f"{self._place(unique_id)} {WORDS[result.status]} test {name_of(result.unique_id)}"
        return Line(dotted(text, status(result)), level_of(result), {"node": result.as_dbt()})


def freshness(event: SourceFinished) -> Iterator[Line]:
    """dbt's words: a source that is too old is an ERROR STALE, one that cannot be asked an ERROR."""
    word = {"error": "ERROR STALE", "runtime error": "ERROR"}.get(event.status, event.status.upper())
    level = {"pass": "info", "warn": "warn"}.get(event.status, "error")
    text = f"{event.number} of {event.total} {word} freshness of {event.name}"
    data = {"source": event.name, "status": event.status, "age": event.age}
    yield Line(dotted(text, f"{word} in {event.seconds:.2f}s"), level, data)
    yield from (Line(f"  {line}", "error") for line in event.message.splitlines())


def challenged(event: Challenged) -> Iterator[Line]:
    """How the challenger did, one line for each column of predictions."""
    pair = f"{event.challenger} against {event.champion} in {name_of(event.unique_id)}"
    told = {"unique_id": event.unique_id, "champion": event.champion, "challenger": event.challenger,
            "table": event.table, "counts": asdict(event.counts), "message": event.message}  # fmt: skip
    errors = f"; {counted(event.counts.errors, 'error')}" if event.counts.errors else ""
    if event.message:
        yield Line(f"[WARNING] {pair}: not compared: {event.message}{errors}", "warn", told)
    for one in event.contests:
        parts = [f"{one.prediction}: {counted(one.rows, 'row')}"]
        parts += [] if one.mean_shift is None else [f"mean shift {one.mean_shift:+.4g}"]
        parts += [] if one.flips is None else [f"{counted(one.flips, 'flip')} ({one.flip_share or 0:.2%})"]
        parts += [] if one.psi is None else [f"PSI {one.psi:.3f}"]
        yield Line(f"    {pair}, {', '.join(parts)}{errors}", "info", {**told, "contest": asdict(one)})


def level_of(result: NodeResult) -> str:
    return "error" if result.status in ("error", "fail") else "info"


def started(event: JobStarted) -> Iterator[Line]:
    yield Line(f"Running with sqlinfer={event.version}")
    found = [counted(count, kind) for kind, count in event.found if count]
    yield Line("Found " + (", ".join(found) or "nothing"))
    yield Line("")


def status(result: NodeResult) -> str:
    """What stands in the brackets at the end of a line.

    >>> from sqlinfer.spec.plan import Counts
    >>> scored = NodeResult("model.p.m", "success", rows=7043, counts=Counts(7043, 212, 6831), execution_time=0.41)
    >>> status(scored)
    '7,043 rows, 212 scored in 0.41s'
    """
    seconds = f"in {result.execution_time:.2f}s"
    match result.status:
        case "skipped":
            return "SKIP"
        case "error":
            return f"SCORED, NOT PUBLISHED {seconds}" if result.pending else f"ERROR {seconds}"
        case "pass":
            return f"PASS {seconds}"
        case "warn" | "fail":
            return f"{result.status.upper()} {result.failures or 0:,} {seconds}"
        case "success":
            return f"{amounts(result)} {seconds}{STREAMED if result.streamed else ''}"


def amounts(result: NodeResult) -> str:
    counts = result.counts
    parts = [] if result.rows is None else [counted(result.rows, "row")]
    if result.functions:
        parts.append(f"{counts.scored:,} scored")
    parts += [f"{counts.null_inputs:,} null"] if counts.null_inputs else []
    parts += [counted(counts.errors, "error")] if counts.errors else []
    parts += [f"{result.left:,} kept that the query did not return"] if result.left else []
    return ", ".join(parts) or "OK"


def closing(result: RunResult, *, interrupted: bool = False) -> Iterator[Line]:
    totals = Counter(TOTALS[item.status] for item in result.results)
    yield Line("")
    told: set[int] = set()  # what keeps a test from running is what is wrong with its node, too
    for item in result.results:
        if id(item.error) not in told:
            yield from details(item)
        told |= {id(item.error)} if item.error is not None else set()
    yield from undone(result)
    if interrupted:
        yield Line("Interrupted", "error")
    elif not result.results:
        yield Line("Nothing to do")
    elif result.ok:
        warnings = counted(totals["WARN"], "warning")
        yield Line(f"Completed with {warnings}" if totals["WARN"] else "Completed successfully")
    else:
        yield Line(
            result.stopped if not totals["ERROR"] else f"Completed with {counted(totals['ERROR'], 'error')}", "error"
        )
    names = " ".join(f"{name}={totals[name]}" for name in ("PASS", "WARN", "ERROR", "SKIP"))
    yield Line(f"Done. {names} TOTAL={totals.total()}", data={"elapsed": result.elapsed})


def undone(result: RunResult) -> Iterator[Line]:
    """What the bounds of the run have kept from being done."""
    left = [
        item for item in result.results
        if isinstance(item.error, BoundReached) or (result.stopped and item.message == result.stopped)
    ]  # fmt: skip
    if left:
        names = [name_of(item.unique_id) for item in left]
        yield Line(f"Left undone: {', '.join(names)}", "error", {"unique_ids": [item.unique_id for item in left]})


def details(item: NodeResult) -> Iterator[Line]:
    """The whole message of a failed node, place and hint included."""
    if item.status == "error":
        text = str(item.error) if item.error is not None else shown(item.message).replace("\n", "\n  ")
        head, *rest = text.splitlines() or [""]
        yield Line(f"Error in {name_of(item.unique_id)}: {head}", "error", {"unique_id": item.unique_id})
        yield from (Line(line, "error") for line in rest)
    elif item.status in ("fail", "warn"):
        yield Line(f"{WORDS[item.status]} in test {name_of(item.unique_id)}: {item.message}", item.status)


def shortened(relation: str) -> str:
    """``warehouse.main.churn_scores`` → ``main.churn_scores``, as dbt shows it."""
    return ".".join(relation.split(".")[-2:])


def name_of(unique_id: str) -> str:
    """``model.churn.churn_scores`` → ``churn_scores``; tests carry a hash after their name."""
    parts = unique_id.split(".")
    return parts[2] if len(parts) > 2 else unique_id


def dotted(text: str, label: str) -> str:
    """
    >>> dotted("1 of 3 START prediction model main.churn_scores", "RUN")
    '1 of 3 START prediction model main.churn_scores ................................ [RUN]'
    """
    return f"{(text + ' ').ljust(WIDTH, '.')} [{label}]"
