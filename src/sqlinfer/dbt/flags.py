"""dbt's own flags, as given to ``sqlinfer dbt build`` → which of them each call gets, and our options out of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlinfer import numerals
from sqlinfer.dbt.known_flags import EQUAL, KNOWN, REFUSED, Flag
from sqlinfer.errors import ProjectError, UsageError, did_you_mean
from sqlinfer.jobs.options import RunOptions

_PATHS = ("path", "folder")
"""Values that are relative to where the user is; dbt itself is started in the project's folder."""


@dataclass(frozen=True, slots=True)
class DbtFlags:
    """Each part is a list of words in the order given."""

    selection: tuple[str, ...] = ()
    connection: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    compiling: tuple[str, ...] = ()
    parsing: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    """Flags of ``dbt build`` alone, such as ``--store-failures``."""

    @property
    def fail_fast(self) -> bool:
        return self.on("--fail-fast")

    def words(self) -> list[str]:
        """All of them again, without the selection: what ``retry`` repeats."""
        parts = (self.connection, self.state, self.compiling, self.parsing, self.shown, self.ours, self.rest)
        return [word for part in parts for word in part]

    def on(self, name: str) -> bool:
        """Whether a switch was given, and not taken back by its ``--no-`` form after it."""
        given = [word for word in self.words() if word in EQUAL[name]]
        return bool(given) and not given[-1].startswith("--no-")

    def said(self, name: str) -> bool:
        """Whether a switch was given in either form."""
        return bool(EQUAL[name] & set(self.words()))

    def value(self, name: str) -> str | None:
        """The last value given under any of this flag's names."""
        words = self.words()
        found = [words[index + 1] for index, word in enumerate(words[:-1]) if word in EQUAL[name]]
        return found[-1] if found else None

    def options(self, root: Path) -> RunOptions:
        folder = self.value("--profiles-dir")
        threads = self.value("--threads")
        state, defer_state = (self.value(name) for name in ("--state", "--defer-state"))
        return RunOptions(
            project_dir=root, profiles_dir=Path(folder) if folder else None, profile=self.value("--profile"),
            target=self.value("--target"), vars=self.value("--vars"), full_refresh=self.on("--full-refresh"),
            state=Path(state) if state else None, defer_state=Path(defer_state) if defer_state else None,
            defer=self.on("--defer"), favor_state=self.on("--favor-state"), empty=self.on("--empty"),
            fail_fast=self.fail_fast, threads=numerals.whole(threads) if threads else None,
            device=self.value("--device"), memory_limit=self.value("--memory-limit"),
        )  # fmt: skip


def split(words: Sequence[str]) -> DbtFlags:
    """Sort the words.

    Raises:
        UsageError: a flag that dbt does not know or that a layered build cannot honour, or a value that does not fit.
    """
    parts: dict[str, list[str]] = {name: [] for name in DbtFlags.__slots__}
    left = list(_apart(words))
    while left:
        word = left.pop(0)
        flag = _flag(word)
        values = _values(flag, word, left)
        parts[flag.part] += [word, *values]
    return DbtFlags(**{name: tuple(found) for name, found in parts.items()})


def _flag(word: str) -> Flag:
    if word in REFUSED:
        raise UsageError(f"`sqlinfer dbt build` does not take {word}", hint=REFUSED[word])
    if not word.startswith("-"):
        raise UsageError(f"Got unexpected extra argument ({word})", hint=f"to choose nodes: --select {word}")
    if word not in KNOWN:
        hint = did_you_mean(word, KNOWN) or "`dbt build --help` lists dbt's flags; ours are --device and --memory-limit"
        raise UsageError(f"No such option: {word}", hint=hint)
    return KNOWN[word]


def _values(flag: Flag, word: str, left: list[str]) -> list[str]:
    """The words that belong to a flag, taken from what is left."""
    if flag.value == "none":
        return []
    if not left or (_is_flag(left[0]) and flag.value != "one"):
        raise UsageError(f"Option '{word}' requires an argument.")
    values = [left.pop(0)]
    while flag.value == "many" and left and not _is_flag(left[0]):
        values.append(left.pop(0))
    return [_checked(flag, word, value) for value in values]


def _checked(flag: Flag, word: str, value: str) -> str:
    """Raises UsageError, with click's words, where dbt would."""
    if flag.value == "int" and not _number(value):
        raise UsageError(f"Invalid value for '{word}': '{value}' is not a valid integer.")
    if flag.choices and any(one.lower() not in flag.choices for one in value.split()):
        known = ", ".join(f"'{choice}'" for choice in flag.choices)
        raise UsageError(f"Invalid value for '{word}': '{value}' is not one of {known}.")
    if flag.value == "folder" and not Path(value).is_dir():
        raise UsageError(f"Invalid value for '{word}': Path '{value}' does not exist.")
    return str(Path(value).absolute()) if flag.value in _PATHS else value


def _apart(words: Sequence[str]) -> Iterator[str]:
    """``--flag=value`` as two words, ``-fx`` as two switches, ``-tprod`` as a flag and its value."""
    for word in words:
        flag, joined, value = word.partition("=")
        if joined and word.startswith("--"):
            yield from (flag, value)
        elif len(word) > 2 and not word.startswith("--") and word[:2] in KNOWN:
            switch = KNOWN[word[:2]].value == "none"
            yield word[:2]
            yield from _apart((f"-{word[2:]}",)) if switch else (word[2:],)
        else:
            yield word


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _number(word)


def _number(word: str) -> bool:
    return numerals.whole(word) is not None


def project_flags(root: Path) -> dict[str, Any]:
    """``flags:`` of dbt_project.yml, which say how dbt's lines look where the command line does not."""
    try:
        text = (root / "dbt_project.yml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    if not re.search(r"^flags\s*:", text, re.MULTILINE):
        return {}
    from sqlinfer.project.yamlfile import parse_yaml

    try:
        data = parse_yaml(text).data
    except ProjectError:  # said when the project is read
        return {}
    found = data.get("flags") if isinstance(data, dict) else None
    return dict(found) if isinstance(found, dict) else {}
