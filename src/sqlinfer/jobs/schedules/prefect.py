"""A flow of Prefect 3 that serves itself by a cron schedule."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.jobs.schedules.night import TRIES, TRY_AGAIN_SECONDS, ScheduledNight, python_head

_IMPORTS = """\
from prefect import flow
from prefect.schedules import Cron"""


def files(night: ScheduledNight) -> Mapping[str, str]:
    text = f"""\
{python_head(night, "flow", _IMPORTS)}

# What was scored is kept: each try goes on where the last one ended.
@flow(name={night.slug!r}, retries={TRIES}, retry_delay_seconds={TRY_AGAIN_SECONDS}, log_prints=True)
def predictions() -> None:
    if finished(RUN) and (code := finished(RETRY)):
        raise RuntimeError(f"sqlinfer left with exit code {{code}}")


if __name__ == "__main__":
    # One night at a time; one that was missed is not made up for: the next brings everything up to date.
    predictions.serve(
        name="nightly", schedules=[Cron({night.cron!r}, timezone={night.timezone or "UTC"!r})], limit=1
    )
"""
    return {f"{night.identifier}.py": text}
