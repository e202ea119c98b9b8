"""``sqlinfer retry``: the last run's results → what is left of it, done with the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlinfer.jobs import artifacts, night
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.options import RunOptions
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.results import RunResult

DONE = ("success", "pass", "warn")


def retry(options: RunOptions, open_night: Callable[[RunOptions], Night]) -> RunResult:
    """Publish what was scored and not published, then work on what failed, was skipped or never started.

    Raises:
        UsageError: there is no earlier run.
    """
    last = artifacts.read_results(open_night(options).project)
    args = last["args"]
    tonight = open_night(as_before(options, args))
    published = night.publish_pending(tonight, RunResult(tonight.run_id, now_utc(), args=args))
    finished = {item.unique_id for item in published.results if item.ok}
    left = [uid for uid in remaining(last) if uid not in finished]
    known = [uid for uid in left if uid in tonight.project.nodes or uid in tonight.project.tests]
    if not known:
        if published.results:
            artifacts.save_results(tonight.project, published)
        return published
    tests = [tonight.project.tests[uid] for uid in known if uid in tonight.project.tests]
    result = night.work(tonight, known, tests, args)
    for item in published.results:
        result = result.with_result(item, result.elapsed)
    return result


def remaining(last: Mapping[str, Any]) -> list[str]:
    """Planned, and not done."""
    done = {item["unique_id"] for item in last["results"] if item["status"] in DONE}
    return [uid for uid in last["args"]["nodes"] if uid not in done]


def as_before(options: RunOptions, args: Mapping[str, Any]) -> RunOptions:
    """Today's options where they were given, else those of the run that is continued."""
    return replace(
        options,
        vars=options.vars or args.get("vars"),
        profile=options.profile or args.get("profile"),
        target=options.target or args.get("target"),
        device=options.device or args.get("device"),
        full_refresh=bool(args.get("full_refresh")),
    )
