"""run_results.journal: what a run did after it last wrote run_results.json whole. In: both files. Out: all results.

A line of JSON for each result, behind a first one that names the run. A run that was killed leaves the journal behind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlinfer.files import parse_json

NAME = "run_results.journal"


def head(invocation_id: str) -> str:
    return json.dumps({"invocation_id": invocation_id})


def entry(elapsed: float, result: str) -> str:
    """``result``: JSON on one line."""
    return f'{{"elapsed_time": {elapsed!r}, "result": {result}}}'


def with_journal(content: Mapping[str, Any], folder: Path, read: Callable[[Path], bytes]) -> dict[str, Any]:
    """run_results.json with what the journal of the same run knows besides; a journal of another run tells nothing."""
    try:
        lines = read(folder / NAME).splitlines()
        own = content["metadata"]["invocation_id"]
        if not lines or not own or parse_json(lines[0])["invocation_id"] != own:
            return dict(content)
        known = {str(one["unique_id"]): one for one in content["results"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return dict(content)
    told = {"elapsed_time": content.get("elapsed_time")}
    for entry in _entries(lines[1:]):
        told = {"elapsed_time": entry["elapsed_time"]}
        result = entry["result"]
        known.pop(result["unique_id"], None)
        known[result["unique_id"]] = result
    return {**content, **told, "results": list(known.values())}


def _entries(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    """Up to the first line that was cut off, or that we did not write."""
    for line in lines:
        try:
            found = parse_json(line)
            result, elapsed = found["result"], found["elapsed_time"]
            texts = isinstance(result["unique_id"], str) and isinstance(result["status"], str)
            whole = texts and isinstance(result["adapter_response"], dict) and isinstance(elapsed, int | float)
        except (ValueError, LookupError, TypeError):
            return
        if not whole:
            return
        yield found
