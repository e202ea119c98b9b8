"""A scorer → what goes to the executors: its pickled form, and each artifact once, as a file named by its digest."""

from __future__ import annotations

import hashlib
import json
import pickle
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlinfer.adapters.spark.shipped import Results, Shipped
from sqlinfer.errors import AdapterError, InferenceError
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.scorer import Scorer

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.spark.session import SparkSqlSession

_SENT: set[tuple[int, str]] = set()
"""Files that a session of this process has: it refuses the same name twice where the content differs."""


def ship(
    session: SparkSqlSession,
    scorer: Scorer,
    kept: Sequence[str],
    results: Sequence[Results],
    schema: pa.Schema,
    total: int | None,
) -> Shipped:
    """``schema``: of the batches that come back.

    Raises:
        InferenceError: a function cannot leave this machine.
    """
    archives = {} if is_here(session) else {one.contract.digest: _sent(session, one) for one in set(scorer.functions)}
    try:
        payload = pickle.dumps(scorer)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InferenceError(f"the session of a function cannot be sent to Spark's executors: {error}") from error
    name = hashlib.sha256(payload).hexdigest()
    return Shipped(payload, name, archives, tuple(kept), tuple(results), schema, total)


def is_here(session: SparkSqlSession) -> bool:
    """Whether tasks run on this machine, as this user, and see its files."""
    if session.is_remote:
        return False
    master = str(session.raw.sparkContext.master)
    return master.startswith("local") and not master.startswith("local-cluster")


def _sent(session: SparkSqlSession, function: PreparedFunction) -> str:
    if function.native is not None:
        raise InferenceError(
            f"function '{function.contract.name}' is scored by {function.native.origin}, in processes of this machine: "
            "that cannot be sent to Spark's executors",
            hint="use a function that becomes a graph (runtime: onnx), or a session whose spark.master is local",
        )
    name = f"sqlinfer-{function.contract.digest[:16]}-{_content(function)}.zip"
    known = id(session.raw.client) if session.is_remote else id(session.raw.sparkContext)
    if (known, name) not in _SENT:
        _send(session, function, name)
        _SENT.add((known, name))
    return name


def _content(function: PreparedFunction) -> str:
    return hashlib.sha256(json.dumps(sorted(function.files)).encode()).hexdigest()[:16]


def _send(session: SparkSqlSession, function: PreparedFunction, name: str) -> None:
    place = Path(tempfile.mkdtemp(prefix="sqlinfer-ship-")) / name
    """Spark serves it from there for as long as this process lives."""
    try:
        pack(function, place)
        session.add_file(place)
    except (AdapterError, OSError) as error:
        raise InferenceError(
            f"the artifact of function '{function.contract.name}' ({_size(place)}) cannot be sent to Spark's "
            f"executors: {error}",
            hint="the folder for temporary files needs room for it, here and there (TMPDIR, spark.local.dir)",
        ) from error


def pack(function: PreparedFunction, place: Path) -> None:
    """The same bytes whenever the files are the same."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as packed:
        for name, _ in sorted(function.files):
            entry = zipfile.ZipInfo(name)  # without a time
            entry.file_size = (function.folder / name).stat().st_size
            with (function.folder / name).open("rb") as source, packed.open(entry, "w") as target:
                while part := source.read(1 << 20):
                    target.write(part)


def _size(place: Path) -> str:
    return f"{place.stat().st_size:,} bytes" if place.is_file() else "not packed"
