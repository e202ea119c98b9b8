"""OpenTelemetry: a span for a run and one for each of its nodes, the figures of the receipt as attributes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sqlinfer.runner.results import RunResult
from sqlinfer.spec.events import NodeFinished, NodeStarted
from sqlinfer.spec.receipt import Receipt
from sqlinfer.version import __version__

if TYPE_CHECKING:
    from sqlinfer.jobs.night import Night

FLUSH_MILLISECONDS = 4_000


class OpenTelemetry:
    def __init__(self, night: Night) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.version": __version__})
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "sqlinfer"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer: Any = self._provider.get_tracer("sqlinfer", __version__)
        self._run: Any = self._tracer.start_span(
            "sqlinfer run",
            attributes={"sqlinfer.run_id": night.run_id, "sqlinfer.project": night.project.name,
                        "sqlinfer.target": night.project.profile.target},
        )  # fmt: skip
        self._nodes: dict[str, Any] = {}

    def started(self, event: NodeStarted) -> None:
        from opentelemetry.trace import set_span_in_context

        self._nodes[event.unique_id] = self._tracer.start_span(
            event.unique_id, context=set_span_in_context(self._run),
            attributes={"sqlinfer.unique_id": event.unique_id, "sqlinfer.relation": event.relation,
                        "sqlinfer.kind": event.kind},
        )  # fmt: skip

    def finished(self, event: NodeFinished) -> None:
        span = self._nodes.pop(event.result.unique_id, None)
        if span is not None:
            item = event.result
            span.set_attribute("sqlinfer.status", item.status)
            if item.rows is not None:
                span.set_attribute("sqlinfer.rows", item.rows)
            _end(span, item.ok, item.message, item.receipt)

    def close(self, result: RunResult | None) -> None:
        for span in self._nodes.values():
            _end(span, False, "interrupted", None)
        _end(self._run, result is not None and result.ok, "", result.receipt if result else None)
        self._provider.force_flush(FLUSH_MILLISECONDS)
        self._provider.shutdown()


def _end(span: Any, ok: bool, message: str, receipt: Receipt | None) -> None:
    from opentelemetry.trace import Status, StatusCode

    for name, value in attributes(receipt):
        span.set_attribute(name, value)
    span.set_status(Status(StatusCode.OK) if ok else Status(StatusCode.ERROR, message))
    span.end(time.time_ns())


def attributes(receipt: Receipt | None) -> Iterator[tuple[str, Any]]:
    """``sqlinfer.scored``, ``sqlinfer.seconds.stage`` and so on; what is not known is left out."""
    for name, value in (receipt.as_json() if receipt is not None else {}).items():
        inner = value if isinstance(value, dict) else {"": value}
        for part, one in inner.items():
            if one is not None:
                yield f"sqlinfer.{name}{'.' if part else ''}{part}", one
