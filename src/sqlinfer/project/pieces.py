"""Parts of an earlier reading of a project: what a yml file holds, what a model was seen to call.

Each is found by a digest of all that it was made of, so that one changed file is read anew and the others are not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Pieces:
    known: Mapping[str, Any] = field(default_factory=dict)
    used: dict[str, Any] = field(default_factory=dict)
    """Those of this reading, which the next one starts from."""

    def find(self, key: str) -> Any:
        found = self.known.get(key)
        if found is not None:
            self.used[key] = found
        return found

    def keep(self, key: str, value: Any) -> None:
        """``value``: JSON."""
        self.used[key] = copied(value)


def copied(value: Any) -> Any:
    """JSON values that nobody else holds."""
    if type(value) is dict:
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if type(value) is list else value


_PIECES: ContextVar[Pieces | None] = ContextVar("pieces", default=None)


@contextmanager
def using(pieces: Pieces) -> Iterator[None]:
    token = _PIECES.set(pieces)
    try:
        yield
    finally:
        _PIECES.reset(token)


def current() -> Pieces | None:
    """None: everything is read anew."""
    return _PIECES.get()


def digest(kind: str, *parts: object) -> str:
    """The name of a piece."""
    told = json.dumps([kind, *parts], sort_keys=True, default=repr).encode(errors="replace")
    return f"{kind}:{hashlib.sha256(told).hexdigest()[:40]}"
