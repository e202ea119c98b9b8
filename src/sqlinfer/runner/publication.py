"""Staged result → published relation, run record and error records, in one transaction of the main database.

A publication is written down in the side file first, so that ``retry`` can do it without scoring.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlinfer import storage
from sqlinfer.adapters.base import Materialization, Workspace, Written
from sqlinfer.compiler.template.hooked import NONE, Hooks
from sqlinfer.errors import DatabaseLocked, NotPublished, PublicationError, SqlinferError, StoreError
from sqlinfer.failpoints import fail_point
from sqlinfer.project.values import Hook
from sqlinfer.relation import Relation
from sqlinfer.runner.distributions import NotSampled, sampled
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.external import WrittenFile, write_beside
from sqlinfer.runner.hooks import run_by_themselves, run_inside
from sqlinfer.runner.provenance import Provenance
from sqlinfer.runner.receipts import from_payload
from sqlinfer.runner.versions import Layout, WrittenVersion, write_version
from sqlinfer.spec.constraint import Constraint, Index
from sqlinfer.spec.events import Warned
from sqlinfer.spec.plan import Counts, Owner
from sqlinfer.spec.receipt import Receipt
from sqlinfer.spec.records import RUNS
from sqlinfer.spec.window import Window

_HOOKS = ("before", "begin", "end", "after")
_VERSION = 2
"""Of a publication that is written down. A field without a default, or with another meaning, needs the next one."""


@dataclass(frozen=True, slots=True)
class Publication:
    unique_id: str
    node: str
    run_id: str
    how: Materialization
    sql: str
    """Reads the side catalog only (or the warehouse, for nodes without predict)."""
    started_at: datetime
    counts: Counts = field(default_factory=Counts)
    functions: tuple[str, ...] = ()
    has_errors: bool = False
    location: str | None = None
    """A Parquet file instead of a relation; the run record still goes into the database."""
    reads_warehouse: bool = False
    timeout: float | None = None
    """Seconds to wait for the warehouse, where the node says it (``publish_timeout``)."""
    side: str = ""
    """What the node's relations are called in the side catalog."""
    provenance: Provenance = field(default_factory=Provenance)
    receipt: Receipt | None = None
    """What was spent before the publication; None where nothing was scored."""
    hooks: Hooks = NONE
    predicted: tuple[str, ...] = ()
    """Columns of ``sql`` that hold predictions."""
    window: Window | None = None
    """The slice of a backfill."""
    layout: Layout | None = None
    """Where ``location`` is a folder of versions, and not one file."""

    @property
    def owner(self) -> Owner:
        return Owner(self.node, self.unique_id, self.side)

    def to_payload(self) -> dict[str, Any]:
        """JSON values."""
        window = self.window.as_json() if self.window is not None else None
        kept = {name: [asdict(replace(hook, location=None)) for hook in getattr(self.hooks, name)] for name in _HOOKS}
        how = replace(self.how, constraints=tuple(replace(one, location=None) for one in self.how.constraints))
        raw = {**asdict(replace(self, hooks=NONE, how=how)), "hooks": kept, "window": window, "version": _VERSION}
        found: dict[str, Any] = json.loads(json.dumps(raw, default=lambda value: value.isoformat()))
        return found

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Publication:
        """Fields that an older version did not know have their defaults.

        Raises:
            StoreError: a newer version of sqlinfer wrote it.
        """
        raw = dict(payload)
        if raw.pop("version", 1) > _VERSION:
            raise StoreError(
                f"a newer version of sqlinfer has left '{raw.get('node')}' to be published",
                hint="upgrade sqlinfer; a run of the node takes its place",
            )
        raw.setdefault("side", raw["node"])  # written when relations were called by the node's name
        how = dict(raw["how"])
        how["target"] = Relation(**how["target"])
        how["unique_key"] = tuple(how["unique_key"])
        for name in ("predictions", "uncompared"):
            how[name] = tuple(how.get(name, ()))
        how["constraints"] = tuple(_constraint(one) for one in how.get("constraints", ()))
        how["indexes"] = tuple(
            Index(tuple(one["columns"]), one["unique"], one["method"]) for one in how.get("indexes", ())
        )
        how["grants"] = tuple((right, tuple(roles)) for right, roles in how.get("grants", ()))
        how["column_descriptions"] = tuple((name, said) for name, said in how["column_descriptions"])
        raw["how"] = Materialization(**_known(Materialization, how))
        raw["counts"] = Counts(**_known(Counts, raw["counts"]))
        raw["functions"] = tuple(raw["functions"])
        raw["predicted"] = tuple(raw.get("predicted") or ())
        raw["receipt"] = from_payload(raw.get("receipt"))
        raw["provenance"] = Provenance(**_known(Provenance, raw.get("provenance") or {}))
        hooks = raw.get("hooks") or {}
        raw["hooks"] = Hooks(**{name: tuple(Hook(**hook) for hook in hooks.get(name) or ()) for name in _HOOKS})
        raw["window"] = Window.from_json(raw.get("window"))
        raw["layout"] = Layout.from_payload(raw.get("layout"))
        raw["started_at"] = datetime.fromisoformat(raw["started_at"])
        return cls(**_known(cls, raw))


def _known(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What this version knows of it: a later one may have added a field."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in raw.items() if name in names}


def _constraint(raw: dict[str, Any]) -> Constraint:
    listed: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    return Constraint(**listed)


def remember(work: Workspace, publication: Publication) -> None:
    _note(work, publication)
    fail_point("after_pending")


def wait(work: Workspace, publication: Publication, seconds: float) -> Publication:
    """After an attempt in vain, which took so long and counts for what the publication cost."""
    receipt = publication.receipt and publication.receipt.later("publish", seconds)
    waiting = replace(publication, receipt=receipt)
    _note(work, waiting)
    return waiting


def _note(work: Workspace, publication: Publication) -> None:
    work.note("pending", publication.unique_id, publication.to_payload())


def forget(work: Workspace, unique_id: str) -> None:
    work.note("pending", unique_id, None)


def pending(work: Workspace) -> tuple[Publication, ...]:
    """What was scored and not published, oldest first."""
    return tuple(Publication.from_payload(payload) for payload in work.notes("pending").values())


@dataclass(frozen=True, slots=True)
class Published:
    rows: int
    left: int = 0
    """As in ``Written``."""
    receipt: Receipt | None = None
    """With the publication, until its commit."""


def publish(
    env: RunEnvironment, publication: Publication, timeout: float, audit: Callable[[Relation], None] | None = None
) -> Published:
    """``audit`` is called on the new relation before the commit.

    Raises:
        NotPublished: the database stayed held for ``timeout`` seconds.
        PublicationError: a newer run has published.
    """
    work, began = env.workspace, perf_counter()
    folder = publication.layout is not None
    if publication.location is not None:
        env.may_write(publication.location, folder=folder)
    file = _write_file(env, publication)
    work.see_files(publication.sql)
    try:
        try:
            written = _committed(env, publication, timeout, audit, file, began)
        except NotSampled:  # all of it is rolled back, and done again without a look at the rows
            written = _committed(env, replace(publication, predicted=()), timeout, audit, file, began)
    except DatabaseLocked as error:
        raise NotPublished.held(error, timeout) from error
    finally:
        if file is not None:
            file.discard()
    fail_point("after_publish_commit")
    if file is not None:
        try:
            file.tidy()
        except (SqlinferError, OSError) as error:
            said = error.message if isinstance(error, SqlinferError) else str(error)
            env.emit(Warned(publication.unique_id, f"it is published, and what follows was left undone: {said}"))
    return written


def _committed(
    env: RunEnvironment,
    publication: Publication,
    timeout: float,
    audit: Callable[[Relation], None] | None,
    file: WrittenFile | WrittenVersion | None,
    began: float,
) -> Published:
    with env.workspace.publishing(timeout, publication.how.target):
        written = _write(env, publication, audit, file, began)
        fail_point("before_publish_commit")
        if file is not None:
            env.may_write(str(file.target), folder=publication.layout is not None)
            file.put_in_place()
    return written


def finish(env: RunEnvironment, publication: Publication, timeout: float) -> None:
    """Hooks after the commit. Raises RunError: the table is published all the same."""
    after = publication.hooks.after
    into = publication.how.target
    run_by_themselves(env.workspace, after, publication.node, timeout, "the table is published already", into)


def _write_file(env: RunEnvironment, publication: Publication) -> WrittenFile | WrittenVersion | None:
    work = env.workspace
    if publication.location is None:
        return None
    with work.warehouse() if publication.reads_warehouse else nullcontext():
        if publication.layout is None:
            return write_beside(work, publication.sql, Path(publication.location))
        place = storage.at(publication.location.rstrip("/"), env.access)
        stop = env.stop_if_cancelled
        return write_version(work, publication.sql, place, publication.layout, publication.unique_id, stop)


def _write(
    env: RunEnvironment,
    publication: Publication,
    audit: Callable[[Relation], None] | None,
    file: WrittenFile | WrittenVersion | None,
    began: float,
) -> Published:
    work, target = env.workspace, publication.how.target
    work.make_place(target)
    last = work.last_run(target, publication.unique_id, since=publication.started_at)
    if last is not None and last.run_id == publication.run_id:
        return Published(last.rows, receipt=publication.receipt)  # committed before a kill: nothing is left to do
    if last is not None:
        raise PublicationError(f"a newer run ({last.run_id}) has published {target} already; nothing was changed")
    if publication.window is not None and not work.has(target):
        publication = replace(publication, provenance=replace(publication.provenance, made_table=True))
    run_inside(work, publication.hooks.begin, publication.node)
    written = work.materialize(publication.how, publication.sql) if file is None else Written(file.rows)
    run_inside(work, publication.hooks.end, publication.node)
    if audit is not None:
        audit(target)
    if publication.functions:
        work.record_errors(publication.how, publication.sql, publication.owner, failed=publication.has_errors)
    receipt = publication.receipt and publication.receipt.later("publish", perf_counter() - began)
    spent = receipt.as_record() if receipt else {}
    spread = _distributions(work, publication, whole=file is None)
    work.record(RUNS, target, ({**_run_record(env, publication, written.rows), **spent, **spread},))
    return Published(written.rows, written.left, receipt)


def _distributions(work: Workspace, publication: Publication, *, whole: bool) -> Mapping[str, object]:
    """``whole``: the rows went into the target. Where it holds no others, they are read from there.

    Raises:
        NotSampled: they cannot be read.
    """
    if not publication.predicted:
        return {}
    target = publication.how.target
    sql = target.query(work.dialect) if whole and not publication.how.merges else publication.sql
    last = work.last_run(target, publication.unique_id)
    before = last.distributions if last is not None else ""
    return {"distributions": sampled(work, sql, publication.predicted, before)}


def _run_record(env: RunEnvironment, publication: Publication, rows: int) -> Mapping[str, object]:
    """A value for each column of ``RUNS``."""
    counts = publication.counts
    return {
        "run_id": publication.run_id,
        "node": publication.unique_id,
        "relation": str(publication.how.target),
        "started_at": publication.started_at,
        "finished_at": env.now(),
        "functions": list(publication.functions),
        "rows": rows,
        "inputs": counts.inputs,
        "scored": counts.scored,
        "reused": counts.reused,
        "null_inputs": counts.null_inputs,
        "errors": counts.errors,
        "status": "success",
        "sqlinfer_version": env.version,
        "sql_checksum": publication.provenance.sql,
        "provenance": publication.provenance.to_json(),
        "slice_start": publication.window.start if publication.window else None,
        "slice_end": publication.window.end if publication.window else None,
    }
