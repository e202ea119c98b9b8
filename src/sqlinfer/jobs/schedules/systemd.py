"""A service and its timer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from sqlinfer.jobs.schedules.night import EXIT_CODES, STOP_SECONDS, ScheduledNight


def files(night: ScheduledNight) -> Mapping[str, str]:
    return {f"{night.slug}.service": _service(night), f"{night.slug}.timer": _timer(night)}


def _service(night: ScheduledNight) -> str:
    first, second = shlex.join(night.first()), shlex.join(night.second())
    # The shell stays until its child has left, and starts nothing new after a stop.
    script = f"trap 'stopped=1' TERM INT; {first} || {{ [ -z \"$stopped\" ] && exec {second}; }}"
    variables = ""
    if night.variables:
        variables = f"# The project reads: {', '.join(night.variables)}. NAME=value, one a line, mode 0600.\n"
    return f"""\
[Unit]
Description=Predictions of {_percents(night.project)} (sqlinfer)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
# {EXIT_CODES}
# What failed is continued once. Only inputs that were never scored are scored.
ExecStart=/bin/sh -c {_quoted(script)}
WorkingDirectory={_percents(str(night.root))}
{variables}EnvironmentFile=-/etc/sqlinfer/{night.slug}.env
# A night may last; a stop may not: after SIGTERM the chunk in hand is finished and kept.
TimeoutStartSec=infinity
TimeoutStopSec={STOP_SECONDS}
Nice=10
"""


def _timer(night: ScheduledNight) -> str:
    zone = f" {night.timezone}" if night.timezone else ""
    return f"""\
[Unit]
Description=Predictions of {_percents(night.project)} every night at {night.at} (sqlinfer)

[Timer]
OnCalendar=*-*-* {night.at}:00{zone}
# Catch-up: a night that was due while the machine was off runs when it is back.
Persistent=true
# A spot machine that was taken in the middle of a night goes on when it is back; nothing is scored twice.
OnBootSec=2min
RandomizedDelaySec=1min

[Install]
WantedBy=timers.target
# systemctl enable --now {night.slug}.timer; journalctl -u {night.slug} shows the log
"""


def _percents(text: str) -> str:
    """A percent sign begins a specifier."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One argument of a command line of systemd's."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_percents(escaped)}"'
