"""What a scheduler has to know of a project's night, and the pieces of text that several schedulers need."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 30
"""After SIGTERM a run finishes the chunk in hand, nine seconds at most; the rest is room."""
TRIES = 2
"""How often a scheduler starts the night again after it failed for good."""
TRY_AGAIN_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ScheduledNight:
    project: str
    """The project's name."""
    root: Path
    """The project's folder, absolute."""
    hour: int
    minute: int
    timezone: str | None = None
    """An IANA name; None: that of the scheduler."""
    command: str = "run"
    """``run``, ``build`` or ``dbt build``."""
    flags: tuple[str, ...] = ()
    """Of ``sqlinfer run``: what chooses profile, target and nodes."""
    again: tuple[str, ...] = ()
    """Of ``sqlinfer retry``, which knows the nodes already."""
    variables: tuple[str, ...] = ()
    """Environment variables that the project or its profile reads."""
    program: str = "sqlinfer"
    """The executable, absolute where the scheduler runs on this machine."""

    @property
    def slug(self) -> str:
        """The name as units, pods and workflows take it: lower case, digits, hyphens, at most 40 characters."""
        found = re.sub(r"[^a-z0-9]+", "-", self.project.lower()).strip("-")[:40].strip("-")
        return f"sqlinfer-{found or 'project'}"

    @property
    def identifier(self) -> str:
        return self.slug.replace("-", "_")

    @property
    def at(self) -> str:
        return f"{self.hour:02d}:{self.minute:02d}"

    @property
    def cron(self) -> str:
        return f"{self.minute} {self.hour} * * *"

    def first(self, program: str | None = None, root: str | None = None) -> tuple[str, ...]:
        """The words of the night's command."""
        return self._words(self.command, self.flags, program, root)

    def second(self, program: str | None = None, root: str | None = None) -> tuple[str, ...]:
        """The words of the command that continues a night that failed: ``retry``, ``dbt retry``."""
        return self._words(" ".join([*self.command.split()[:-1], "retry"]), self.again, program, root)

    def either(self, program: str | None = None, root: str | None = None) -> str:
        """Shell text: the night, and what failed once more."""
        return f"{shlex.join(self.first(program, root))} || {shlex.join(self.second(program, root))}"

    def _words(self, command: str, flags: tuple[str, ...], program: str | None, root: str | None) -> tuple[str, ...]:
        folder = str(self.root) if root is None else root
        return (program or self.program, *command.split(), "--project-dir", folder, "--log-format", "json", *flags)


def python_head(night: ScheduledNight, place: str, imports: str) -> str:
    """How a Python unit begins that runs the night as a process: its words, and a way to wait that hands a stop on.

    ``place``: whose environment the variables belong to.
    """
    variables = f"\n# The {place}'s environment needs: {', '.join(night.variables)}." if night.variables else ""
    return f'''\
"""{plain(night.project)}: its predictions every night at {night.at}. {EXIT_CODES}"""
{variables}
import subprocess

{imports}

RUN = {list(night.first())!r}
RETRY = {list(night.second())!r}


def finished(words: list[str]) -> int:
    """One process for all models. A stop is handed on, so that the chunk in hand is finished and kept."""
    with subprocess.Popen(words) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait(timeout={STOP_SECONDS})
            raise
'''


def plain(text: str) -> str:
    """Text that stands in a docstring."""
    return text.replace("\\", " ").replace('"', "'")


EXIT_CODES = (
    "Exit codes: 0 all fine, 1 a model or a test failed, 2 wrong usage. A failed night leaves yesterday's tables."
)
