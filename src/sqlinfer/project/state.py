"""The artifacts of an earlier run → State: what ``state:``, ``result:``, ``source_status:`` and ``--defer`` look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlinfer.errors import UsageError, did_you_mean
from sqlinfer.files import parse_json, read_plain
from sqlinfer.project.aspects import ASPECTS, Aspects
from sqlinfer.project.journal import with_journal
from sqlinfer.relation import Relation

_WORDS = ("new", "old", "modified", "unmodified", *(f"modified.{name}" for name in ASPECTS))
_STATUSES = ("success", "error", "skipped", "fail", "warn", "pass", "partial success")
_HINT = "give the folder with --state PATH, for example --state prod/target"


@dataclass(frozen=True, slots=True)
class State:
    folder: Path
    aspects: Mapping[str, Aspects]
    relations: Mapping[str, Relation]
    """Of models and seeds that are tables or views."""
    ours: bool
    """Whether sqlinfer wrote it; a manifest of dbt's tells relations only."""


@dataclass(slots=True)
class Comparison:
    """Today's project beside an earlier state; both are looked at when a selector first asks."""

    folder: Path | None
    today: Callable[[], Mapping[str, Aspects]]
    target: Path | None = None
    """Where today's sources.json is, for ``source_status:fresher``."""
    _state: State | None = field(default=None, init=False)
    _aspects: Mapping[str, Aspects] | None = field(default=None, init=False)

    def matching(self, method: str, value: str, members: Mapping[str, Any]) -> set[str]:
        """The unique_ids that ``state:…``, ``result:…`` or ``source_status:…`` means.

        Raises:
            UsageError: no folder was given, it holds no such file, or the word is unknown.
        """
        if self.folder is None:
            raise UsageError(f"'{method}:{value}' compares with an earlier run", hint=_HINT)
        if method == "result":
            return {key for key, status in self._results(value).items() if status == value} & members.keys()
        if method == "source_status":
            return self._sources(value) & members.keys()
        return {key for key in members if self._is(value, key)}

    def _is(self, word: str, key: str) -> bool:
        if word not in _WORDS:
            raise UsageError(f"unknown state '{word}'", hint=did_you_mean(word, _WORDS))
        if self._state is None:
            self._state, self._aspects = read_state(self.folder or Path()), self.today()
            if not self._state.ours:
                raise UsageError(
                    f"{self._state.folder}/manifest.json was not written by sqlinfer",
                    hint="in a dbt project: `sqlinfer dbt build --select state:modified --state PATH`",
                )
        assert self._aspects is not None
        before, now = self._state.aspects.get(key), self._aspects.get(key, {})
        if word in ("new", "old"):
            return (before is None) == (word == "new")
        part = word.partition(".")[2]
        changed = before is None or any(before.get(a) != now.get(a) for a in ((part,) if part else ASPECTS))
        return changed == word.startswith("modified")

    def _results(self, status: str) -> dict[str, str]:
        if status not in _STATUSES:
            raise UsageError(f"unknown status '{status}'", hint=did_you_mean(status, _STATUSES))
        return _statuses(with_journal(self._read("run_results.json"), self.folder or Path(), read_plain))

    def _sources(self, status: str) -> set[str]:
        known = ("fresher", "pass", "warn", "error", "runtime error")
        if status not in known:
            raise UsageError(f"unknown source status '{status}'", hint=did_you_mean(status, known))
        now = _json(self.target or Path(), "sources.json", "run `sqlinfer source freshness` first")
        if status != "fresher":
            return {key for key, found in _statuses(now).items() if found == status}
        before = {one["unique_id"]: one.get("max_loaded_at") for one in _results(self._read("sources.json"))}
        return {
            str(one["unique_id"])
            for one in _results(now)
            if str(one.get("max_loaded_at") or "") > str(before.get(one["unique_id"]) or "")
        }

    def _read(self, name: str) -> dict[str, Any]:
        return _json(self.folder or Path(), name, _HINT)


def _statuses(content: Mapping[str, Any]) -> dict[str, str]:
    return {str(one["unique_id"]): str(one.get("status")) for one in _results(content)}


def _results(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those that name a node; others are of no use here."""
    return [one for one in content["results"] if isinstance(one, dict) and isinstance(one.get("unique_id"), str)]


def read_state(folder: Path) -> State:
    """Raises UsageError where the folder holds no manifest.json that can be read."""
    content = _json(folder, "manifest.json", _HINT)
    nodes = {key: node for one in ("nodes", "sources") for key, node in _mapping(content.get(one)).items()
             if isinstance(node, dict)}  # fmt: skip
    return State(
        folder,
        {key: _mapping(_mapping(node.get("sqlinfer")).get("aspects")) for key, node in nodes.items()},
        {key: found for key, node in nodes.items() if (found := _relation(node)) is not None},
        _mapping(content.get("metadata")).get("generated_by") == "sqlinfer",
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    """Empty for what is none: a file that another program wrote may hold anything."""
    return value if isinstance(value, dict) else {}


def _relation(node: Mapping[str, Any]) -> Relation | None:
    """None where nothing is stored, or its name is none."""
    stored = _mapping(node.get("config")).get("materialized") not in ("ephemeral", "external")
    if node.get("resource_type") not in ("model", "seed", "snapshot") or not stored:
        return None
    name, schema, database = node.get("alias") or node.get("name"), node.get("schema"), node.get("database")
    if not isinstance(name, str) or not all(one is None or isinstance(one, str) for one in (schema, database)):
        return None
    return Relation(name, schema, database)


def _json(folder: Path, name: str, hint: str) -> dict[str, Any]:
    path = folder / name
    try:
        content = parse_json(read_plain(path))
    except FileNotFoundError:
        raise UsageError(f"there is no {name} in {folder}", hint=hint) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read", hint=hint) from error
    whole = isinstance(content, dict) and isinstance(content.get("nodes" if name == "manifest.json" else "results"),
                                                     dict if name == "manifest.json" else list)  # fmt: skip
    if not whole:
        raise UsageError(f"{path} is not a {name}", hint=hint)
    return dict(content)
