"""A crontab: ``sqlinfer schedule cron | crontab -`` for a machine that has no other."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from sqlinfer.jobs.schedules.night import EXIT_CODES, ScheduledNight


def files(night: ScheduledNight) -> Mapping[str, str]:
    root = shlex.quote(str(night.root))
    log = ">> target/nightly.log 2>&1"
    zone = f"CRON_TZ={night.timezone}\n" if night.timezone else ""
    secrets = ""
    if night.variables:
        secrets = (
            "# The project reads these variables: give each a line NAME=value here, or source a file in the command.\n"
            + "".join(f"# {name}=\n" for name in night.variables)
        )
    text = f"""\
# {night.project}: its predictions every night at {night.at}. {EXIT_CODES}
# What failed is continued once; runs of one target never overlap (the second leaves with a message).
# Cron mails what a job prints, so the log lines go to a file; drop the redirection to be mailed.
SHELL=/bin/sh
{secrets}{zone}{night.cron} {_escaped(f"cd {root} && mkdir -p target && {{ {night.either()}; }} {log}")}
# Catch-up: cron skips what was due while the machine was off. A night that was cut off goes on at the next start.
@reboot {_escaped(f"sleep 60; cd {root} && mkdir -p target && {shlex.join(night.second())} {log}")}
"""
    return {f"{night.slug}.crontab": text}


def _escaped(command: str) -> str:
    """In a crontab a percent sign ends the command."""
    return command.replace("%", r"\%")
