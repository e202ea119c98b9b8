"""A job and a schedule of Dagster."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.jobs.schedules.night import EXIT_CODES, STOP_SECONDS, TRIES, TRY_AGAIN_SECONDS, ScheduledNight, plain


def files(night: ScheduledNight) -> Mapping[str, str]:
    variables = f"\n# The run's environment needs: {', '.join(night.variables)}." if night.variables else ""
    text = f'''\
"""{plain(night.project)}: its predictions every night at {night.at}. {EXIT_CODES}"""
{variables}
import subprocess

import dagster

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
@dagster.op(retry_policy=dagster.RetryPolicy(max_retries={TRIES}, delay={TRY_AGAIN_SECONDS}))
def predictions() -> None:
    if finished(RUN) and (code := finished(RETRY)):
        raise dagster.Failure(f"sqlinfer left with exit code {{code}}")


@dagster.job
def {night.identifier}() -> None:
    predictions()


# Missed ticks are not made up for: one night brings everything up to date.
schedule = dagster.ScheduleDefinition(
    job={night.identifier}, cron_schedule={night.cron!r}, execution_timezone={night.timezone or "UTC"!r}
)
definitions = dagster.Definitions(jobs=[{night.identifier}], schedules=[schedule])
'''
    return {f"{night.identifier}.py": text}
