"""What a run tells to OpenLineage and OpenTelemetry, through their own libraries, where their variables ask for it.

Events go through a queue to a thread of their own: a receiver that is slow or gone neither delays nor fails a night.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlinfer.jobs.events import Event
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.events import NodeFinished, NodeStarted, Warned

if TYPE_CHECKING:
    from sqlinfer.jobs.night import Night

PATIENCE = 5.0
"""Seconds that the end of a run waits for what is not sent yet."""


class Teller(Protocol):
    """Called in the thread that sends. Whatever it raises ends it."""

    def started(self, event: NodeStarted) -> None: ...

    def finished(self, event: NodeFinished) -> None: ...

    def close(self, result: RunResult | None) -> None: ...


@contextmanager
def told(night: Night) -> Iterator[Callable[[RunResult], None]]:
    """Inside, the run's events are told. The caller hands its result to what is yielded."""
    tellers = list(_asked(night, os.environ))
    if not tellers:
        yield lambda _: None
        return
    line, before, last = _Line(tellers), night.emit, list[RunResult]()

    def emit(event: Event) -> None:
        if isinstance(event, NodeStarted | NodeFinished):
            line.put(event)
        before(event)

    night.emit = emit
    try:
        yield last.append
    finally:
        night.emit = before
        for problem in line.close(last[-1] if last else None):
            night.emit(Warned(night.project.name, problem))


def _asked(night: Night, env: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], Teller]]]:
    if wants_openlineage(env, night.project.root):
        from sqlinfer.jobs.openlineage import OpenLineage

        yield "OpenLineage", lambda: OpenLineage(night)
    if wants_opentelemetry(env):
        from sqlinfer.jobs.opentelemetry import OpenTelemetry

        yield "OpenTelemetry", lambda: OpenTelemetry(night)


def wants_openlineage(env: Mapping[str, str], root: Path) -> bool:
    if env.get("OPENLINEAGE_DISABLED", "").casefold() in ("true", "1"):
        return False
    said = any(env.get(name) for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT__TYPE"))
    return said or Path("openlineage.yml").is_file()


def wants_opentelemetry(env: Mapping[str, str]) -> bool:
    if env.get("OTEL_SDK_DISABLED", "").casefold() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(env.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


class _Line:
    """The queue and its thread."""

    def __init__(self, tellers: list[tuple[str, Callable[[], Teller]]]) -> None:
        self._makers = tellers
        self._waiting: queue.Queue[NodeStarted | NodeFinished | tuple[RunResult | None]] = queue.Queue()
        self._problems: list[str] = []
        self._thread = threading.Thread(target=self._run, name="sqlinfer-telemetry", daemon=True)
        self._thread.start()

    def put(self, event: NodeStarted | NodeFinished) -> None:
        self._waiting.put(event)

    def close(self, result: RunResult | None) -> list[str]:
        """What went wrong."""
        self._waiting.put((result,))
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            names = " and ".join(name for name, _ in self._makers)
            return [f"{names}: not all was sent within {PATIENCE:g} s; the run is not affected"]
        return self._problems

    def _run(self) -> None:
        live: dict[str, Teller] = {}
        for name, make in self._makers:
            self._try(name, live, lambda made=make, at=name: live.__setitem__(at, made()))  # type: ignore[misc]
        while True:
            event = self._waiting.get()
            for name, teller in list(live.items()):
                self._try(name, live, lambda one=teller, what=event: _tell(one, what))  # type: ignore[misc]
            if isinstance(event, tuple):
                return

    def _try(self, name: str, live: dict[str, Teller], do: Callable[[], None]) -> None:
        try:
            do()
        except ImportError:
            self._problems.append(f"{name} is asked for and not installed: pip install 'sqlinfer[{_EXTRAS[name]}]'")
            live.pop(name, None)
        except Exception as error:  # a receiver of others must not fail a night
            self._problems.append(f"{name}: nothing more is sent: {type(error).__name__}")
            live.pop(name, None)


_EXTRAS = {"OpenLineage": "openlineage", "OpenTelemetry": "otel"}


def _tell(teller: Teller, event: NodeStarted | NodeFinished | tuple[RunResult | None]) -> None:
    match event:
        case NodeStarted():
            teller.started(event)
        case NodeFinished():
            teller.finished(event)
        case (result,):
            teller.close(result)
