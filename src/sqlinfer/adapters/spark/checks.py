"""What a run needs of Spark, for ``sqlinfer debug``: Java, an executor that answers, schemas that can be written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from sqlinfer.adapters.base import Check
from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.jvm import OLDEST_JAVA, java, java_version
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import AdapterError

_NAME = "warehouse"
OLDEST = (4, 0)


def checks(settings: SparkSettings) -> Iterator[Check]:
    if not settings.remote:
        version = java_version()
        fits = version is not None and version >= OLDEST_JAVA
        yield Check(f"{_NAME} Java", fits, f"Java {version}, {java()}" if fits else f"Spark needs Java {OLDEST_JAVA}: "
                    f"{f'{java()} is Java {version}' if version else 'none was found (JAVA_HOME, PATH)'}")  # fmt: skip
    with SparkSqlSession(settings) as session:
        yield _version(session, settings)
        yield _executors(session, settings)
        yield from _python(session)
        for schema in (settings.schema, settings.side_schema):
            there = schema.casefold() in side.schemas(session)
            yield Check(f"{_NAME} schema {schema}", True, "" if there else "the first run makes it")


def refuse_without_executors(session: SparkSqlSession, settings: SparkSettings) -> None:
    """A cluster that gives no executor lets a job wait for ever. Raises AdapterError."""
    if not settings.remote and settings.parameters.get("spark.master", "local").startswith("local["):
        return
    check = _executors(session, settings)
    if not check.ok:
        raise AdapterError(f"{settings.place}: {check.detail}",
                           hint="start workers, or ask for less (spark.executor.memory, spark.executor.cores); "
                           "connect_timeout of the profile says how long to wait")  # fmt: skip


def _version(session: SparkSqlSession, settings: SparkSettings) -> Check:
    said = str(session.raw.version)
    number = tuple(int(part) for part in said.split(".")[:2] if part.isdigit())
    if number < OLDEST:
        return Check(_NAME, False, f"Spark {said}: sqlinfer needs {'.'.join(map(str, OLDEST))} or newer")
    return Check(_NAME, True, f"Spark {said}, {settings.place}")


def _executors(session: SparkSqlSession, settings: SparkSettings) -> Check:
    """A job of one task, in a thread that may be left behind."""
    name, found = f"{_NAME} executors", list[Any]()

    def ask() -> None:
        try:
            found.append(session.value("SELECT count(*) FROM range(0, 1, 1, 1)"))
        except AdapterError as error:
            found.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(settings.patience)
    if not found:
        _cancel(session)
        return Check(name, False, f"no executor has answered within {settings.patience} s")
    return Check(name, found == [1], found[0].message if isinstance(found[0], AdapterError) else "")


def _cancel(session: SparkSqlSession) -> None:
    if session.is_remote:
        session.raw.interruptAll()
    else:
        session.raw.sparkContext.cancelAllJobs()


def _python(session: SparkSqlSession) -> Iterator[Check]:
    """The executors' Python has to have what scoring needs."""
    import pyarrow as pa

    def tell(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import importlib.util
        import sys

        for _ in batches:
            missing = [
                one for one in ("pyarrow", "numpy", "onnxruntime", "sqlinfer") if not importlib.util.find_spec(one)
            ]
            yield pa.RecordBatch.from_pylist([{"python": sys.version.split()[0], "missing": ", ".join(missing)}])

    name = f"{_NAME} Python of executors"
    try:
        row = (
            session.frame("SELECT id FROM range(0, 1, 1, 1)").mapInArrow(tell, "python string, missing string").first()
        )
    except Exception as error:
        yield Check(name, False, str(error).splitlines()[0])
        return
    way = f"Python {row.python} lacks {row.missing}: install sqlinfer there, or ship an environment (spark.archives)"
    yield Check(name, not row.missing, way if row.missing else f"Python {row.python}")
