"""What runs on an executor: Arrow batches of one task → scored batches, by sessions that outlive the task.

An instance is pickled by Spark and handed to ``mapInArrow``. A Python worker keeps the sessions of the scorer that it
used last, so that its next task finds them open.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer import errors
from sqlinfer.errors import InferenceError, SqlinferError
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.scorer import OpenScorer

if TYPE_CHECKING:
    import pyarrow as pa

THREADS = "SQLINFER_THREADS"
_MARK = re.compile(r"sqlinfer-error:(\{.*?\}):sqlinfer-end")
_TOLD = ("InferenceError", "ArtifactError", "DeviceError", "FunctionError", "UsageError")


@dataclass(frozen=True, slots=True)
class Results:
    """What becomes of one call's columns in the batches that go out."""

    output: str
    error: str
    """As the scorer calls it."""
    columns: tuple[str, ...]
    """One for each output of the function: a struct goes out as its fields."""
    error_column: str
    is_struct: bool


@dataclass(frozen=True, slots=True)
class Shipped:
    """A scorer on its way. Called in a Python worker with the batches of a task."""

    payload: bytes
    """The pickled scorer."""
    name: str
    """Two scorers of one name are the same."""
    archives: Mapping[str, str]
    """Digest of a function → the shipped file that has its artifact; those that are not here lie where they were."""
    kept: tuple[str, ...]
    results: tuple[Results, ...]
    schema: pa.Schema
    total: int | None = None
    """Rows that there are at most, in all tasks together."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        with _telling():
            first = next(batches, None)
            if first is None:
                return
            reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
            with _opened(self).score(reader, self.kept, total=self.total) as scored:
                for batch in scored:
                    yield self._fitted(batch)

    def _fitted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Flat columns of the types that Spark knows: it has no unsigned integers, and no arrays of a fixed length."""
        import pyarrow as pa

        found = [batch.column(name) for name in self.kept]
        for one in self.results:
            value = batch.column(one.output)
            found += _fields(value) if one.is_struct else [value]
            found.append(batch.column(one.error))
        pairs = zip(found, self.schema, strict=True)
        fitted = [one if one.type == field.type else one.cast(field.type) for one, field in pairs]
        return pa.RecordBatch.from_arrays(fitted, schema=self.schema)


def _fields(value: pa.Array) -> list[pa.Array]:
    import pyarrow.compute as pc

    return [pc.struct_field(value, [position]) for position in range(value.type.num_fields)]


# sessions


@dataclass(slots=True)
class _Open:
    """What this process holds open."""

    name: tuple[str, ...] = ()
    scorer: OpenScorer | None = None
    stack: ExitStack | None = None

    def close(self) -> None:
        stack, self.name, self.scorer, self.stack = self.stack, (), None, None
        if stack is not None:
            stack.close()


_OPEN = _Open()


def _opened(shipped: Shipped) -> OpenScorer:
    addresses = _gpus()
    name = (shipped.name, *addresses)
    if _OPEN.name == name and _OPEN.scorer is not None:
        return _OPEN.scorer
    _OPEN.close()
    os.environ[THREADS] = str(_cores())
    scorer: Any = pickle.loads(shipped.payload)
    functions = tuple(_on(_here(one, shipped.archives), addresses) for one in scorer.functions)
    stack = ExitStack()
    opened: OpenScorer = stack.enter_context(replace(scorer, functions=functions).opened())
    _OPEN.name, _OPEN.scorer, _OPEN.stack = name, opened, stack
    return opened


def _cores() -> int:
    """Those of a task, which has one worker."""
    from pyspark import TaskContext

    task = TaskContext.get()
    return max(1, task.cpus()) if task is not None else 1


def _gpus() -> tuple[str, ...]:
    """Addresses that Spark gave to the task."""
    from pyspark import TaskContext

    task = TaskContext.get()
    found = task.resources().get("gpu") if task is not None else None
    return tuple(found.addresses) if found is not None else ()


def _on(function: PreparedFunction, addresses: tuple[str, ...]) -> PreparedFunction:
    """A function for a GPU runs on the one that the task was given."""
    family = function.contract.device.partition(":")[0]
    if not addresses or family == "cpu":
        return function
    family = "cuda" if family == "auto" else family
    return replace(function, contract=replace(function.contract, device=f"{family}:{addresses[0]}"))


# artifacts


def _here(function: PreparedFunction, archives: Mapping[str, str]) -> PreparedFunction:
    """With the paths of this machine."""
    archive = archives.get(function.contract.digest)
    if archive is None:
        return function
    folder = _unpacked(archive)

    def moved(path: Path) -> Path:
        return folder / path.relative_to(function.folder) if path.is_relative_to(function.folder) else path

    tokenizer = function.tokenizer
    if tokenizer is not None:
        tokenizer = replace(tokenizer, path=moved(tokenizer.path))
    return replace(function, folder=folder, graph=moved(function.graph), tokenizer=tokenizer)


def _unpacked(archive: str) -> Path:
    """The folder beside the shipped file. Several workers of an executor may come at once."""
    from pyspark import SparkFiles

    source = Path(SparkFiles.get(archive))
    folder = source.parent / archive.removesuffix(".zip")
    if folder.is_dir():
        return folder
    if not source.is_file():
        raise InferenceError(f"the artifact {archive} did not reach the executor")
    scratch = Path(tempfile.mkdtemp(dir=source.parent, prefix=".unpacking-"))
    try:
        with zipfile.ZipFile(source) as packed:
            packed.extractall(scratch)
        os.rename(scratch, folder)
    except OSError:
        if not folder.is_dir():  # else another worker was first
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


# errors


@contextmanager
def _telling() -> Iterator[None]:
    """An error of ours travels as JSON inside the message of another, which Spark hands on as text."""
    try:
        yield
    except SqlinferError as error:
        _OPEN.close()
        said = json.dumps({"kind": type(error).__name__, "message": error.message, "hint": error.hint})
        raise RuntimeError(f"sqlinfer-error:{said}:sqlinfer-end") from None


def told(text: str) -> SqlinferError | None:
    """The error of ours that is in a message of Spark's; None where there is none."""
    found = _MARK.search(text)
    if found is None:
        return None
    said = json.loads(found[1])
    kind = getattr(errors, said["kind"]) if said["kind"] in _TOLD else InferenceError
    error: SqlinferError = kind(said["message"], hint=said["hint"])
    return error
