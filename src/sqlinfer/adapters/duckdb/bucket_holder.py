"""The claim of a server that takes puts on a condition: one object, which the first run creates.

A dead run's is replaced by the one run that still finds it as it was. Runs that cannot put on a condition (another
version of libraries, another way of credentials) have objects of their own beside it, and all see each other listed.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlinfer.errors import StorageError, StoreError
from sqlinfer.storage import Place
from sqlinfer.storage.conditional import Conditional, Unconditional

HOLDER = "holder.json"
DEAD = 60.0
"""Seconds after which a run that renews no more has died."""


def said(object: Place) -> dict[str, Any]:
    """What a run tells of itself."""
    told: dict[str, Any] = {"pid": "unknown", "host": "another machine"}
    with suppress(ValueError, TypeError):
        told |= json.loads(object.read() or b"{}")
    return told


@dataclass(slots=True)
class HolderMark:
    folder: Place
    run_id: str
    _object: Conditional
    _tag: str | None = None
    """As this run put it last."""
    _changing: threading.Lock = field(default_factory=threading.Lock)
    """A renewal and the tag that is known of it belong together."""

    @classmethod
    def of(cls, folder: Place, run_id: str) -> HolderMark | None:
        """None: no puts on a condition from here."""
        found = Conditional.of(folder.below(HOLDER))
        return None if found is None else cls(folder, run_id, found)

    @property
    def name(self) -> str:
        return HOLDER

    def put(self, told: bytes) -> None:
        found = self._object.find()  # looked at first: a server may take no notice of conditions
        if found is None:
            tag = self._object.create(told) or self._answered()
        elif self._now() - found.changed > timedelta(seconds=DEAD):
            tag = self._object.replace(told, found.tag) or self._answered()
        else:
            tag = None
        if tag is None:
            raise StoreError.held_by(said(self.folder.below(HOLDER)))
        self._tag = tag

    def renew(self, told: bytes) -> bool:
        with self._changing:
            assert self._tag is not None
            try:
                found = self._object.replace(told, self._tag) or self._answered()
            except Unconditional:
                raise StorageError(f"{self.folder.url} does not take a renewal now") from None
            self._tag = found or self._tag
            return found is not None

    def is_ours(self) -> bool:
        with self._changing:
            try:
                found = self._object.find()
            except Unconditional:
                return self._says_ours()
            return found is not None and found.tag == self._tag

    def remove(self) -> None:
        if self._tag is not None and self.is_ours():
            self.folder.below(HOLDER).delete()

    def _answered(self) -> str | None:
        """The tag of a put that was done, while its answer was lost and the request sent again."""
        found = self._object.find()
        return found.tag if found is not None and self._says_ours() else None

    def _says_ours(self) -> bool:
        """Raises StorageError: the server does not answer."""
        return said(self.folder.below(HOLDER)).get("run_id") == self.run_id

    def _now(self) -> datetime:
        """By the server's clock: when it takes an object."""
        place = self.folder.below(f"{self.run_id}.now")
        probe = Conditional.of(place)
        if probe is None or probe.create(b"") is None:
            raise Unconditional
        try:
            found = probe.find()
        finally:
            place.delete()
        if found is None:
            raise Unconditional
        return found.changed
