"""OpenLineage: start, complete and fail of a run and of its models, with inputs, outputs and column lineage."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlinfer.runner.results import RunResult
from sqlinfer.spec.events import NodeFinished, NodeStarted
from sqlinfer.spec.lineage import ColumnLineage

if TYPE_CHECKING:
    from sqlinfer.jobs.night import Night

PRODUCER = "https://pypi.org/project/sqlinfer/"


class OpenLineage:
    def __init__(self, night: Night) -> None:
        from openlineage.client import OpenLineageClient

        self._night = night
        self._client = OpenLineageClient()
        self._namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or "sqlinfer"
        config = night.project.profile.config
        kind = night.project.profile.type
        place = f"{config.get('host')}:{config.get('port', 5432)}" if kind == "postgres" else config.get("path", "")
        self._datasets = f"{kind}://{place}"
        self._emit("START", night.run_id, night.project.name)

    def started(self, event: NodeStarted) -> None:
        if event.unique_id in self._night.project.nodes:
            self._node("START", event.unique_id)

    def finished(self, event: NodeFinished) -> None:
        item = event.result
        if item.unique_id in self._night.project.nodes and item.status != "skipped":
            self._node("COMPLETE" if item.ok else "FAIL", item.unique_id, message=None if item.ok else item.message,
                       rows=item.rows)  # fmt: skip

    def close(self, result: RunResult | None) -> None:
        self._emit("COMPLETE" if result is not None and result.ok else "FAIL", self._night.run_id,
                   self._night.project.name)  # fmt: skip
        self._client.close(timeout=2.0)

    def _node(self, state: str, unique_id: str, message: str | None = None, rows: int | None = None) -> None:
        from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run
        from openlineage.client.facet_v2 import (
            column_lineage_dataset,
            error_message_run,
            output_statistics_output_dataset,
            parent_run,
        )

        night, project = self._night, self._night.project
        node = project.nodes[unique_id]
        members = [project.nodes.get(uid) or project.sources[uid] for uid in (*node.depends_on, *node.sources)]
        inputs = {str(one.relation): InputDataset(self._datasets, str(one.relation)) for one in members}
        lineage = night.lineage.get(unique_id, ())
        inputs |= {
            one.relation: InputDataset(self._datasets, one.relation) for column in lineage for one in column.every
        }
        facets: dict[str, Any] = {}
        if lineage:
            fields = {one.column: self._field(one, column_lineage_dataset) for one in lineage}
            facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields, producer=PRODUCER)
        told: dict[str, Any] = {}
        if rows is not None:
            kind = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
            told["outputStatistics"] = kind(rowCount=rows, producer=PRODUCER)
        output = OutputDataset(self._datasets, str(node.relation), told, facets=facets)
        parent = parent_run.ParentRunFacet(
            parent_run.Run(night.run_id), parent_run.Job(self._namespace, project.name), producer=PRODUCER
        )
        run: dict[str, Any] = {"parent": parent}
        if message is not None:
            run["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "SQL", producer=PRODUCER)
        made = Run(str(uuid.uuid5(uuid.UUID(night.run_id), unique_id)), run)
        self._send(state, made, Job(self._namespace, f"{project.name}.{node.name}"), list(inputs.values()), [output])

    def _field(self, one: ColumnLineage, module: Any) -> Any:
        inputs = [module.InputField(self._datasets, origin.relation, origin.column) for origin in one.every]
        names = ", ".join(dict.fromkeys(call.function for call in one.calls))
        said = {"transformationDescription": f"predict: {names}"} if names else {}
        return module.Fields(inputs, **said)

    def _emit(self, state: str, run_id: str, job: str) -> None:
        from openlineage.client.event_v2 import Job, Run

        self._send(state, Run(run_id), Job(self._namespace, job), [], [])

    def _send(self, state: str, run: Any, job: Any, inputs: list[Any], outputs: list[Any]) -> None:
        from openlineage.client.event_v2 import RunEvent, RunState

        at = datetime.now(UTC).isoformat()
        self._client.emit(
            RunEvent(eventTime=at, producer=PRODUCER, run=run, job=job, eventType=RunState[state], inputs=inputs,
                     outputs=outputs)
        )  # fmt: skip
