"""``sqlinfer retry``: the last run's results → what is left of it, done with the same arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlinfer.errors import UsageError
from sqlinfer.jobs import artifacts, deferring, night, spending
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import target_path
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.results import RunResult
from sqlinfer.scrub import MASK
from sqlinfer.spec.window import Window

DONE = ("success", "pass", "warn")


def retry(options: RunOptions, open_night: Callable[[RunOptions], Night]) -> RunResult:
    """Publish what was scored and not published, then work on what failed, was skipped or never started.

    Raises:
        UsageError: there is no earlier run.
    """
    target = target_path(options.project_dir, env=os.environ)  # the project itself may need the variables of that run
    last = artifacts.read_results(target)
    tonight = open_night(as_before(options, last["args"]))
    with tonight.claimed():
        return _continue(tonight, artifacts.read_results(target))


def _continue(tonight: Night, last: Mapping[str, Any]) -> RunResult:
    args = last["args"]
    _share_bounds(tonight, last)
    deferring.defer(tonight, args["nodes"])
    published = night.publish_pending(tonight, RunResult(tonight.run_id, now_utc(), args=args))
    finished = {item.unique_id for item in published.results if item.ok}
    left = [uid for uid in remaining(last, tonight.options.retry_errors) if uid not in finished]
    known = [uid for uid in left if uid in tonight.project.nodes or uid in tonight.project.tests]
    if not known:
        published = spending.settled(tonight, published)
        if published.results:
            artifacts.save_results(tonight.project, published)
        return published
    tests = [tonight.project.tests[uid] for uid in known if uid in tonight.project.tests]
    result = night.work(tonight, known, tests, args)
    for item in published.results:
        result = result.with_result(item, result.elapsed)
    return result


def _share_bounds(tonight: Night, last: Mapping[str, Any]) -> None:
    """What a bounded run has spent counts for the retry that is bounded, too: together they are one night."""
    if last["args"].get("bounded"):
        tonight.bounds.rows += sum(int(item["adapter_response"].get("scored") or 0) for item in last["results"])
        tonight.bounds.began -= float(last.get("elapsed_time") or 0.0)


def remaining(last: Mapping[str, Any], errors: bool = False) -> list[str]:
    """Planned, and not done. With ``errors`` also what has error rows, and all that was done after it."""
    done = {item["unique_id"] for item in last["results"] if item["status"] in DONE}
    if errors:
        bad = {item["unique_id"] for item in last["results"] if item["adapter_response"].get("errors")}
        first = next((at for at, uid in enumerate(last["args"]["nodes"]) if uid in bad), None)
        done -= set() if first is None else set(last["args"]["nodes"][first:])
    return [uid for uid in last["args"]["nodes"] if uid not in done]


def as_before(options: RunOptions, args: Mapping[str, Any]) -> RunOptions:
    """Today's options where they were given, else those of the run that is continued.

    Raises:
        UsageError: a variable held a secret, which no file remembers.
    """
    if not options.vars and MASK in json.dumps(args.get("vars")):
        raise UsageError(
            "a variable of the last run held a secret, which is not written down", hint="give --vars again"
        )
    return replace(
        options,
        vars=options.vars or args.get("vars"),
        profile=options.profile or args.get("profile"),
        target=options.target or args.get("target"),
        device=options.device or args.get("device"),
        full_refresh=bool(args.get("full_refresh")),
        empty=bool(args.get("empty")),
        sample=args.get("sample"),
        window=Window.from_json(args.get("window")),
        defer=bool(args.get("defer")),
        favor_state=bool(args.get("favor_state")),
        state=_folder(args.get("state")),
        defer_state=_folder(args.get("defer_state")),
    )


def _folder(text: str | None) -> Path | None:
    return Path(text) if text else None
