"""The flags of ``dbt build``, 1.8 to 1.11, as a table: their names, what value they take, and which calls get them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Part = Literal["selection", "connection", "state", "compiling", "parsing", "shown", "ours", "rest"]
Value = Literal["none", "one", "many", "int", "path", "folder", "choice"]


@dataclass(frozen=True, slots=True)
class Flag:
    name: str
    """The first of its names."""
    part: Part
    value: Value = "none"
    choices: tuple[str, ...] = ()


_TYPES = (
    "metric", "semantic_model", "saved_query", "source", "analysis", "function", "model", "test", "unit_test",
    "exposure", "snapshot", "seed", "default", "all",
)  # fmt: skip
_FORMATS = ("text", "debug", "json", "default")
_LEVELS = ("debug", "info", "warn", "error", "none")

_TABLE: tuple[tuple[str, Part, Value, tuple[str, ...]], ...] = (
    # What is chosen: `dbt ls` alone gets these, the layers name their members one by one.
    ("--select -s --models --model -m", "selection", "many", ()),
    ("--exclude", "selection", "many", ()),
    ("--selector", "selection", "one", ()),
    ("--resource-type --resource-types", "selection", "many", _TYPES),
    ("--exclude-resource-type --exclude-resource-types", "selection", "many", _TYPES),
    ("--indirect-selection", "selection", "choice", ("eager", "cautious", "buildable", "empty")),
    # Every call.
    ("--project-dir", "connection", "folder", ()),
    ("--profiles-dir", "connection", "folder", ()),
    ("--profile", "connection", "one", ()),
    ("--target -t", "connection", "one", ()),
    ("--vars", "connection", "one", ()),
    # Every call, and no business of ours: how dbt parses, caches, and writes its log file.
    *((f"--{name} --no-{name}", "parsing", "none", ()) for name in (
        "cache-selected-only", "log-cache-events", "macro-debugging", "partial-parse", "partial-parse-file-diff",
        "populate-cache", "send-anonymous-usage-stats", "single-threaded", "static-parser", "use-colors-file",
        "use-experimental-parser", "use-fast-test-edges", "version-check",
    )),
    ("--warn-error", "parsing", "none", ()),
    ("--warn-error-options", "parsing", "one", ()),
    ("--show-all-deprecations --no-show-all-deprecations", "parsing", "none", ()),
    ("--partial-parse-file-path", "parsing", "path", ()),
    ("--log-path", "parsing", "path", ()),
    ("--log-level-file", "parsing", "choice", _LEVELS),
    ("--log-format-file", "parsing", "choice", _FORMATS),
    ("--log-file-max-bytes", "parsing", "int", ()),
    # What state is compared with: `dbt ls`, and all that compiles.
    ("--state", "state", "path", ()),
    ("--defer-state", "state", "path", ()),
    ("--defer --no-defer", "compiling", "none", ()),
    ("--favor-state --no-favor-state", "compiling", "none", ()),
    ("--full-refresh -f", "compiling", "none", ()),
    ("--empty --no-empty", "compiling", "none", ()),
    ("--threads", "compiling", "int", ()),
    ("--sqlparse", "compiling", "one", ()),
    # What is shown: the layers of dbt, and our own lines.
    ("--quiet -q --no-quiet", "shown", "none", ()),
    ("--debug -d --no-debug", "shown", "none", ()),
    ("--log-level", "shown", "choice", _LEVELS),
    ("--log-format", "shown", "choice", _FORMATS),
    ("--use-colors --no-use-colors", "shown", "none", ()),
    ("--print --no-print", "shown", "none", ()),
    ("--printer-width", "shown", "int", ()),
    ("--show", "shown", "none", ()),
    # `dbt build` alone.
    ("--fail-fast -x --no-fail-fast", "rest", "none", ()),
    ("--store-failures", "rest", "none", ()),
    ("--sample", "rest", "one", ()),
    ("--event-time-start", "rest", "one", ()),
    ("--event-time-end", "rest", "one", ()),
    ("--export-saved-queries --no-export-saved-queries", "rest", "none", ()),
    ("--include-saved-query --no-include-saved-query", "rest", "none", ()),
    ("--write-json --no-write-json", "rest", "none", ()),
    ("--record-timing-info -r", "rest", "path", ()),
    ("--device", "ours", "one", ()),
    ("--memory-limit", "ours", "one", ()),
)  # fmt: skip

REFUSED: Mapping[str, str] = {
    "--target-path": "the target folder is that of dbt_project.yml, or of DBT_TARGET_PATH",
    "--inline": "`sqlinfer dbt preview` shows a prediction node",
    "--no-write-json": "run_results.json is what the layers tell each other by",
}
"""Flags that cannot be honoured, and why or what to do instead."""


def _read() -> Iterator[tuple[str, Flag]]:
    for names, part, value, choices in _TABLE:
        first, *others = names.split()
        flag = Flag(first, part, value, choices)
        yield from ((name, flag) for name in (first, *others))


KNOWN: Mapping[str, Flag] = dict(_read())
"""Each spelling → the flag."""
EQUAL: Mapping[str, frozenset[str]] = {
    name: frozenset(other for other, one in KNOWN.items() if one is flag) for name, flag in KNOWN.items()
}
