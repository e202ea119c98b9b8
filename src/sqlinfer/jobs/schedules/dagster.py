"""A job and a schedule of Dagster."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.jobs.schedules.night import TRIES, TRY_AGAIN_SECONDS, ScheduledNight, python_head


def files(night: ScheduledNight) -> Mapping[str, str]:
    text = f"""\
{python_head(night, "run", "import dagster")}

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
"""
    return {f"{night.identifier}.py": text}
