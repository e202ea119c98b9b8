"""An external model's folder: a run's rows as new files, published by one small object, the manifest.

Until that is put, readers see the version before, whatever happens to this run: an exception while a file is written
leaves a file that no manifest names. What no kept version names is removed afterwards.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as quoted

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.shared.queries import sorted_by
from sqlinfer.errors import PublicationError, SqlinferError, did_you_mean
from sqlinfer.failpoints import fail_point
from sqlinfer.files import sync
from sqlinfer.project import Node
from sqlinfer.project.locations import MARK
from sqlinfer.runner.external import check_types
from sqlinfer.storage import Entry, Place
from sqlinfer.storage.conditional import looked_at
from sqlinfer.storage.manifest import MANIFEST, RUN, SUCCESS, Manifest, Part, Values, parse, read_manifest

if TYPE_CHECKING:
    import pyarrow as pa

PART_BYTES = 128 << 20
"""Of one file. pyarrow may hold as much of it until the bucket has taken it."""
MOST_PARTITIONS = 10_000
LEFTOVER = timedelta(days=1)
"""For so long the files of a run that published nothing are left alone: it may be at work on another machine."""
_OURS = re.compile(
    rf"{SUCCESS}|{RUN}[^/]+/(?:{re.escape(MANIFEST)}|(?:[^/]+=[^/]*/)*part-\d{{5}}-[0-9a-f]{{8}}\.parquet)"
)
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows lie in the folder."""

    partition_by: tuple[str, ...] = ()
    keep: int = 3
    overwrites: bool = False
    """Partitions that the rows are of are replaced, the others stay."""

    @classmethod
    def of(cls, node: Node, *, full_refresh: bool) -> Layout:
        config = node.config
        refresh = full_refresh if config.full_refresh is None else config.full_refresh
        overwrites = config.incremental_strategy == "insert_overwrite" and not refresh
        return cls(config.partition_by, config.keep, overwrites)

    @classmethod
    def from_payload(cls, raw: dict[str, Any] | None) -> Layout | None:
        if raw is None:
            return None
        return cls(tuple(raw["partition_by"]), int(raw["keep"]), bool(raw["overwrites"]))


def check_partitions(layout: Layout, names: Iterable[str]) -> None:
    """Raises PublicationError for a partition column that the rows lack."""
    known = list(names)
    for name in layout.partition_by:
        if known and name not in known:
            hint = did_you_mean(name, known) or f"its columns: {', '.join(known)}"
            raise PublicationError(f"partition_by '{name}' is no column of the query", hint=hint)
    if known and len(layout.partition_by) == len(known):
        raise PublicationError("partition_by names every column of the query", hint="leave one out, for the files")


def before(place: Place, layout: Layout) -> Manifest | None:
    """The version that readers see now.

    Raises:
        StorageError: a newer sqlinfer wrote it, or the bucket does not answer.
        PublicationError: the folder holds what sqlinfer did not write, or other partitions.
    """
    found = read_manifest(place)
    if found is None:
        foreign = next((entry.name for entry in place.entries() if _OURS.fullmatch(entry.name) is None), None)
        if foreign is not None:
            raise PublicationError(
                f"{place.url} holds what sqlinfer did not write ({foreign}); nothing was written",
                hint="choose an empty folder, or move its files away",
            )
    elif layout.overwrites and found.partition_by != layout.partition_by:
        raise PublicationError(
            f"{place.url} is partitioned by {', '.join(found.partition_by) or 'nothing'}, "
            f"and the model by {', '.join(layout.partition_by)}",
            hint="--full-refresh writes it anew",
        )
    return found


@dataclass(slots=True)
class WrittenVersion:
    """Parts that no manifest names yet."""

    place: Place
    layout: Layout
    last: Manifest | None
    manifest: Manifest
    rows: int
    target: str
    published: bool = False
    """Readers see it, or may do."""
    announced: bool = False
    """Programs that wait for it were told."""

    def put_in_place(self) -> None:
        """
        Raises:
            PublicationError: the manifest is another than the one that this run began with, or nobody knows whether
                it was put. StorageError: it was not.
        """
        put = looked_at(self.place.below(MANIFEST))
        now = read_manifest(self.place)
        if (now and now.dump()) != (self.last and self.last.dump()):
            raise self._meanwhile(now)
        data = self.manifest.dump()
        self.place.below(f"{RUN}{self.manifest.run_id}", MANIFEST).put(data)
        fail_point("before_manifest")
        self.published = True  # until it is known not to be: what readers may see is not removed
        try:
            self.published = put(data)
        except SqlinferError as error:
            self.published = self._was_put(data, error)
            if not self.published:
                raise
        if not self.published:
            raise self._meanwhile(read_manifest(self.place))
        fail_point("after_manifest")
        with suppress(SqlinferError, OSError):  # the version is there all the same; ``tidy`` tries again
            self._announce()

    def _was_put(self, data: bytes, error: SqlinferError) -> bool:
        """Whether a request did what it was to do, and its answer was an error or was lost."""
        try:
            return self.place.below(MANIFEST).read() == data
        except (SqlinferError, OSError):
            raise PublicationError(
                f"whether {self.place.url} was published is not known: {error.message}",
                hint=f"readers see run {self.manifest.run_id} or the version before, whole; run again later",
            ) from error

    def _announce(self) -> None:
        self.place.below(SUCCESS).put(f"{self.manifest.run_id}\n".encode())
        self.announced = True

    def _meanwhile(self, now: Manifest | None) -> PublicationError:
        who = f"run {now.run_id}" if now else "somebody"
        return PublicationError(f"{who} has changed {self.place.url} meanwhile; nothing was published",
                                hint="run again; two targets may not write one location")  # fmt: skip

    def discard(self) -> None:
        """Nothing after the version was published."""
        if not self.published:
            with suppress(SqlinferError, OSError):
                _delete(self.place, self.manifest)

    def tidy(self) -> None:
        """After publication: tell programs that wait, where that failed, and remove what no kept version names.

        Raises:
            StorageError: the bucket does not let it.
        """
        if not self.announced:
            self._announce()
        needed = {part.path for one in self._kept() for part in one.parts}
        kept, known = set(self.manifest.versions), {*(self.last.versions if self.last else ()), *self.manifest.versions}
        young = datetime.now(UTC) - LEFTOVER
        gone = [entry for entry in self.place.entries() if _is_gone(entry, needed, kept, known, young)]
        _remove(self.place, gone)

    def _kept(self) -> Iterator[Manifest]:
        yield self.manifest
        for run in self.manifest.versions[1:]:
            data = self.place.below(run, MANIFEST).read()
            if data is not None:
                yield parse(data, self.place.below(run).url)


def _is_gone(entry: Entry, needed: set[str], kept: set[str], known: set[str], young: datetime) -> bool:
    run = entry.name.partition("/")[0]
    if _OURS.fullmatch(entry.name) is None or not run.startswith(RUN) or entry.name in needed:
        return False
    if run in kept:
        return False
    return run in known or (entry.changed is not None and entry.changed < young)


def _remove(place: Place, gone: list[Entry]) -> None:
    """Whole folders where nothing in them is needed, which is a request for a thousand objects."""
    by_run: dict[str, list[Entry]] = {}
    for entry in gone:
        by_run.setdefault(entry.name.partition("/")[0], []).append(entry)
    for run, entries in by_run.items():
        if len(entries) == sum(1 for _ in place.below(run).entries()):
            place.below(run).delete()
        else:
            for entry in entries:
                place.below(entry.name).delete()


def _delete(place: Place, manifest: Manifest) -> None:
    for entry in list(place.below(f"{RUN}{manifest.run_id}").entries()):
        if any(entry.name in part.path for part in manifest.parts) or not manifest.parts:
            place.below(f"{RUN}{manifest.run_id}", entry.name).delete()


def write_version(
    work: Workspace, sql: str, place: Place, layout: Layout, node: str, stop: Callable[[], None] = lambda: None
) -> WrittenVersion:
    """The rows of ``sql`` as new files, one partition after the other, a batch of rows in memory.

    Raises:
        PublicationError: the folder is another's, or the rows do not fit it; nothing was published.
    """
    last = before(place, layout)
    wanted = sorted_by(sql, layout.partition_by, work.dialect) if layout.partition_by else sql
    with work.reader(wanted, plain=True) as reader:
        schema = reader.schema.remove_metadata()
        check_partitions(layout, schema.names)
        check_schema(schema, layout)
        _check_columns(schema, layout, last, place)
        writing = _Writing(place, f"{RUN}{work.run_id}", schema, layout.partition_by, work.run_id)
        try:
            for batch in reader:
                stop()
                writing.write(batch)
            parts = writing.finish()
        except BaseException:
            writing.abandon()
            raise
    return _version(work.run_id, place, layout, node, last, schema, parts)


def _version(
    run_id: str, place: Place, layout: Layout, node: str, last: Manifest | None, schema: pa.Schema,
    parts: tuple[Part, ...],
) -> WrittenVersion:  # fmt: skip
    carried: tuple[Part, ...] = ()
    if layout.overwrites and last is not None:
        replaced = {part.partition for part in parts}
        carried = tuple(part for part in last.parts if part.partition not in replaced)
    run = f"{RUN}{run_id}"
    earlier = [one for one in (last.versions if last else ()) if one != run]
    manifest = Manifest(
        run_id, node, datetime.now(UTC).isoformat(timespec="seconds"), schema.serialize().to_pybytes(),
        (*parts, *carried), layout.partition_by, (run, *earlier)[: layout.keep],
    )  # fmt: skip
    return WrittenVersion(place, layout, last, manifest, sum(part.rows for part in parts), place.url)


def check_schema(schema: pa.Schema, layout: Layout, spelled: Mapping[str, str] | None = None) -> None:
    """``spelled``: the types in the warehouse's own words. Raises PublicationError for one that cannot be written."""
    import pyarrow.types as types

    check_types(schema, spelled)
    fit = (types.is_string, types.is_large_string, types.is_integer, types.is_boolean, types.is_date, types.is_decimal)
    for name in layout.partition_by:
        kind = schema.field(name).type
        if not any(one(kind) for one in fit):
            raise PublicationError(
                f"partition_by '{name}' is of type {(spelled or {}).get(name, kind)}",
                hint="text, whole numbers, decimals, booleans and dates name folders: cast it",
            )


def _check_columns(schema: pa.Schema, layout: Layout, last: Manifest | None, place: Place) -> None:
    if layout.overwrites and last is not None and not schema.equals(last.arrow_schema):
        old, new = ({field.name: str(field.type) for field in one} for one in (last.arrow_schema, schema))
        differ = [name for name in {**old, **new} if old.get(name) != new.get(name)] or ["their order"]
        raise PublicationError(f"the columns of {place.url} differ from the query's: {', '.join(differ)}",
                               hint="--full-refresh writes all partitions anew")  # fmt: skip


@dataclass(slots=True)
class _Writing:
    """The files of one run. Rows come sorted by partition."""

    place: Place
    run: str
    schema: pa.Schema
    partition_by: tuple[str, ...]
    run_id: str
    parts: list[Part] = field(default_factory=list)
    _token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _seen: set[Values] = field(default_factory=set)
    _values: Values = ()
    _rows: int = 0
    _path: str = ""
    _file: Any = None
    _writer: Any = None
    _open: ExitStack | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        for values, rows in self._split(batch):
            if self._open is not None and values != self._values:
                self._close()
            if self._open is None:
                self._begin(values)
            with self.place.translated():
                self._writer.write_batch(rows)
            self._rows += rows.num_rows
            fail_point("mid_part")
            if self._file.tell() > PART_BYTES:
                self._close()

    def finish(self) -> tuple[Part, ...]:
        if self._open is not None:
            self._close()
        return tuple(self.parts)

    def abandon(self) -> None:
        """After an error: what was written is removed, until the place refuses: each refusal is waited for."""
        with suppress(Exception):
            if self._open is not None:
                self._open.close()
        names = [part.path for part in self.parts] + ([self._path] if self._path else [])
        with suppress(SqlinferError, OSError):
            for name in names:
                self.place.below(name).delete()

    def _split(self, batch: pa.RecordBatch) -> Iterator[tuple[Values, pa.RecordBatch]]:
        """Stretches of rows of one partition, without the columns that its folder names."""
        if not self.partition_by:
            if batch.num_rows:
                yield (), batch
            return
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = [pc.cast(batch.column(name), pa.string()) for name in self.partition_by]
        rest = batch.select([name for name in self.schema.names if name not in self.partition_by])
        starts = sorted({0} | {at for one in texts for at in _changes(one)})
        for first, end in zip(starts, [*starts[1:], batch.num_rows], strict=True):
            if end > first:
                yield tuple(one[first].as_py() for one in texts), rest.slice(first, end - first)

    def _begin(self, values: Values) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if values not in self._seen and len(self._seen) >= MOST_PARTITIONS:
            raise PublicationError(f"{', '.join(self.partition_by)} has more than {MOST_PARTITIONS:,} values",
                                   hint="partition by what has fewer, such as a day")  # fmt: skip
        self._seen.add(values)
        folders = [f"{quoted(name, safe=' ')}={_NO_VALUE if value is None else quoted(value, safe=' :+,@')}"
                   for name, value in zip(self.partition_by, values, strict=True)]  # fmt: skip
        self._values, self._rows = values, 0
        self._path = "/".join([self.run, *folders, f"part-{len(self.parts):05}-{self._token}.parquet"])
        schema = pa.schema([one for one in self.schema if one.name not in self.partition_by])
        with ExitStack() as opened:
            self._file = opened.enter_context(self.place.below(self._path).writing())
            self._writer = opened.enter_context(pq.ParquetWriter(self._file, schema))
            self._open = opened.pop_all()

    def _close(self) -> None:
        assert self._open is not None
        with self.place.translated():
            self._writer.add_key_value_metadata({MARK.decode(): f"run {self.run_id}"})
            self._writer.close()
        size = self._file.tell()
        self._open.close()
        self._open = None
        local = self.place.below(self._path).local
        if local is not None:
            sync(local)
        self.parts.append(Part(self._path, self._rows, size, self._values))
        self._path = ""


def _changes(column: pa.Array) -> list[int]:
    """Rows that differ from the one before."""
    import pyarrow.compute as pc

    if len(column) < 2:
        return []
    left, right = column.slice(0, len(column) - 1), column.slice(1)
    nulls = pc.not_equal(pc.is_null(left), pc.is_null(right))
    differ = pc.or_kleene(nulls, pc.not_equal(left, right))  # null where both are, which is no change
    return [int(at) + 1 for at in pc.indices_nonzero(differ).to_pylist()]


def with_layout(node: Node, *, full_refresh: bool) -> Layout | None:
    return Layout.of(node, full_refresh=full_refresh) if node.config.is_folder else None
