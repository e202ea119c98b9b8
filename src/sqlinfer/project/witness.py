"""What the outcome of a piece of work depended on: files, folders, variables of the environment, macros.

``watching()`` records what is told to ``seen()``. ``holds`` asks the same questions again, so that an outcome that was
kept is used only where every answer is the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlinfer.project.secret import is_secret


@dataclass(slots=True)
class Witness:
    probes: dict[tuple[str, str], str] = field(default_factory=dict)
    """Kind of question and path → answer."""
    env: dict[str, str | None] = field(default_factory=dict)
    macros: set[str] = field(default_factory=set)
    """Paths of the files whose macros were called."""
    fleeting: bool = False
    """The outcome depends on more than can be asked again: the clock, a secret."""
    profile: str | None = None
    """The name of the profile."""
    keeps_profile: bool = False
    """Whether it holds no secret, so that it may be written down."""

    def probe(self, kind: str, path: Path) -> None:
        key = (kind, str(path))
        if key not in self.probes:
            self.probes[key] = PROBES[kind](str(path))

    def read(self, path: Path, content: bytes) -> None:
        self.probes["file", str(path)] = hashlib.sha256(content).hexdigest()

    def asked(self, name: str, value: str | None) -> None:
        if is_secret(name):
            self.fleeting = True
        else:
            self.env[name] = _hashed(value)

    def take_profile(self, other: Witness, name: str | None) -> None:
        self.profile, self.keeps_profile = name, not other.fleeting
        if self.keeps_profile:
            self.probes |= other.probes
            self.env |= other.env

    def as_json(self) -> dict[str, Any]:
        probes = [[kind, path, answer] for (kind, path), answer in self.probes.items()]
        return {"probes": probes, "env": self.env}


_WATCHING: ContextVar[tuple[Witness, ...]] = ContextVar("watching", default=())


@contextmanager
def watching(*, apart: bool = False) -> Iterator[Witness]:
    """What is seen inside; those outside of it see it too, unless it is kept apart."""
    witness = Witness()
    token = _WATCHING.set((*(() if apart else _WATCHING.get()), witness))
    try:
        yield witness
    finally:
        _WATCHING.reset(token)


def seen() -> tuple[Witness, ...]:
    return _WATCHING.get()


def holds(found: Mapping[str, Any], env: Mapping[str, str]) -> bool:
    """Whether all that ``as_json`` tells is still so."""
    if not all(is_so(env.get(name), told) for name, told in found["env"].items()):
        return False
    return all(PROBES[kind](path) == answer for kind, path, answer in found["probes"])


def _hashed(value: str | None) -> str | None:
    """No value of the environment is written down."""
    return None if value is None else hashlib.sha256(value.encode(errors="surrogateescape")).hexdigest()


def is_so(value: str | None, told: str | None) -> bool:
    """Whether a variable of the environment is what it was."""
    return _hashed(value) == told


def _file(path: str) -> str:
    """What is in it; ``none`` where it is no file."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return "none"


def _tree(path: str) -> str:
    """The names of all that lies below a folder; where links lead."""
    names: list[str] = []
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        real = os.path.realpath(entry.path)
                        names.append(f"{entry.path}\0{real}\0{os.path.isfile(real)}\0{os.path.isdir(real)}")
                    elif entry.is_dir():
                        names.append(entry.path + "/")
                        waiting.append(entry.path)
                    else:
                        names.append(entry.path if entry.is_file() else f"{entry.path}\0special")
        except OSError as error:
            names.append(f"{folder}\0{error.errno}")
    return hashlib.sha256("\n".join(sorted(names)).encode(errors="surrogateescape")).hexdigest()


def _link(path: str) -> str:
    """Where a path leads, and what its folder holds leads to."""
    found = [os.path.realpath(path)]
    if os.path.isdir(path):
        with os.scandir(path) as entries:
            found += sorted(os.path.realpath(one.path) for one in entries if one.is_symlink())
    return hashlib.sha256("\n".join(found).encode(errors="surrogateescape")).hexdigest()


PROBES: dict[str, Callable[[str], str]] = {"file": _file, "tree": _tree, "link": _link}
