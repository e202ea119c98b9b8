"""What a published node was made from, for the run record: dbt's package compares it with the project of today."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from sqlinfer.adapters.base import Materialization
from sqlinfer.project import Node
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.spec.plan import Plan


@dataclass(frozen=True, slots=True)
class Provenance:
    sql: str = ""
    """md5 of the compiled SQL, which dbt's ``local_md5`` gives too."""
    raw: str = ""
    """md5 of the node's text before Jinja."""
    is_slice: bool | None = None
    """What ``is_incremental()`` answered; None where the node does not ask: then one text compiles to one SQL."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Name → digest."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files of these functions → sha256."""
    made_table: bool = False
    """Of a slice: its table was not there, so that it holds nothing of the slices before."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, plan: Plan, node: Node, how: Materialization, env: RunEnvironment) -> Provenance:
        digests = {call.function: call.digest for call in plan.calls}
        files = {path: sha for name in digests for path, sha in env.files_of(name).items()}
        asks = node.asks_incremental or how.is_slice
        return cls(_md5(node.compiled or plan.sql), _md5(node.raw_sql), how.is_slice if asks else None, digests, files)


def raw_checksum(node: Node) -> str:
    """``raw`` of the record of a node as it is now."""
    return _md5(node.raw_sql)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
