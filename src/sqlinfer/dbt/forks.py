"""The caller's side of ``server``: dbt is imported and parses once, and each call is a fork of that process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlinfer.dbt import server

_POLL_SECONDS, _LEAVE_SECONDS = 0.1, 8.0
_SHEBANG = re.compile(
    r"#!\s*(/\S*python[\d.]*)[ \t]*(?:\n|$)|#!/bin/sh\n'''exec' \"?(/[^\"\n]*?python[\d.]*)\"? \"\$0\""
)
_ENTRY = re.compile(r"^from dbt\.cli\.main import cli\b", re.MULTILINE)


def python_of(program: str) -> str | None:
    """The Python that dbt lives in, where the program is nothing but dbt's own entry point.

    A wrapper, or a dbt that is no Python program, stays a program that is started for each call.
    """
    if sys.platform != "linux":  # elsewhere a fork after imports is not safe
        return None
    try:
        text = Path(program).read_bytes()[:4096].decode()
    except (OSError, UnicodeDecodeError):
        return None
    found = _SHEBANG.match(text)
    python = (found[1] or found[2]) if found and _ENTRY.search(text) else None
    return python if python and os.access(python, os.X_OK) else None


class Unusable(Exception):
    """This dbt has no ``dbtRunner``, or does not start."""


class Forks:
    """Runs dbt's commands. The parse begins at once, beside the caller's own work."""

    def __init__(self, python: str, root: Path, parse: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sqlinfer-dbt-")
        self._parse_log = Path(self._folder.name) / "parse"
        self._parsed: int | None = None
        reading, writing = os.pipe()
        try:
            # A session of its own: Ctrl-C reaches us alone, and we hand it on once.
            self._process = subprocess.Popen(
                [python, server.__file__, str(writing)], cwd=root, stdin=subprocess.PIPE, pass_fds=(writing,),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(writing)
        self._answers = os.fdopen(reading)
        self._answer: dict[str, int] | None = None
        self._begin({"parse": True, "words": list(parse), "output": str(self._parse_log)})

    def run(self, words: Sequence[str], output: Path | None, cancel: threading.Event | None) -> int:
        """The exit code of one call. A project that dbt cannot parse gives that of the parse, and what it said.

        Raises:
            Unusable: dbt cannot be called this way.
        """
        if self._parsed is None:
            self._parsed = self._wait(cancel)
            if self._parsed and b"ModuleNotFoundError" in self.parse_said():
                raise Unusable(self.parse_said().decode(errors="replace"))
        if self._parsed:
            said = self.parse_said()
            if output is None:
                os.write(1, said)
            else:
                output.write_bytes(said)
            return self._parsed
        self._begin({"words": list(words), "output": str(output) if output else None})
        return self._wait(cancel)

    def parse_said(self) -> bytes:
        """What the parse said so far: nothing where it was interrupted before it began."""
        return self._parse_log.read_bytes() if self._parse_log.exists() else b""

    def _begin(self, request: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._answer = None
        try:
            self._process.stdin.write((json.dumps(request) + "\n").encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Unusable("dbt's process is gone") from None
        self._reader = threading.Thread(target=self._read, name="sqlinfer-dbt", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        line = self._answers.readline()
        self._answer = json.loads(line) if line else None

    def _wait(self, cancel: threading.Event | None) -> int:
        asked = False
        while self._reader.is_alive():
            self._reader.join(_POLL_SECONDS)
            if cancel is not None and cancel.is_set() and not asked:
                asked = True
                if self._parsed is None:  # nothing that runs has to be told
                    return 1
                self._interrupt()
        if self._answer is not None:
            return self._answer["code"]
        if self._parsed is None:
            raise Unusable("dbt's process is gone")
        return 2

    def _interrupt(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(b'{"interrupt": true}\n')
            self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()  # it ends where nobody asks any more
        try:
            if self._reader.is_alive():  # it parses for nobody
                self._process.kill()
            self._process.wait(timeout=_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_LEAVE_SECONDS)
        self._answers.close()
        self._folder.cleanup()
