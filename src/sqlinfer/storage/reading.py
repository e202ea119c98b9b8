"""Rows of a folder or object as a dataset of pyarrow: by its manifest, or else its Parquet files as they lie there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import StorageError
from sqlinfer.storage.access import Access
from sqlinfer.storage.manifest import Manifest, Part, Values, read_manifest
from sqlinfer.storage.place import Entry, Place, at

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

_GLOB = re.compile(r"[*?\[]")
_DEEP = re.compile(r"(?<![^/])\*\*(?=[^/])")
"""``**.parquet``: files of any folder."""
_HIDDEN = re.compile(r"(^|/)[._]")
"""Files that are no rows, by everybody's habit."""
_SHOWN = 3


def dataset(location: str, access: Access, *, of_model: str | None = None) -> ds.Dataset:
    """The rows of ``location`` now.

    Args:
        of_model: the model that writes it, where one does: then there is a manifest or nothing.

    Raises:
        StorageError: it is not there, is no Parquet, or a part that its manifest names is gone.
    """
    if _GLOB.search(location):
        return _matching(location, access)
    place = at(location, access)
    manifest = read_manifest(place)
    if manifest is not None:
        return followed(place, manifest)
    if of_model is not None:
        raise StorageError(f"{place.url} was not written yet: there is no manifest", hint=f"run {of_model} first")
    single = place.find()
    return _of_files(place, [single], alone=True) if single is not None else _of_files(place, _rows(place))


def followed(place: Place, manifest: Manifest) -> ds.Dataset:
    """The parts that a manifest names, looked for first: a scan would find out in its middle."""
    import pyarrow.dataset as ds

    there = {entry.name: entry.size for entry in place.entries()}
    lost = [part.path for part in manifest.parts if there.get(part.path) != part.size]
    if lost:
        what = ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
        verb = "is gone or has another size" if len(lost) == 1 else "are gone or have other sizes"
        raise StorageError(
            f"{place.url}: {what} {verb}; the manifest of run {manifest.run_id} names it",
            hint=f"put it back, or run {manifest.node.rpartition('.')[2]} again with --full-refresh",
        )
    schema, format = manifest.arrow_schema, ds.ParquetFileFormat()
    fragments = [
        format.make_fragment(f"{place.path}/{part.path}", place.system, _expression(schema, manifest, part))
        for part in manifest.parts
    ]
    return ds.FileSystemDataset(fragments, schema, format, place.system)


def _expression(schema: pa.Schema, manifest: Manifest, part: Part) -> Any:
    """What is true of every row of the part: a scan leaves parts out by it, and fills the columns from it."""
    import pyarrow.compute as pc

    if not part.partition:
        return pc.scalar(True)
    named = zip(manifest.partition_by, values_of(schema, manifest.partition_by, part.partition), strict=True)
    found = [pc.field(name) == value if value.is_valid else pc.field(name).is_null() for name, value in named]
    return reduce(and_, found)


def values_of(schema: pa.Schema, names: Sequence[str], texts: Values) -> list[Any]:
    import pyarrow as pa

    text = pa.string()
    return [pa.scalar(one, text).cast(schema.field(name).type) for name, one in zip(names, texts, strict=True)]


def _rows(place: Place) -> list[Entry]:
    return [entry for entry in place.entries() if not _HIDDEN.search(entry.name)]


def _matching(location: str, access: Access) -> ds.Dataset:
    head = location[: _GLOB.search(location).start()].rpartition("/")[0]  # type: ignore[union-attr]
    place = at(head, access)
    pattern = location[len(head) :].lstrip("/")
    found = [entry for entry in _rows(place) if _fits(entry.name, pattern)]
    if not found:
        raise StorageError(f"{location} matches no file", hint="* stands for a part of one name, ** for folders")
    return _of_files(place, found)


def _fits(name: str, pattern: str) -> bool:
    """``*``: a part of one name; ``**``: any number of folders, so that ``**/a.parquet`` is not ``old-a.parquet``."""
    return _steps_fit(name.split("/"), _DEEP.sub("**/*", pattern).split("/"))


def _steps_fit(steps: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted:
        return not steps
    first, rest = wanted[0], wanted[1:]
    if first == "**":
        return any(_steps_fit(steps[at:], rest) for at in range(len(steps))) if rest else bool(steps)
    return bool(steps) and fnmatchcase(steps[0], first) and _steps_fit(steps[1:], rest)


def _of_files(place: Place, entries: list[Entry], *, alone: bool = False) -> ds.Dataset:
    """Files that others wrote; folders called ``column=value`` are columns."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    foreign = [entry.name for entry in entries if not entry.name.casefold().endswith((".parquet", ".pq", ".parq"))]
    if foreign and not alone:
        raise StorageError(
            f"{place.url} holds files that are no Parquet: {', '.join(foreign[:_SHOWN])}",
            hint=f"name those that are: {place.url}/*.parquet",
        )
    if not entries:
        raise StorageError(f"{place.url} is not there, or holds no file", hint="look at the location", missing=True)
    paths = [place.path] if alone else [f"{place.path}/{entry.name}" for entry in entries]
    try:
        with place.translated():
            found = ds.dataset(
                paths, filesystem=place.system, format="parquet", partitioning="hive",
                partition_base_dir=None if alone else place.path,
            )  # fmt: skip
    except (StorageError, pa.ArrowException) as error:
        if "Parquet magic bytes" not in str(error) and "Parquet file size" not in str(error):
            raise
        raise StorageError(f"{place.url} is no Parquet file", hint="sources at a path are Parquet") from error
    return found
