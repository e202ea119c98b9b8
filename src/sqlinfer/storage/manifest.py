"""Which files are the rows of a folder now. One small object, put last: readers follow it alone.

scores/_manifest.json                   the version that readers see
scores/_SUCCESS                         for programs that wait for it; names the run
scores/run=<id>/_manifest.json          the same, of each version that is kept
scores/run=<id>/day=2026-01-01/part-…   its rows; an incremental version names parts of earlier runs, too
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import StorageError
from sqlinfer.files import parse_json
from sqlinfer.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST, SUCCESS, RUN = "_manifest.json", "_SUCCESS", "run="
_FORMAT, _VERSION = "sqlinfer", 1
"""``version`` rises when a field that readers need changes."""

Values = tuple[str | None, ...]
"""Of a partition: one text for each of its columns."""


@dataclass(frozen=True, slots=True)
class Part:
    path: str
    """Relative to the folder."""
    rows: int
    size: int
    partition: Values = ()

    @property
    def run(self) -> str:
        return self.path.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Manifest:
    run_id: str
    node: str
    at: str
    """When it was written, ISO 8601."""
    schema: bytes
    """Arrow's own form of the columns, partitions included."""
    parts: tuple[Part, ...]
    partition_by: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    """Run folders of the versions that are kept, the newest first."""

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def arrow_schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.ipc.read_schema(pa.py_buffer(self.schema))

    def dump(self) -> bytes:
        columns = {field.name: str(field.type) for field in self.arrow_schema}
        parts = [[part.path, part.rows, part.size, list(part.partition)] for part in self.parts]
        raw = {
            "format": _FORMAT, "version": _VERSION, "run_id": self.run_id, "node": self.node, "at": self.at,
            "rows": self.rows, "partition_by": list(self.partition_by), "columns": columns,
            "schema": base64.b64encode(self.schema).decode(), "versions": list(self.versions), "parts": parts,
        }  # fmt: skip
        return json.dumps(raw, indent=1).encode()


def read_manifest(place: Place) -> Manifest | None:
    """None where there is none.

    Raises:
        StorageError: a newer sqlinfer wrote it, or it is none of ours.
    """
    data = place.below(MANIFEST).read()
    return None if data is None else parse(data, place.url)


def parse(data: bytes, url: str) -> Manifest:
    try:
        raw = parse_json(data)
        if not isinstance(raw, Mapping) or raw.get("format") != _FORMAT:
            raise ValueError("it is not sqlinfer's")
        if int(raw["version"]) > _VERSION:
            raise StorageError(
                f"{url} was written by a newer version of sqlinfer (manifest version {raw['version']})",
                hint="upgrade sqlinfer; what is there stays as it is",
            )
        found = _manifest(raw)
        _ = found.arrow_schema
        return found
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise StorageError(
            f"{url}/{MANIFEST} cannot be read: {error}",
            hint=f"copy one of {RUN}…/{MANIFEST} over it, or choose another location",
        ) from error


def _manifest(raw: Mapping[str, Any]) -> Manifest:
    parts = tuple(
        Part(_inside(path), int(rows), int(size), tuple(None if one is None else str(one) for one in values))
        for path, rows, size, values in raw["parts"]
    )
    return Manifest(
        str(raw["run_id"]), str(raw["node"]), str(raw["at"]), base64.b64decode(raw["schema"], validate=True), parts,
        tuple(str(name) for name in raw["partition_by"]), tuple(_inside(name) for name in raw["versions"]),
    )  # fmt: skip


def _inside(path: object) -> str:
    """A manifest names no file out of its folder."""
    text = str(path)
    if not text.startswith(RUN) or any(step in ("", ".", "..") for step in text.split("/")):
        raise ValueError(f"'{text[:80]}' is no part of it")
    return text
