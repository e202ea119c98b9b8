"""``sqlinfer dbt docs``: functions and prediction columns as dbt's own yml, for dbt's docs and lineage."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.dbt import executor
from sqlinfer.dbt.sources import dump
from sqlinfer.jobs import night as nights
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import FunctionConfig, Node

_HEAD = """# Written by `sqlinfer dbt docs`. Exposures stand for functions.
# Move the data types below to the yml that describes the models: dbt takes each description from one file only.
"""


def docs_yml(options: RunOptions, manifest: Path | None = None) -> str:
    """Exposures for the functions that prediction nodes call, and as comments the columns of these nodes.

    Raises:
        SqlinferError: a prediction node does not compile.
    """
    job = executor.load(options, manifest)
    night = Night(job.project, options, lambda _: None, threading.Event())
    compiled: dict[str, CompiledNode] = {}
    with night.compiler() as compiler:
        for uid, item in nights.compile_nodes(compiler, job.ids, job.project).items():
            if not isinstance(item, CompiledNode):
                raise item
            compiled[uid] = item
    calls = {uid: {call.function: call.digest for call in item.plan.calls} for uid, item in compiled.items()}
    used = sorted({name for found in calls.values() for name in found})
    exposures = [_exposure(night, name, calls) for name in used]
    models = [_model(job.project.nodes[uid], item) for uid, item in compiled.items()]
    columns = "".join(f"# {line}\n" for line in dump({"models": models}).splitlines())
    return _HEAD + dump({"version": 2, "exposures": exposures}) + columns


def _exposure(night: Night, name: str, calls: dict[str, dict[str, str]]) -> dict[str, Any]:
    config: FunctionConfig = night.project.functions[name]
    users = [uid for uid, found in calls.items() if name in found]
    arguments = ", ".join(f"{one.name} {one.data_type}" for one in night.functions[name].contract.arguments)
    described = f"{config.description}\n\n" if config.description else ""
    return {
        "name": f"function_{name}",
        "label": f"{name}()",
        "type": "ml",
        "owner": {"name": str(config.meta.get("owner") or night.project.name)},
        "description": f"{described}{name}({arguments})",
        "depends_on": _refs(users, night),
        "meta": {"sqlinfer": {"digest": calls[users[0]][name], "source": config.source}},
    }


def _refs(ids: Sequence[str], night: Night) -> list[str]:
    return [f"ref('{night.project.nodes[uid].name}')" for uid in ids]


def _model(node: Node, item: CompiledNode) -> dict[str, Any]:
    described = {column.name.casefold(): column.description for column in node.columns}
    columns = [
        {
            "name": column.name,
            "data_type": column.data_type.lower(),
            **({"description": text} if (text := described.get(column.name.casefold())) else {}),
        }
        for column in item.columns
    ]
    return {"name": node.name, "columns": columns}
