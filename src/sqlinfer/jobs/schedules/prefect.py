"""A flow of Prefect 3 that serves itself by a cron schedule."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.jobs.schedules.night import EXIT_CODES, STOP_SECONDS, TRIES, TRY_AGAIN_SECONDS, ScheduledNight, plain


def files(night: ScheduledNight) -> Mapping[str, str]:
    variables = f"\n# The flow's environment needs: {', '.join(night.variables)}." if night.variables else ""
    text = f'''\
"""{plain(night.project)}: its predictions every night at {night.at}. {EXIT_CODES}"""
{variables}
import subprocess

from prefect import flow
from prefect.schedules import Cron

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
'''
    return {f"{night.identifier}.py": text}
