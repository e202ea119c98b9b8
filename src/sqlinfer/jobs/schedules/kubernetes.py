"""A CronJob of batch/v1."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from sqlinfer.jobs.schedules.night import EXIT_CODES, STOP_SECONDS, TRIES, ScheduledNight

_ROOT = "/project"


def files(night: ScheduledNight) -> Mapping[str, str]:
    zone = (
        f"  timeZone: {night.timezone}\n" if night.timezone else "  # timeZone: Europe/Berlin  # else the cluster's\n"
    )
    both = (night.first("sqlinfer", _ROOT), night.second("sqlinfer", _ROOT))
    first, second = (shlex.join(words).replace("$(", "$$(") for words in both)  # else a variable of the cluster's
    text = f"""\
# {night.project}: its predictions every night at {night.at}. {EXIT_CODES}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {night.slug}
spec:
  schedule: {json.dumps(night.cron)}
{zone}  concurrencyPolicy: Forbid  # nights never overlap
  startingDeadlineSeconds: 21600  # catch-up: one that could not start runs up to six hours late
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: {TRIES}  # what was scored is kept: each try goes on where the last one ended
      podFailurePolicy:
        rules:
          - action: Ignore  # a spot node that is taken away is no failure of the night
            onPodConditions:
              - type: DisruptionTarget
                status: "True"
      template:
        metadata:
          labels:
            app: {night.slug}
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: {STOP_SECONDS}
          # tolerations:  # spot nodes; the key is your provider's
          #   - {{key: cloud.google.com/gke-spot, operator: Equal, value: "true", effect: NoSchedule}}
          containers:
            - name: sqlinfer
              image: REPLACE_ME/{night.slug}:latest  # Python, `pip install sqlinfer`, the project in {_ROOT}
              command: ["/bin/sh", "-c"]
              args:
                - |
                  # The first process of a container hands SIGTERM on by itself or not at all.
                  trap 'kill -TERM "$child"; wait "$child"; exit 143' TERM
                  {first} & child=$!
                  wait "$child" && exit 0
                  {second} & child=$!
                  wait "$child"
{_env(night)}              resources:
                requests: {{cpu: "2", memory: 4Gi}}
                # limits: {{nvidia.com/gpu: "1"}}
              volumeMounts:
                # The DuckDB file, the predictions that are remembered beside it and target/ outlive the pod.
                - {{name: state, mountPath: {_ROOT}/target, subPath: target}}
                - {{name: state, mountPath: {_ROOT}/warehouse, subPath: warehouse}}
          volumes:
            - name: state
              persistentVolumeClaim: {{claimName: {night.slug}}}
"""
    return {f"{night.slug}.yaml": text}


def _env(night: ScheduledNight) -> str:
    if not night.variables:
        return ""
    lines = ["              env:  # kubectl create secret generic " + night.slug + " --from-literal=NAME=value …\n"]
    for name in night.variables:
        lines.append(f"                - name: {name}\n")
        lines.append(f"                  valueFrom: {{secretKeyRef: {{name: {night.slug}, key: {name}}}}}\n")
    return "".join(lines)
