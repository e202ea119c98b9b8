"""A workflow of GitHub Actions."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlinfer.errors import UsageError
from sqlinfer.jobs.schedules.night import EXIT_CODES, ScheduledNight


def files(night: ScheduledNight) -> Mapping[str, str]:
    if night.timezone not in (None, "UTC", "Etc/UTC"):
        raise UsageError("GitHub Actions schedules in UTC alone", hint=f"leave --timezone {night.timezone} out")
    either = night.either("sqlinfer", ".").replace("${{", "${{ '${{' }}")  # else an expression of the workflow's
    env = "".join(f"      {name}: ${{{{ secrets.{name} }}}}\n" for name in night.variables)
    text = f"""\
# {night.project}: its predictions every night at {night.at} UTC. {EXIT_CODES}
name: {json.dumps(f"predictions of {night.project}")}
on:
  schedule:
    - cron: {json.dumps(night.cron)}  # UTC; may start some minutes late
  workflow_dispatch: {{}}  # catch-up by hand
permissions:
  contents: read
concurrency:
  group: {night.slug}
  cancel-in-progress: false  # nights never overlap
jobs:
  predictions:
    runs-on: ubuntu-latest
    timeout-minutes: 350
{"    env:" + chr(10) + env if env else ""}    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install sqlinfer
      # A runner forgets its disk. A target on a server needs nothing more; for a DuckDB file, restore the database and
      # the file with the predictions that are remembered here, and keep them after the night.
      - name: run, and what failed once more
        run: |
          {either}
      - if: always()
        uses: actions/upload-artifact@v4
        with:
          name: target
          path: target
"""
    return {f"{night.slug}.yml": text}
