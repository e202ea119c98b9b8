"""``sqlinfer dbt build``: the user's dbt for the SQL layers, sqlinfer for the predictions between, one result."""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from sqlinfer import __version__
from sqlinfer.dbt import executor, layers
from sqlinfer.dbt.command import Dbt, find_dbt
from sqlinfer.dbt.deferring import Deferral
from sqlinfer.dbt.flags import DbtFlags, split
from sqlinfer.dbt.home import DbtHome, read_home
from sqlinfer.dbt.layers import Layer, LayerPlan
from sqlinfer.dbt.manifest import Manifest, read_manifest, without
from sqlinfer.dbt.said import Said
from sqlinfer.dbt.tests import stored_by_flag
from sqlinfer.errors import Cancelled, SqlinferError, UsageError
from sqlinfer.files import parse_json, read_plain
from sqlinfer.inference.preload import preload
from sqlinfer.jobs.events import Event
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import DataTest, Project
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.results import SCHEMA, write_json
from sqlinfer.shown import counted
from sqlinfer.spec.results import NodeResult, iso

Listener = Callable[[Event], None]


class Say(Protocol):
    """Shows a line."""

    def __call__(self, text: str, *, level: str = "info") -> None: ...


GENERATOR = "sqlinfer dbt build"
GOOD = ("success", "pass", "warn", "no-op")
BUILT_TYPES = ("model", "seed", "snapshot", "test", "unit_test", "function")


@dataclass(slots=True)
class Mixed:
    """A mixed build while it runs: results as dbt writes them, by unique_id."""

    home: DbtHome
    flags: DbtFlags
    options: RunOptions
    dbt: Dbt
    manifest: Manifest
    plan: LayerPlan
    say: Say
    on_event: Listener = field(default=lambda _: None)
    claim: Any = None
    """The target, which is ours until the build ends."""
    whole: bool = False
    """No prediction is selected: dbt builds the user's own selection in one call."""
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = field(default_factory=time.monotonic)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed_dbt: int = 0
    """The exit code of a dbt that failed as a whole."""

    @property
    def folder(self) -> Path:
        return self.home.private / "dbt"

    @property
    def broken(self) -> list[str]:
        return [key for key, result in self.results.items() if result["status"] not in GOOD]

    @property
    def stopped(self) -> bool:
        return bool(self.failed_dbt) or self.dbt.cancel.is_set() or (self.flags.fail_fast and bool(self.broken))

    @property
    def exit_code(self) -> int:
        if self.failed_dbt and not self.dbt.cancel.is_set():
            return self.failed_dbt
        return 1 if self.broken or self.dbt.cancel.is_set() or self.missing() else 0

    def missing(self) -> list[str]:
        return [key for key in self.plan.ids if key not in self.results]

    def counts(self) -> dict[str, int]:
        """As in dbt's last line."""
        names = {"success": "PASS", "pass": "PASS", "warn": "WARN", "skipped": "SKIP", "no-op": "NO-OP"}
        found = dict.fromkeys(("PASS", "WARN", "ERROR", "SKIP", "NO-OP"), 0)
        for result in self.results.values():
            found[names.get(result["status"], "ERROR")] += 1
        return {**found, "TOTAL": len(self.results)}


def build(
    words: Sequence[str],
    root: Path,
    *,
    on_event: Listener,
    cancel: threading.Event,
    say: Say,
    only: Iterable[str] | None = None,
) -> Mixed:
    """Build the selected part of a dbt project.

    Args:
        words: dbt's own flags, as they stand on the command line, and ``--device``.
        only: unique_ids to build instead of a selection (``retry``).

    Raises:
        UsageError: no dbt, or a flag that cannot be honoured. RunError: dbt could not list the project.
        StoreError: another run holds the target. Cancelled: interrupted before anything was built.
    """
    flags = split(words)
    options = flags.options(root)
    home = read_home(root, options.vars, os.environ)
    program = Dbt(find_dbt(os.environ), home.root, (*_connection(flags, home.root), *flags.parsing), cancel)
    with executor.claimed(home, options) as claim, program.opened(home.private / "dbt") as dbt:
        mixed = _planned(flags, options, home, dbt, only, say)
        return _work(replace(mixed, on_event=on_event, claim=claim))


def _planned(flags: DbtFlags, options: RunOptions, home: DbtHome, dbt: Dbt, only: Iterable[str] | None,
             say: Say) -> Mixed:  # fmt: skip
    folder = home.private / "dbt"
    listed = dbt.ask("ls", *flags.selection, *flags.state, "--output", "json", "--output-keys", "unique_id",
                     "resource_type", target_path=folder)  # fmt: skip
    manifest = read_manifest(folder / "manifest.json")
    for text in listed.texts() if dbt.parsed_apart else listed.unmatched():
        say(f"[WARNING] {text}", level="warn")
    selected = _known(only, manifest, say) if only is not None else selection(listed)
    plan = layers.plan(manifest, selected)
    if plan.predictions:
        preload()
        dbt.sampling(flags.value("--sample"))  # refused before anything is built
    whole = only is None and not plan.predictions
    if not whole:
        flags, options = _deferring(flags, options, home, (*plan.ids, *plan.audited))
    return Mixed(home, flags, options, dbt, manifest, plan, say, whole=whole)


def _deferring(flags: DbtFlags, options: RunOptions, home: DbtHome, built: Collection[str]
               ) -> tuple[DbtFlags, RunOptions]:  # fmt: skip
    """With ``--defer``: no layer reads elsewhere what an earlier layer has built."""
    state = options.defer_state or options.state
    if not options.defer or state is None:
        return flags, options
    folder = without(state, set(built), home.private / "deferred")
    state_flags = (*flags.state, "--defer-state", str(folder))
    return replace(flags, state=state_flags), replace(options, defer_state=folder)


def _known(ids: Iterable[str], manifest: Manifest, say: Say) -> tuple[str, ...]:
    """Those that are still there."""
    found = []
    for key in ids:
        if manifest.member(key):
            found.append(key)
        else:
            say(f"[WARNING] {key} is not in the project any more: nothing to do for it", level="warn")
    return tuple(found)


def _connection(flags: DbtFlags, root: Path) -> tuple[str, ...]:
    return flags.connection if flags.value("--project-dir") else ("--project-dir", str(root), *flags.connection)


def selection(listed: Said) -> tuple[str, ...]:
    """unique_ids of what ``dbt ls`` listed and ``dbt build`` builds."""
    return tuple(str(one["unique_id"]) for one in listed.listed if one.get("resource_type") in BUILT_TYPES)


def _work(mixed: Mixed) -> Mixed:
    for key in mixed.plan.left_out:
        mixed.say(f"{key} is left out: dbt cannot run unit tests of prediction nodes")
    total = sum(bool(layer.sql) + bool(layer.predictions) for layer in mixed.plan.layers)
    number = 0
    _save(mixed)
    for layer in mixed.plan.layers:
        for ids, do in ((layer.sql, _sql_layer), (layer.predictions, _prediction_layer)):
            if not ids or mixed.stopped:
                continue
            number += 1
            who = "dbt" if do is _sql_layer else "sqlinfer"
            mixed.say(f"Layer {number} of {total}: {who}, {counted(len(ids), 'node')}")
            ready = _skip_blocked(mixed, ids)
            if ready:
                do(mixed, layer, ready)
            _save(mixed)
    _skip(mixed, dict.fromkeys(mixed.missing(), "the build stopped") if mixed.stopped else {})
    _save(mixed)
    return mixed


def _skip_blocked(mixed: Mixed, ids: Sequence[str]) -> tuple[str, ...]:
    reasons = layers.blocked(mixed.manifest, mixed.broken, ids)
    _skip(mixed, {key: f"depends on {culprit}, which failed" for key, culprit in reasons.items()})
    return tuple(key for key in ids if key not in reasons)


def _skip(mixed: Mixed, reasons: Mapping[str, str]) -> None:
    for key, reason in reasons.items():
        mixed.results[key] = NodeResult(key, "skipped", message=reason).as_dbt()


def _sql_layer(mixed: Mixed, layer: Layer, ids: Sequence[str]) -> None:
    """One ``dbt build`` of exactly these members."""
    written = mixed.folder / "run_results.json"
    written.unlink(missing_ok=True)
    flags = mixed.flags
    chosen = flags.selection
    if not mixed.whole:
        chosen = ("--select", *layers.selectors(mixed.manifest, ids), "--indirect-selection", "empty")
    code = mixed.dbt.call("build", *chosen, *flags.state, *flags.compiling, *flags.shown, *flags.rest,
                          target_path=mixed.folder)  # fmt: skip
    found = _read_results(written)
    mixed.results.update(found)
    if code not in (0, 1) or (code == 1 and not found):
        mixed.failed_dbt = code if code > 0 else 2
    if not mixed.stopped:
        silent = "dbt said nothing of it: `dbt build` by itself may tell why"
        mixed.results.update(
            {key: NodeResult(key, "error", message=silent).as_dbt() for key in ids if key not in found}
        )


def _read_results(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return {result["unique_id"]: result for result in parse_json(read_plain(path))["results"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _prediction_layer(mixed: Mixed, layer: Layer, ids: Sequence[str]) -> None:
    try:
        sampling = mixed.dbt.sampling(mixed.flags.value("--sample"))
        arguments = ["--select", *layers.selectors(mixed.manifest, ids), *sampling]
        job = executor.compiled_by_dbt(
            mixed.options, mixed.dbt, (*arguments, *mixed.flags.state, *mixed.flags.compiling)
        )
        job = replace(job, ids=tuple(key for key in job.ids if key in ids), project=_chosen_tests(mixed, job.project),
                      claim=mixed.claim)  # fmt: skip
        result = executor.execute(job, mixed.options, mixed.on_event, mixed.dbt.cancel)
    except Cancelled:
        return
    except SqlinferError as error:
        mixed.say(str(error), level="error")
        for key in ids:
            mixed.results[key] = NodeResult(key, "error", message=str(error)).as_dbt()
        return
    mixed.results.update({one.unique_id: _with_the_way_out(one).as_dbt() for one in result.results})


def _with_the_way_out(result: NodeResult) -> NodeResult:
    """The message says the place and the hint, too: the summary has nothing else to show."""
    return result if result.error is None else replace(result, message=str(result.error))


def _deferral(mixed: Mixed) -> Deferral | None:
    flags = mixed.flags
    state = flags.value("--defer-state") or flags.value("--state")
    folder = state or os.environ.get("DBT_DEFER_STATE") or os.environ.get("DBT_STATE")
    if folder is None or not _is_on(flags, "--defer"):
        return None
    favors = _is_on(flags, "--favor-state")
    return Deferral.read(mixed.home.root / folder, favors=favors, built=frozenset(mixed.plan.ids))


def _is_on(flags: DbtFlags, name: str) -> bool:
    """A flag, or dbt's variable of its name."""
    variable = os.environ.get("DBT_" + name.strip("-").replace("-", "_").upper(), "")
    return flags.on(name) or variable.lower() in ("1", "t", "true", "y", "yes", "on")


def _chosen_tests(mixed: Mixed, project: Project) -> Project:
    """Only tests that were selected run on the staged rows, as the flags say."""
    members, stores, deferral = mixed.manifest.nodes, _is_on(mixed.flags, "--store-failures"), _deferral(mixed)

    def chosen(tests: Iterable[DataTest]) -> tuple[DataTest, ...]:
        found = [test for test in tests if test.unique_id in mixed.plan.audited]
        found = [stored_by_flag(one, members.get(one.unique_id, {})) for one in found] if stores else found
        return tuple(deferral.applied(one) if deferral else one for one in found)

    nodes = {key: replace(node, tests=chosen(node.tests)) for key, node in project.nodes.items()}
    return replace(project, nodes=nodes)


def _save(mixed: Mixed) -> None:
    """run_results.json and manifest.json where dbt's tools look for them, valid at every moment."""
    nodes = [*mixed.plan.ids, *sorted(mixed.plan.audited)]
    args = {"which": "build", "generator": GENERATOR, "nodes": nodes, "flags": mixed.flags.words()}
    now = iso(now_utc())
    content = {
        "metadata": {
            "dbt_schema_version": SCHEMA, "dbt_version": mixed.manifest.dbt_version, "generated_at": now,
            "invocation_id": mixed.run_id, "env": {}, "generator": f"sqlinfer {__version__}",
        },
        "results": list(mixed.results.values()),
        "elapsed_time": time.monotonic() - mixed.began,
        "args": args,
    }  # fmt: skip
    write_json(mixed.home.target_path / "run_results.json", content)
    shutil.copyfile(mixed.manifest.path, mixed.home.target_path / "manifest.json")


def newer_run(home: DbtHome) -> dict[str, Any] | None:
    """The last ``sqlinfer run --dbt``, where it is newer than the last mixed build (whose layers write there too)."""
    ours, mixed = home.private / "run_results.json", home.target_path / "run_results.json"
    last = executor.last_run(home)
    if last is None or (mixed.is_file() and mixed.stat().st_mtime > ours.stat().st_mtime):
        return None
    return last


def remaining(home: DbtHome) -> tuple[list[str], list[str]]:
    """Of the last mixed build: its flags, and the unique_ids that did not succeed.

    Raises:
        UsageError: there was none.
    """
    path = home.target_path / "run_results.json"
    try:
        content = parse_json(read_plain(path))
        args = content["args"]
        done = {result["unique_id"] for result in content["results"] if result["status"] in GOOD}
        if args["generator"] == GENERATOR:
            return list(args["flags"]), [key for key in args["nodes"] if key not in done]
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise UsageError(f"{path} is not of a `sqlinfer dbt build`: nothing to retry", hint="run `sqlinfer dbt build`")
