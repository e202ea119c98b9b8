"""A DAG of Airflow 2.4 or newer, 3 included."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.jobs.schedules.night import EXIT_CODES, STOP_SECONDS, TRIES, TRY_AGAIN_SECONDS, ScheduledNight, plain


def files(night: ScheduledNight) -> Mapping[str, str]:
    # Airflow renders the command as a template and takes one that ends in .sh for the name of a file.
    command = f"{{% raw %}}{{ {night.either()}; }}{{% endraw %}}"
    zone = night.timezone or "UTC"
    variables = f"\n# The worker's environment needs: {', '.join(night.variables)}." if night.variables else ""
    text = f'''\
"""{plain(night.project)}: its predictions every night at {night.at}. {EXIT_CODES}"""
{variables}
import datetime

import pendulum

try:  # Airflow 3
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator

with DAG(
    dag_id={night.identifier!r},
    schedule={night.cron!r},
    start_date=pendulum.datetime(2024, 1, 1, tz={zone!r}),
    catchup=False,  # one night brings everything up to date, however many were missed
    max_active_runs=1,  # nights never overlap
    tags=["sqlinfer"],
) as dag:
    # One process for all models: the graph, the warehouse and the sessions are opened once.
    # What was scored is kept: each try goes on where the last one ended, on a spot worker too.
    BashOperator(
        task_id="predictions",
        bash_command={command!r},
        append_env=True,
        retries={TRIES},
        retry_delay=datetime.timedelta(seconds={TRY_AGAIN_SECONDS}),
        # After SIGTERM the chunk in hand is finished: leave killed_task_cleanup_time at {STOP_SECONDS} seconds or more.
    )
'''
    return {f"{night.identifier}.py": text}
