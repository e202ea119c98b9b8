"""Results of a run on disk at every moment: a line for each as it comes, run_results.json whole every few seconds."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from textwrap import indent
from typing import Any

from sqlinfer import scrub
from sqlinfer.files import write_atomic
from sqlinfer.jobs.told import told
from sqlinfer.project import Project, journal
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.results import NodeResult
from sqlinfer.version import __version__

RESULTS = "run_results.json"
SECONDS, SHARE = 3.0, 20
"""The whole file is written this often, and takes at most one part in 20 of the time."""


@dataclass(slots=True)
class Journal:
    """Each result is masked and spelled once, however many follow."""

    project: Project
    _run: RunResult | None = None
    _known: dict[str, tuple[NodeResult, str]] = field(default_factory=dict)
    """unique_id → a result and its JSON on one line."""
    _edition: int = -1
    """Of the secrets that the JSON was masked with."""
    _file: int | None = None
    _due: float = 0.0

    def save(self, result: RunResult) -> None:
        """Write run_results.json whole. What the journal held is in it, so the journal goes."""
        self._run = result
        with told(self.project):
            self._forget_unmasked()
            self._known = {one.unique_id: (one, self._spelled(one)) for one in result.results}
            self._write_whole(result)
            self._close()

    def note(self, results: Iterable[NodeResult], elapsed: float) -> None:
        """Results of the run that was last saved: on disk when this returns."""
        assert self._run is not None
        lines = []
        for one in results:
            self._known.pop(one.unique_id, None)
            self._known[one.unique_id] = one, (text := self._spelled(one))
            lines.append(journal.entry(elapsed, text))
        self._run = replace(self._run, elapsed=elapsed)
        with told(self.project):
            self._append(lines)
            if time.monotonic() > self._due:
                self._forget_unmasked()
                self._write_whole(self._run)

    def settle(self) -> None:
        """The run ends here, before its end: what is known is written whole, if the disk takes it."""
        if self._run is not None:
            with suppress(OSError):
                self._write_whole(self._run)
                self._close()

    def _spelled(self, one: NodeResult) -> str:
        known = self._known.get(one.unique_id)
        return known[1] if known is not None and known[0] is one else scrub.scrub_json(one.as_dbt())

    def _forget_unmasked(self) -> None:
        """A secret that was learnt later is masked in earlier results, too."""
        if self._edition != scrub.edition():
            self._edition, known = scrub.edition(), self._known
            self._known = {}
            self._known.update({key: (one, self._spelled(one)) for key, (one, _) in known.items()})

    def _write_whole(self, result: RunResult) -> None:
        began = time.monotonic()
        texts = [text for _, text in self._known.values()]
        write_atomic(self.project.target_path / RESULTS, _document(result, texts).encode())
        took = time.monotonic() - began
        self._due = time.monotonic() + max(SECONDS, SHARE * took)

    def _append(self, lines: list[str]) -> None:
        assert self._run is not None
        if self._file is None:
            path = self.project.target_path / journal.NAME
            path.unlink(missing_ok=True)  # of an earlier run, or a link that lies there
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o644)
            lines = [journal.head(self._run.run_id), *lines]
        data = "".join(f"{line}\n" for line in lines).encode()
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        with suppress(FileNotFoundError):
            (self.project.target_path / journal.NAME).unlink()


def _document(result: RunResult, texts: list[str]) -> str:
    """As ``result.as_dbt`` gives it, from results that are JSON already."""
    shell: Any = scrub.scrub_values(replace(result, results=()).as_dbt(__version__, now_utc()))
    body = indent(",\n".join(texts), "    ")
    listed = f'\n  "results": [\n{body}\n  ],\n' if texts else '\n  "results": [],\n'
    return json.dumps(shell, indent=2).replace('\n  "results": [],\n', listed, 1)
