"""What publishing needs of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlinfer.spec.catalog import Column


class Statements(Protocol):
    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None: ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def describe(self, sql: str) -> tuple[Column, ...]: ...
