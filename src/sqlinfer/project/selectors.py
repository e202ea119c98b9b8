"""dbt's ``--select`` and ``--exclude``: set operators, graph operators, methods, globs."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlinfer.errors import UsageError, did_you_mean
from sqlinfer.project.graph import Graph, graph
from sqlinfer.project.selections import AllOf, AnyOf, Expression, Named, Without, Words
from sqlinfer.project.state import Comparison
from sqlinfer.project.values import DataTest, Node, Project, Source

_ATOM = re.compile(r"^(?P<at>@)?(?:(?P<up>[0-9]{0,9})\+)?(?:(?P<method>[a-z_]+(?:\.[\w.\-]+)?):)?(?P<value>.*?)"
                   r"(?:\+(?P<down>[0-9]{0,9}))?$")  # fmt: skip
Member = Node | Source | DataTest
COMPARING = ("state", "result", "source_status")
"""Methods that look at an earlier run (``project.state``)."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One word of a selection: ``2+tag:nightly+1``."""

    text: str
    method: str
    value: str
    at: bool = False
    ancestors: int | None = 0
    """0: none, None: all."""
    descendants: int | None = 0


@dataclass(frozen=True, slots=True)
class Selection:
    ids: tuple[str, ...]
    """In topological order."""
    warnings: tuple[str, ...] = ()


def select(
    project: Project,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    resource_types: Iterable[str] | None = ("model", "seed"),
) -> tuple[str, ...]:
    """The unique_ids that are chosen, in topological order; see ``resolve`` for the warnings."""
    return resolve(project, select, exclude, resource_types=resource_types).ids


def resolve(
    project: Project,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    resource_types: Iterable[str] | None = ("model", "seed"),
    selector: str | None = None,
    comparison: Comparison | None = None,
) -> Selection:
    """As ``select``, with a warning for each criterion that matches nothing.

    A test is chosen when it is named or when something that it depends on is (dbt's eager mode).

    Args:
        selector: the name of a selection in selectors.yml, instead of ``select`` and ``exclude``.
        comparison: what ``state:``, ``result:`` and ``source_status:`` look at.

    Raises:
        UsageError: a word is no selection, no such selector, or nothing to compare with.
    """
    if selector and (select or exclude):
        raise UsageError("--selector stands alone: --select and --exclude are not taken with it")
    edges = graph(project)
    warnings: list[str] = []
    members: dict[str, Member] = {**project.sources, **project.nodes, **project.tests}
    search = _Search(project, members, edges, comparison or Comparison(None, dict), warnings)
    name = selector or (None if select or exclude else project.selectors.default)
    if name:
        chosen = search.all_of(project.selectors.named(name))
    else:
        chosen = set(members) if not select else search.union(select)
    chosen |= _tests_of(chosen, project)
    dropped = search.union(exclude)
    chosen -= dropped | {key for key, test in project.tests.items() if test.node in dropped}
    types = None if resource_types is None else set(resource_types)
    ids = tuple(key for key in edges.order if key in chosen and (types is None or _type(members[key]) in types))
    return Selection(ids, tuple(warnings))


def _type(member: Member) -> str:
    if isinstance(member, Node):
        return member.resource_type
    return "source" if isinstance(member, Source) else "test"


def _tests_of(chosen: set[str], project: Project) -> set[str]:
    return {key for key, test in project.tests.items() if chosen.intersection((*test.depends_on, test.node or ""))}


@dataclass(frozen=True, slots=True)
class _Search:
    """One selection while it is worked out."""

    project: Project
    members: Mapping[str, Member]
    edges: Graph
    comparison: Comparison
    warnings: list[str]

    def union(self, words: Sequence[str]) -> set[str]:
        """Space is union, comma is intersection."""
        chosen: set[str] = set()
        for word in (part for text in words for part in text.split()):
            chosen |= set.intersection(*(self._reached(_parse(atom)) for atom in word.split(",")))
        return chosen

    def all_of(self, wanted: Expression) -> set[str]:
        """What a definition of selectors.yml chooses. A part that many definitions name is worked out once."""
        done: dict[int, set[str]] = {}
        waiting = [wanted]
        while waiting:
            missing = [part for part in self.project.selectors.parts_of(waiting[-1]) if id(part) not in done]
            if missing:
                waiting += missing
            elif id(now := waiting.pop()) not in done:
                done[id(now)] = self._combined(now, done)
        return set(done[id(wanted)])

    def _combined(self, wanted: Expression, done: Mapping[int, set[str]]) -> set[str]:
        parts = [done[id(part)] for part in self.project.selectors.parts_of(wanted)]
        match wanted:
            case Words(text):
                return self.union([text])
            case AnyOf() | Named():
                return set().union(*parts)
            case AllOf():
                return set.intersection(*parts)
            case Without():
                chosen, gone = parts
                return chosen - gone - {k for k, t in self.project.tests.items() if t.node in gone}

    def _reached(self, one: Criterion) -> set[str]:
        found = self._found(one)
        if not found:
            self.warnings.append(_nothing(one, self.project))
        reached, edges = set(found), self.edges
        if one.at:
            below = found | edges.descendants(found)
            reached |= below | edges.ancestors(below)
        if one.ancestors != 0:
            reached |= edges.ancestors(found, one.ancestors)
        if one.descendants != 0:
            reached |= edges.descendants(found, one.descendants)
        return reached

    def _found(self, one: Criterion) -> set[str]:
        if one.method in COMPARING:
            return self.comparison.matching(one.method, one.value, self.members)
        return {key for key, member in self.members.items() if _matches(one, member, self.project)}


def _parse(text: str) -> Criterion:
    match = _ATOM.match(text)
    if match is None or not match["value"]:
        raise UsageError(
            f"'{text}' is not a selection", hint="for example churn_scores+, tag:nightly, path:models/marts"
        )
    if match["at"] and (match["up"] is not None or match["down"] is not None):
        raise UsageError(f"'{text}': '@' cannot be combined with '+'")
    method, value = match["method"], match["value"]
    if method is None:
        method = "path" if "/" in value else "file" if value.endswith((".sql", ".csv")) else "fqn"
    if method.partition(".")[0] not in METHODS and method not in COMPARING:
        known = (*METHODS, *COMPARING)
        hint = did_you_mean(method, known) or f"one of {', '.join(known)}"
        raise UsageError(f"unknown selection method '{method}:'", hint=hint)
    return Criterion(text, method, value, bool(match["at"]), _depth(match["up"]), _depth(match["down"]))


def _depth(digits: str | None) -> int | None:
    return 0 if digits is None else int(digits) if digits else None


def _nothing(one: Criterion, project: Project) -> str:
    message = f"the selection '{one.text}' does not match any enabled nodes"
    known: Iterable[str] = {
        "fqn": [node.name for node in project.nodes.values()],
        "tag": [tag for node in project.nodes.values() for tag in node.tags],
        "function": project.functions,
        "test_name": [test.kind for test in project.tests.values()],
    }.get(one.method, ())
    hint = did_you_mean(one.value, known)
    return f"{message}: {hint}" if hint and hint.startswith("did you mean") else message


def _matches(one: Criterion, member: Member, project: Project) -> bool:
    name, _, rest = one.method.partition(".")
    return METHODS[name](one.value, rest, member, project)


def _glob(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern)


def _by_fqn(value: str, rest: str, member: Member, project: Project) -> bool:
    if isinstance(member, DataTest):
        return _glob(member.name, value)
    if isinstance(member, Source):
        return False
    parts, wanted = member.fqn, value.split(".")
    if _glob(member.name, value):
        return True
    for start in (parts, parts[1:]):
        if len(wanted) <= len(start) and all(_glob(p, w) for p, w in zip(start, wanted, strict=False)):
            return True
    return False


def _by_tag(value: str, rest: str, member: Member, project: Project) -> bool:
    return any(_glob(tag, value) for tag in member.tags)


def _path_of(member: Member, project: Project) -> str | None:
    path = member.path if isinstance(member, Node) else member.location.path if member.location else None
    if path is None:
        return None
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.as_posix()


def _by_path(value: str, rest: str, member: Member, project: Project) -> bool:
    path, wanted = _path_of(member, project), value.removeprefix("./").rstrip("/")
    if path is None or (isinstance(member, DataTest) and member.kind != "singular"):
        return False
    return path == wanted or path.startswith(wanted + "/") or _glob(path, wanted)


def _by_file(value: str, rest: str, member: Member, project: Project) -> bool:
    if not isinstance(member, Node):
        return False
    return _glob(member.path.name, value) or _glob(member.path.stem, value)


def _by_function(value: str, rest: str, member: Member, project: Project) -> bool:
    return isinstance(member, Node) and any(_glob(name, value) for name in member.functions)


def _by_resource_type(value: str, rest: str, member: Member, project: Project) -> bool:
    return _type(member) == value


def _by_source(value: str, rest: str, member: Member, project: Project) -> bool:
    if not isinstance(member, Source):
        return False
    parts = value.split(".")
    names = [member.source_name, member.name]
    if len(parts) == 3 and parts[0] == project.name:
        parts = parts[1:]
    return len(parts) <= 2 and all(_glob(name, part) for name, part in zip(names, parts, strict=False))


def _by_package(value: str, rest: str, member: Member, project: Project) -> bool:
    return value == "this" or _glob(project.name, value)


def _by_test_name(value: str, rest: str, member: Member, project: Project) -> bool:
    return isinstance(member, DataTest) and _glob(member.kind, value)


def _by_test_type(value: str, rest: str, member: Member, project: Project) -> bool:
    return isinstance(member, DataTest) and value == ("singular" if member.kind == "singular" else "generic")


def _by_config(value: str, rest: str, member: Member, project: Project) -> bool:
    if isinstance(member, Source) or not rest:
        return False
    current: Any = member.config
    for part in rest.split("."):
        current = current.get(part) if isinstance(current, Mapping) else getattr(current, part, None)
    if isinstance(current, tuple | list):
        return value in [str(item) for item in current]
    return str(current).lower() == value.lower() if isinstance(current, bool) else str(current) == value


METHODS: Mapping[str, Callable[[str, str, Member, Project], bool]] = {
    "fqn": _by_fqn,
    "tag": _by_tag,
    "path": _by_path,
    "file": _by_file,
    "function": _by_function,
    "resource_type": _by_resource_type,
    "source": _by_source,
    "package": _by_package,
    "test_name": _by_test_name,
    "test_type": _by_test_type,
    "config": _by_config,
}
