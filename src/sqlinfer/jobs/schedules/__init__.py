"""A project's night as a unit of the user's scheduler: one renderer a file, each gives file names and their texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlinfer.jobs.schedules import airflow, cron, dagster, github_actions, kubernetes, prefect, systemd
from sqlinfer.jobs.schedules.night import ScheduledNight

SCHEDULERS: Mapping[str, Callable[[ScheduledNight], Mapping[str, str]]] = {
    "cron": cron.files,
    "systemd": systemd.files,
    "airflow": airflow.files,
    "dagster": dagster.files,
    "prefect": prefect.files,
    "github-actions": github_actions.files,
    "kubernetes": kubernetes.files,
}

__all__ = ["SCHEDULERS", "ScheduledNight"]
