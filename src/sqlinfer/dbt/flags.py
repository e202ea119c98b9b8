"""dbt's own flags, as given to ``sqlinfer dbt build`` → which of them each child gets, and our options out of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlinfer import numerals
from sqlinfer.errors import UsageError
from sqlinfer.jobs.options import RunOptions

SELECTION = (
    "--select", "-s", "--models", "--model", "-m", "--exclude", "--selector", "--resource-type", "--resource-types",
    "--exclude-resource-type", "--exclude-resource-types", "--indirect-selection",
)  # fmt: skip
CONNECTION = ("--project-dir", "--profiles-dir", "--profile", "--target", "-t", "--vars")
STATE = ("--state", "--defer-state")
COMPILING = ("--full-refresh", "-f", "--defer", "--no-defer", "--favor-state", "--no-favor-state", "--threads")
PATHS = ("--project-dir", "--profiles-dir", "--state", "--defer-state", "--log-path")
"""Their values are relative to where the user is; dbt itself is started in the project's folder."""
OURS = ("--device", "--memory-limit")
REFUSED = ("--target-path", "--empty", "--sample", "--inline")
"""Flags that would change what a layer is."""


@dataclass(frozen=True, slots=True)
class DbtFlags:
    """Each part is a list of words in the order given."""

    selection: tuple[str, ...] = ()
    connection: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    compiling: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    """Flags of ``dbt build`` alone, such as ``--store-failures``."""

    @property
    def fail_fast(self) -> bool:
        return bool({"--fail-fast", "-x"} & set(self.rest))

    @property
    def full_refresh(self) -> bool:
        return bool({"--full-refresh", "-f"} & set(self.compiling))

    def value(self, *names: str) -> str | None:
        """The last value given under any of these names."""
        words = (*self.connection, *self.compiling, *self.ours)
        found = [words[index + 1] for index, word in enumerate(words[:-1]) if word in names]
        return found[-1] if found else None

    def options(self, root: Path) -> RunOptions:
        folder = self.value("--profiles-dir")
        threads = self.value("--threads")
        return RunOptions(
            project_dir=root, profiles_dir=Path(folder) if folder else None, profile=self.value("--profile"),
            target=self.value("--target", "-t"), vars=self.value("--vars"), full_refresh=self.full_refresh,
            fail_fast=self.fail_fast, threads=numerals.whole(threads) if threads else None,
            device=self.value("--device"), memory_limit=self.value("--memory-limit"),
        )  # fmt: skip

    def words(self) -> list[str]:
        """All of them again, without the selection: what ``retry`` repeats."""
        return [*self.connection, *self.state, *self.compiling, *self.ours, *self.rest]


def split(words: Sequence[str]) -> DbtFlags:
    """Sort the words. Raises UsageError for a flag that a layered build cannot honour."""
    names = ("selection", "connection", "state", "compiling", "ours", "rest")
    parts: dict[str, list[str]] = {name: [] for name in names}
    current, last = parts["rest"], ""
    for word in _apart(words):
        if word.startswith("-") and not _number(word):
            if word in REFUSED:
                raise UsageError(f"`sqlinfer dbt build` does not take {word}")
            current, last = parts[_part(word)], word
            current.append(word)
        else:
            current.append(str(Path(word).absolute()) if last in PATHS else word)
    return DbtFlags(**{name: tuple(found) for name, found in parts.items()})


def _apart(words: Sequence[str]) -> Iterator[str]:
    """``--flag=value`` as two words."""
    for word in words:
        flag, joined, value = word.partition("=")
        yield from (flag, value) if joined and word.startswith("--") else (word,)


def _number(word: str) -> bool:
    return numerals.decimal(word) is not None


def _part(flag: str) -> str:
    for name, known in (("selection", SELECTION), ("connection", CONNECTION), ("state", STATE),
                        ("compiling", COMPILING), ("ours", OURS)):  # fmt: skip
        if flag in known:
            return name
    return "rest"
