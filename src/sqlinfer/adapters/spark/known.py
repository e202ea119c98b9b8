"""What the catalog holds of the schema of ours, for a run that has the target's lock: nobody else writes there.

All names are asked for once, after the lock was taken, so that what killed runs left is among them. From then on each
statement of the session tells what it changes. One that fails may have changed something: the catalog is asked again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CHANGES = re.compile(
    r"(?P<verb>CREATE|DROP|ALTER)( OR REPLACE)? (?P<kind>TABLE|VIEW) (IF (NOT )?EXISTS )?"
    r"`(?P<schema>[^`]+)`\.`(?P<name>[^`]+)`( AS (?P<query>.*))?",
    re.DOTALL,
)
"""How the statements begin that change which relations there are. None renames a relation of ours."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalog holds of a relation."""

    is_view: bool
    query: str = ""
    """Of a view, where it is known."""


@dataclass(slots=True)
class Known:
    schema: str
    entries: dict[str, Entry] | None = None
    """By name, in lower case. None: to be asked for."""

    def covers(self, schema: str | None) -> bool:
        return schema is not None and schema.casefold() == self.schema.casefold()

    def heard(self, sql: str) -> None:
        """A statement that was run."""
        change = self._change(sql)
        if change is None or self.entries is None:
            return
        named = change["name"].casefold()
        match change["verb"], change["kind"]:
            case "DROP", _:
                self.entries.pop(named, None)
            case _, "VIEW":
                self.entries[named] = Entry(True, change["query"] or "")
            case _:
                self.entries[named] = Entry(False)

    def failed(self, sql: str) -> None:
        """A statement that may have been run."""
        if self._change(sql) is not None:
            self.entries = None

    def _change(self, sql: str) -> re.Match[str] | None:
        found = _CHANGES.match(sql)
        return found if found is not None and self.covers(found["schema"]) else None
