"""Plans of an earlier compilation, each used as long as everything that it was made of is as it was.

``Plans.recall`` gives the compiled node that ``Plans.keep`` was given for the same text, configuration, variables,
macros, relations, columns and contracts. What rests on more than can be asked again is not kept: the clock, rows,
files, macros and secrets of the warehouse. The file is sealed (``sealed``) and lies below the target folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlinfer import scrub, sealed
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import SqlinferError
from sqlinfer.project import Node, Project
from sqlinfer.project.secret import public
from sqlinfer.project.values import Profile
from sqlinfer.project.witness import Witness, is_so
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plain import Coder, NotPlain

ANEW = " anew"
"""A lookup plans the whole table, a night its slice: one does not push the other out."""
_WORDS = re.compile(r'"(?:[^"]|"")*"|\w+')
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/""", re.S)
_FILE = re.compile(r"""^'.*(?:/|\.[A-Za-z])|^".*[./]""", re.S)
_ASKING = re.compile(
    r"(?:\b(?:read_\w+|parquet_\w+|\w+_scan|\w+_metadata|glob|sniff_\w+|st_read\w*|query|query_table|getenv|columns"
    r"|duckdb_\w+|pragma_\w+|which_secret|current_setting|getvariable)\s*\()|\b(?:un)?pivot|\$\$|://",
    re.I,
)


def asks_more(sql: str) -> bool:
    """Whether the columns of a query may rest on files, rows, or the state of a session."""
    if any(_FILE.match(text) for text in _QUOTED.findall(sql)):
        return True
    return _ASKING.search(_QUOTED.sub(" ", sql)) is not None


def words_of(sql: str) -> set[str]:
    """The names that a text may hold, folded; quoted ones without their quotes."""
    words = {word.casefold() for word in _WORDS.findall(sql)}
    return words | {word[1:-1].replace('""', '"') for word in words if word.startswith('"')}


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=repr).encode(errors="replace")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Text:
    """A rendered query, by what it names."""

    refs: list[str]
    sources: list[str]
    words: list[str]
    functions: list[str]
    """Those whose contracts planning has looked at."""


Reads = Callable[[Text], "list[object] | None"]


class Watched(Mapping[str, FunctionContract]):
    """Contracts by name; tells which were looked at."""

    def __init__(self, inner: Mapping[str, FunctionContract]) -> None:
        self._inner = inner
        self._opened: set[str] = set()

    @contextmanager
    def watching(self, opened: set[str]) -> Iterator[None]:
        """``opened``: filled with the names that are looked at inside."""
        outer, self._opened = self._opened, opened
        try:
            yield
        finally:
            self._opened = outer
            outer |= opened

    def __getitem__(self, name: str) -> FunctionContract:
        self._opened.add(name)
        return self._inner[name]

    def __contains__(self, name: object) -> bool:
        return name in self._inner

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)


@dataclass(slots=True)
class Plans:
    """Of one target of one project. Without a key everything is new each time."""

    project: Project
    base: Path
    path: Path
    key: bytes | None
    always: str = ""
    """A digest of what counts for all nodes."""
    _nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _coder: Coder = field(default_factory=Coder)
    _changed: bool = False
    _macros: dict[str, str] = field(default_factory=dict)
    _env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def opened(cls, project: Project, key: bytes | None, name: str, always: object) -> Plans:
        base = project.target_path
        path = base / "cache" / f"plans-{name}.json"
        plans = cls(project, base, path, key, digest(always), _env=public(project.env))
        if key is not None and not path.parent.is_symlink():
            found = sealed.read(path, key)
            plans._nodes = found["nodes"] if found else {}
            plans._macros = {str(one.path): digest(one.source) for one in (*project.macros, *project.hook_macros)}
        return plans

    def recall(self, name: str, made_of: Mapping[str, object], reads: Reads) -> CompiledNode | None:
        """``name``: of the node, with ``ANEW`` behind it where its table is planned as a full refresh makes it;
        ``made_of``: what is known before rendering; ``reads``: what a text reads, as it is now."""
        entry = self._nodes.get(name)
        if entry is None or entry["made_of"] != self._made_of(made_of):
            return None
        if not all(is_so(self._env.get(name), told) for name, told in entry["env"].items()):
            return None
        if any(self._macros.get(path) != told for path, told in entry["macros"].items()):
            return None
        with suppress(SqlinferError, NotPlain):  # what is wrong is said where it is compiled
            now = reads(Text(*entry["text"]))
            if now is not None and digest(now) == entry["reads"]:
                found: CompiledNode = self._coder.decode(CompiledNode, entry["compiled"])
                return found
        return None

    def keep(
        self, name: str, made_of: Mapping[str, object], reads: Reads, compiled: CompiledNode, witness: Witness,
        functions: Collection[str],
    ) -> None:  # fmt: skip
        """``functions``: those whose contracts were looked at."""
        if self.key is not None and not witness.fleeting and not asks_more(compiled.rendered.sql):
            entry = self._entry(made_of, reads, compiled, witness, functions)
            if entry is not None:
                self._changed = True
                self._nodes[name] = entry
                return
        self._changed = self._nodes.pop(name, None) is not None or self._changed

    def _entry(
        self, made_of: Mapping[str, object], reads: Reads, compiled: CompiledNode, witness: Witness,
        functions: Collection[str],
    ) -> dict[str, Any] | None:  # fmt: skip
        rendered = compiled.rendered
        text = Text(list(rendered.refs), list(rendered.sources), sorted(words_of(rendered.sql)), sorted(functions))
        now = reads(text)
        try:
            told = self._coder.encode(CompiledNode, replace(compiled, rendered=replace(rendered, segments=())))
        except NotPlain:
            return None
        spelled = json.dumps(told)
        if now is None or scrub.scrub(spelled) != spelled:
            return None
        return {
            "made_of": self._made_of(made_of), "env": witness.env, "reads": digest(now), "compiled": told,
            "macros": {path: self._macros.get(path, "") for path in witness.macros},
            "text": [text.refs, text.sources, text.words, text.functions],
        }  # fmt: skip

    def named(self, node: str, sql: str, find: Any) -> tuple[str, ...]:
        """The relations that a plain query names, by ``find``; asked once for each text."""
        entry = self._nodes.get(node)
        if entry is None:
            return tuple(find(sql))
        known = entry.get("named")
        if known is None or known[0] != digest(sql):
            known = entry["named"] = [digest(sql), list(find(sql))]
            self._changed = True
        return tuple(known[1])

    def close(self) -> None:
        """Write what is new."""
        if self._changed and self.key is not None and not self.path.parent.is_symlink():
            nodes = {uid: entry for uid, entry in self._nodes.items() if uid.removesuffix(ANEW) in self.project.nodes}
            sealed.write(self.base, self.path, {"nodes": nodes}, self.key)
            self._changed = False

    def _made_of(self, made_of: Mapping[str, object]) -> str:
        return digest([self.always, made_of])


def facts(profile: Profile, key: bytes) -> str:
    """Everything that a profile says; nobody finds a password by it who does not have the key."""
    told = json.dumps([profile.name, profile.target, profile.type, profile.threads, dict(profile.config)], default=repr)
    return hashlib.sha256(key + told.encode(errors="replace")).hexdigest()


def told_of(node: Node) -> list[str]:
    """All of a node that its rendered SQL and its plan may rest on."""
    places = [str(node.path), str(node.compiled_path), node.unique_id, node.description]
    parts = (node.relation, node.config, node.tags, node.fqn, node.depends_on, node.asks_incremental, node.compiled)
    return [*places, node.raw_sql, *map(repr, parts)]


def place_of(node: Node) -> list[str | None]:
    """What ``ref`` to the node renders to."""
    return [repr(node.relation), node.config.materialized, node.config.location]


def columns_of(tables: Iterable[Any]) -> list[Any]:
    return [
        [repr(one.relation), one.kind, [[column.name, column.data_type] for column in one.columns]] for one in tables
    ]
