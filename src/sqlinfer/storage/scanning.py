"""A scan that failed in its middle: a message of the engine in, which object failed and how out.

What file systems and formats say holds no values of rows; what a cast says may, and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import StorageError
from sqlinfer.scrub import scrub
from sqlinfer.shown import one_line
from sqlinfer.storage.access import Access, is_url
from sqlinfer.storage.errors import is_busy, refused

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_FAILED = re.compile(
    r"(?:reading the (?:Arrow source|stream registered as '.*?') failed|get_next failed\(\)):"
    r"\s*(?P<kind>[A-Z][\w ]*?):\s*(?P<said>.*)", re.DOTALL,
)  # fmt: skip
"""How DuckDB hands on what Arrow said: 2 and 1."""
_UNREADABLE = re.compile(r"Could not open Parquet input source '(?P<path>[^']*)': *(?P<why>.*)", re.DOTALL)
_ASKED = re.compile(r"AWS Error|HTTP status|google::cloud|Azure|curl", re.IGNORECASE)
_LOOKED_AT = 200
"""Files that are looked at, to tell which of them refuses."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """The files of one place that a statement reads."""

    url: str
    files: Sequence[str]
    """In ``system``."""
    system: FileSystem
    access: Access

    def url_of(self, path: str) -> str:
        """As the user would write it."""
        return f"{self.url.partition('://')[0]}://{path}" if is_url(self.url) else path


def failure(said: str, places: Sequence[Scanned]) -> StorageError | None:
    """What a statement that reads ``places`` died of. None: nothing that a scan says."""
    found = _FAILED.search(said)
    if found is None or not places:
        return None
    text = scrub(found["said"].strip())  # before anything is cut
    broken = _UNREADABLE.match(text)
    path, why = (broken["path"], broken["why"]) if broken else (None, text)
    place = next((one for one in places if path in one.files), places[0])
    if path is None and _ASKED.search(text) and not is_busy(text):
        place, path = _refusing(places) or (place, None)
    where = place.url_of(path) if path else " or ".join(dict.fromkeys(one.url for one in places))
    if _ASKED.search(text) or is_busy(text):
        return refused(where, why, place.access)
    if broken or found["kind"] == "IOError":
        return StorageError(f"{where} cannot be read: {one_line(' '.join(why.split()), 200)}",
                            hint="put the file back whole, or leave it out")  # fmt: skip
    return StorageError(f"{where}: a value does not fit its column, and is not shown",
                        hint="the files may differ in the types of their columns")  # fmt: skip


def _refusing(places: Sequence[Scanned]) -> tuple[Scanned, str] | None:
    """The first file that gives no byte: an answer of the server does not name the object."""
    for place, path in _some(places):
        try:
            with place.system.open_input_stream(path) as file:
                file.read(1)
        except OSError:
            return place, path
    return None


def _some(places: Sequence[Scanned]) -> Iterator[tuple[Scanned, str]]:
    pairs: list[Any] = [(place, path) for place in places for path in place.files]
    yield from pairs[:_LOOKED_AT]
