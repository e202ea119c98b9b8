"""Small tools of scoring on Spark: SQL in the shared spelling, tables of this run, jobs that a caller may end."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.session import SparkSqlSession, table_name
from sqlinfer.adapters.spark.shipped import told
from sqlinfer.errors import AdapterError, InferenceError
from sqlinfer.relation import Relation
from sqlinfer.spec.scorer import stop_if

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.adoption import Adoption
    from sqlinfer.adapters.spark.scoring import SparkScoring
    from sqlinfer.spec.plan import Owner

T = TypeVar("T")
Metrics = Mapping[str, str]
"""Name → an aggregate in Spark's SQL, counted while rows go by."""
_LOOK_SECONDS = 0.1
_NO_PACKAGE = re.compile(r"No module named '(sqlinfer|pyarrow|onnxruntime|numpy)\b")
_WORKER_DIED = re.compile(r"Python worker exited unexpectedly|PYTHON_WORKER_EXITED|Worker .{0,40}crashed", re.I)


def spark(sql: str) -> str:
    """SQL that is built in the spelling that warehouses share → Spark's."""
    import sqlglot

    (found,) = sqlglot.transpile(sql, read="duckdb", write="spark")
    return found


def fresh(work: SparkScoring, name: str) -> Relation:
    """A table that is written once: what a killed writer leaves in a table's folder, the next one would commit."""
    return side.relation(work.settings, f"{name}__{run_token(work)}_{uuid.uuid4().hex[:6]}")


def run_token(work: SparkScoring) -> str:
    return blake2b(work.run_id.encode(), digest_size=4).hexdigest()


def observed(work: SparkScoring, frame: Any, metrics: Metrics) -> tuple[Any, Any]:
    """The frame, and an observation that has the metrics after its first action."""
    if not work.persistent:
        return frame, Later(work, frame, metrics)
    from pyspark.sql import functions as classic

    if work.session.is_remote:
        from pyspark.sql.connect import functions as remote
        from pyspark.sql.connect.observation import Observation as RemoteObservation

        one: Any = RemoteObservation()
        exprs = [remote.expr(sql).alias(name) for name, sql in metrics.items()]
    else:
        from pyspark.sql import Observation

        one = Observation()
        exprs = [classic.expr(sql).alias(name) for name, sql in metrics.items()]
    with work.session.asking():
        return frame.observe(one, *exprs), one


def written(
    work: SparkScoring,
    relation: Relation | None,
    name: str,
    frame: Any,
    metrics: Metrics,
    settings: Mapping[str, str] | None = None,
) -> tuple[Relation, dict[str, int]]:
    """The rows of a frame in a table of this run, and what was counted; a view of them under a name of a plan."""
    table = fresh(work, name)
    if not work.persistent:
        return table, _kept(work, frame, {"rows": "count(*)", **metrics}, table, relation)
    frame, seen = observed(work, frame, {"rows": "count(*)", **metrics})
    place = table_name(work.session.there(table))
    with work.session.asking():
        schema = frame.schema
    work.session.create_table(place, storable(schema))
    with _set(work, settings or {}):
        running(work, lambda: frame.write.insertInto(place))
    if relation is not None:
        show(work, relation, f"SELECT * FROM {table_name(table)}")
    return table, counts_of(seen)


def adopt(
    work: SparkScoring, owner: Owner, how: Adoption, frame: Any, metrics: Metrics, more: Sequence[str] = ()
) -> tuple[str, dict[str, int]] | None:
    """As ``written``, into a version of the published table. The folder of its files, which have ``more`` columns too.

    None: it cannot be done so, and nothing was written.
    """
    items = how.items(more)
    if items is None or any("void" in field.dataType.simpleString() for field in frame.schema.fields):
        return None
    frame, seen = observed(work, frame, {"rows": "count(*)", **metrics})
    frame = frame.selectExpr(*items)
    version, folder = how.opened(work, frame.schema)
    running(work, lambda: frame.write.mode("append").parquet(folder))
    work.adopted[owner.side] = version
    return folder, counts_of(seen)


@dataclass(frozen=True, slots=True)
class Later:
    """An observation of a scratch workspace: Spark keeps its frames, and a kept frame is observed when it likes."""

    work: SparkScoring
    frame: Any
    metrics: Metrics

    @property
    def get(self) -> dict[str, Any]:
        row = running(
            self.work, self.frame.selectExpr(*(f"{sql} AS {name}" for name, sql in self.metrics.items())).first
        )
        return dict(row.asDict())


def _kept(
    work: SparkScoring, frame: Any, metrics: Metrics, table: Relation, relation: Relation | None
) -> dict[str, int]:
    """The rows of a scratch workspace: Spark keeps them, and forgets them with the session."""
    with work.session.asking():
        kept = frame.persist()
        work.session.kept.append(kept)
    counts = counts_of(Later(work, kept, metrics))
    for one in (table, relation):
        if one is not None:
            kept.createOrReplaceTempView(one.name)
    return counts


def show(work: SparkScoring, relation: Relation, sql: str) -> None:
    """A view under a name of ours."""
    if not work.persistent:
        work.session.frame(sql).createOrReplaceTempView(relation.name)
        return
    work.session.execute(f"CREATE OR REPLACE VIEW {table_name(relation)} AS {sql}")


def storable(schema: Any) -> Any:
    """Columns that may be NULL, of types that Parquet has: of NULL alone Spark makes ``void``."""
    from pyspark.sql.types import NullType, StringType, StructField, StructType

    kinds = [StringType() if isinstance(one.dataType, NullType) else one.dataType for one in schema.fields]
    return StructType([StructField(one.name, kind, True) for one, kind in zip(schema.fields, kinds, strict=True)])


def counts_of(seen: Any) -> dict[str, int]:
    return {name: int(value or 0) for name, value in seen.get.items()}


class _set:
    """Settings of the session for one statement."""

    def __init__(self, work: SparkScoring, settings: Mapping[str, str]) -> None:
        self._conf, self._settings = work.session.raw.conf, settings
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        for key, value in self._settings.items():
            self._before[key] = self._conf.get(key, None)
            self._conf.set(key, value)

    def __exit__(self, *_: object) -> None:
        for key, value in self._before.items():
            with suppress(Exception):
                self._conf.unset(key) if value is None else self._conf.set(key, value)


settings_of = _set


def running(work: SparkScoring, action: Callable[[], T]) -> T:
    """A job of Spark's, ended when the run is cancelled.

    Raises:
        Cancelled: it was.
        InferenceError: what a task told.
    """
    cancel = work.cancel
    if cancel is None:
        with _Told(work.session):
            return action()
    tag, outcome = f"sqlinfer-{uuid.uuid4().hex}", list[T]()
    failed = list[BaseException]()
    thread = threading.Thread(target=_tagged, args=(work.session.raw, tag, action, outcome, failed), daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_SECONDS)
        if cancel.is_set():
            with suppress(Exception):
                work.session.raw.interruptTag(tag)
            thread.join(10)
            stop_if(cancel)
    with _Told(work.session):
        if failed:
            raise failed[0]
    return outcome[0]


def _tagged(session: Any, tag: str, action: Callable[[], T], outcome: list[T], failed: list[BaseException]) -> None:
    try:
        session.addTag(tag)
        outcome.append(action())
    except BaseException as error:
        failed.append(error)


@dataclass(frozen=True, slots=True)
class _Told:
    """What went wrong in a task becomes an error of ours."""

    session: SparkSqlSession

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception):
            return
        text = str(error)
        ours = told(text)
        if ours is not None:
            raise ours from None
        missing = _NO_PACKAGE.search(text)
        if missing is not None:
            raise AdapterError(
                f"Spark's executors have no Python package '{missing[1]}'",
                hint="install sqlinfer there for the Python that they run (PYSPARK_PYTHON), or ship an environment "
                "that has it: spark.archives: env.tar.gz#env and spark.pyspark.python: ./env/bin/python",
            ) from None
        if _WORKER_DIED.search(text):
            raise InferenceError(
                "a Python worker of Spark died while it scored: a crash in native code, or too little memory",
                hint="give executors more memory (spark.executor.memoryOverhead), or declare isolation: process for "
                "the function, so that the row is found",
            ) from error
        with self.session.asking():
            raise error
