"""``DBT_ENV_SECRET_*``: templates see placeholders, a connection sees values, and nothing between them holds one.

A placeholder has a number that is drawn anew each time, so that no variable can spell one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

PREFIX = "DBT_ENV_SECRET"


def is_secret(name: str) -> bool:
    return name.startswith(PREFIX)


def public(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without its secrets."""
    return {name: value for name, value in env.items() if not is_secret(name)}


class Secrets:
    """The secret variables of an environment."""

    __slots__ = ("_head", "_pattern", "_values")

    def __init__(self, env: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in env.items() if is_secret(name)}
        self._head = f"$$$SECRET:{int.from_bytes(os.urandom(8))}:"
        self._pattern = re.compile(re.escape(self._head) + r"(\w+)\$\$\$")

    def placeholder(self, name: str) -> str | None:
        return f"{self._head}{name}$$$" if name in self._values else None

    def holds(self, value: Any) -> bool:
        """Whether a placeholder stands in a text, or at any depth of a list or mapping."""
        if isinstance(value, Mapping):
            return any(map(self.holds, value.values()))
        if isinstance(value, list | tuple):
            return any(map(self.holds, value))
        return isinstance(value, str) and self._pattern.search(value) is not None

    def reveal(self, value: Any) -> Any:
        """The values in place of their placeholders. Only for what opens a connection."""
        if isinstance(value, str):
            return self._pattern.sub(lambda found: self._values[found[1]], value)
        if isinstance(value, Mapping):
            return {key: self.reveal(inner) for key, inner in value.items()}
        return [self.reveal(inner) for inner in value] if isinstance(value, list) else value

    def values(self) -> set[str]:
        return {value for value in self._values.values() if value}

    def __repr__(self) -> str:
        return "Secrets(…)"


class Concealed(Mapping[str, Any]):
    """Settings with placeholders in them. Each is put in when it is asked for, by what opens a connection."""

    __slots__ = ("_raw", "_secrets", "_values")

    def __init__(self, raw: Mapping[str, Any], secrets: Secrets, values: Iterable[str] = ()) -> None:
        self._raw, self._secrets, self._values = dict(raw), secrets, frozenset(values)

    def __getitem__(self, key: str) -> Any:
        return self._secrets.reveal(self._raw[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return f"Concealed({', '.join(self._raw)})"

    def changed(self, leave_out: Iterable[str] = (), **more: Any) -> Concealed:
        kept = {key: value for key, value in self._raw.items() if key not in leave_out}
        return Concealed({**kept, **more}, self._secrets, self._values)

    def values_to_mask(self) -> tuple[str, ...]:
        """Longest first."""
        return tuple(sorted(self._values, key=lambda value: (-len(value), value)))
