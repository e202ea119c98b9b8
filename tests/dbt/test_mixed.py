"""How a mixed build starts, ends, speaks, and what of dbt's flags reaches the predictions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from sqlinfer.adapters.duckdb.lock import TargetLock
from sqlinfer.testing.patience import patience


@pytest.fixture
def counted(shop, tmp_path):
    """The shop with a dbt that is no Python program, and the file where its starts are written."""
    starts = tmp_path / "starts"
    wrapper = tmp_path / "dbt"
    wrapper.write_text(f'#!/bin/sh\necho "$1" >> {starts}\nexec {shop.program} "$@"\n')
    wrapper.chmod(0o755)
    shop.program = str(wrapper)
    starts.write_text("")
    return shop, starts


def lock_of(shop):
    path = next(iter(shop.root.glob("*.lock")), shop.root / "shop.sqlinfer.lock")
    return TargetLock(path, "another")


def test_a_wrapper_around_dbt_is_started_for_each_call(counted):
    shop, starts = counted
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores+", "nothing_like_it")
    assert done.code == 0, done.text
    assert starts.read_text().split() == ["ls", "compile", "build"]
    assert "The selection criterion 'nothing_like_it' does not match any enabled nodes" in done.text
    assert shop.rows("select count(*) from campaign_list") != [(0,)]


def test_without_predictions_one_call_builds_the_users_own_selection(counted):
    shop, starts = counted
    done = shop.sqlinfer("dbt", "build", "--select", "stg_customers", "--exclude", "test_type:data")
    assert done.code == 0, done.text
    assert starts.read_text().split() == ["ls", "build"]
    assert [name for name in shop.results() if "on-run-end" not in name] == ["stg_customers"]


@pytest.mark.parametrize("words", [("dbt", "build"), ("run", "--dbt")])
@pytest.mark.thorough("words1")
def test_a_second_run_leaves_before_dbt_is_started(counted, words):
    shop, starts = counted
    assert shop.sqlinfer("dbt", "build", "--select", "churn_scores").code == 0
    starts.write_text("")
    with lock_of(shop):
        done = shop.sqlinfer(*words)
    assert done.code == 1
    assert f"another run holds this target: process {os.getpid()}" in done.text
    assert starts.read_text() == ""


def test_an_unknown_flag_is_found_before_anything_runs(counted):
    shop, starts = counted
    done = shop.sqlinfer("dbt", "build", "--full-refesh")
    assert done.code == 2
    assert "No such option: --full-refesh" in done.text
    assert "did you mean '--full-refresh'" in done.text
    assert starts.read_text() == ""


def test_ctrl_c_in_the_first_seconds(shop):
    line = [sys.executable, "-c", "from sqlinfer.cli.main import main; main()", "dbt", "build"]
    env = {**os.environ, "SQLINFER_DBT": shop.program}
    with subprocess.Popen(line, cwd=shop.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          start_new_session=True) as process:  # fmt: skip
        first = process.stdout.readline()
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.communicate(timeout=patience(60))[0]
    assert "Running with sqlinfer" in first
    assert "Interrupted; nothing was changed" in rest
    assert "Error" not in rest
    assert process.returncode == 1


def test_a_json_stream_stays_json(shop):
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores", "nope", "--log-format", "json")
    assert done.code == 0, done.text
    names = [json.loads(line)["info"]["name"] for line in done.out.splitlines()]
    assert "NodeFinished" in names


def test_quiet_is_quiet_and_errors_are_not(shop):
    assert shop.sqlinfer("dbt", "build", "--select", "churn_scores", "--quiet").text == ""
    shop.edit("models/marts/marts.yml", "{min_value: 0, max_value: 1}", "{min_value: 0.9, max_value: 1}")
    shop.change("update customers set orders = orders + 1")
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores", "--log-level", "error")
    assert done.code == 1
    assert "data tests failed" in done.text
    assert "START" not in done.text


def test_nothing_selected_is_nothing_to_do(shop):
    done = shop.sqlinfer("dbt", "build", "--select", "nope")
    assert done.code == 0, done.text
    assert "The selection criterion 'nope' does not match any enabled nodes" in done.text
    assert "Nothing to do" in done.text


def test_an_ephemeral_model_is_selected_and_a_folder_has_the_name_of_a_model(shop):
    shop.write("models/marts/base.sql", "{{ config(materialized='ephemeral') }} select * from {{ ref('customers') }}")
    shop.edit("models/marts/churn_scores.sql", "ref('customers')", "ref('base')")
    shop.write("models/marts/customers/best.sql", "select * from {{ ref('churn_scores') }}")
    done = shop.sqlinfer("dbt", "build", "--select", "customers", "base", "churn_scores", "best")
    assert done.code == 0, done.text
    assert shop.rows("select count(*) from best") == [(100,)]
    assert "base" not in shop.results()


def test_retry_forgets_a_node_that_was_deleted(shop):
    broken = shop.write("models/marts/broken.sql", "select nonsense from {{ ref('customers') }}")
    assert shop.sqlinfer("dbt", "build", "--select", "broken").code == 1
    broken.unlink()
    done = shop.sqlinfer("dbt", "retry")
    assert done.code == 0, done.text
    assert "model.sqlinfer_shop.broken is not in the project any more" in done.text


def test_empty_publishes_empty_tables_of_the_right_columns(shop):
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores+", "--empty")
    assert done.code == 0, done.text
    assert shop.rows("select count(*) from churn_scores") == [(0,)]
    assert shop.rows("select count(*) from campaign_list") == [(0,)]
    assert shop.sqlinfer("run", "--dbt").code == 0
    assert shop.sqlinfer("run", "--dbt", "--empty").code == 0
    assert shop.rows("select count(churn_probability) from churn_scores") == [(100,)]


def test_a_sample_is_what_is_scored(shop):
    shop.edit("models/staging/stg_orders.sql", "select id", "{{ config(event_time='ordered_at') }}\nselect id")
    query = "{{ config(materialized='prediction') }}\nselect order_id, ordered_at, "
    query += "{{ sqlinfer.predict('churn_score', 'order_id', '0', '1.0', '0', '1') }} as p from {{ ref('stg_orders') }}"
    shop.write("models/marts/recent.sql", query)
    window = "{'start': '2026-10-01', 'end': '2026-10-10'}"
    done = shop.sqlinfer("dbt", "build", "--select", "recent", "--sample", window)
    assert done.code == 0, done.text
    assert shop.rows("select min(ordered_at) >= '2026-10-01', max(ordered_at) < '2026-10-10' from recent") == [
        (True, True)
    ]


def with_production(shop):
    """Everything before the prediction is in the schema of another target, and nothing in that of this one."""
    shop.edit(
        "profiles.yml", "    dev:\n      type: duckdb\n",
        "    prod:\n      type: duckdb\n      path: shop.duckdb\n      schema: prod\n    dev:\n      type: duckdb\n",
    )  # fmt: skip
    assert shop.dbt("build", "--target", "prod", "--select", "+customers", "--indirect-selection", "empty").code == 0
    (shop.root / "state").mkdir()
    shutil.copy(shop.root / "target" / "manifest.json", shop.root / "state")
    shop.change("drop table customers")


def test_defer_reads_what_is_not_built_here_where_the_state_has_it(shop):
    with_production(shop)
    shop.write(
        "selectors.yml", "selectors: [{name: scores, definition: {method: fqn, value: churn_scores}}]"
    )  # fmt: skip
    words = ("--selector", "scores", "--defer", "--state", "state", "--favor-state")
    done = shop.sqlinfer("run", "--dbt", *words)
    assert done.code == 0, done.text
    assert shop.rows("select count(*) from main.churn_scores") == [(100,)]
    shop.change("drop table main.churn_scores")
    shop.change("delete from prod.customers")
    state = ("--defer", "--state", "state", "--favor-state")
    done = shop.sqlinfer("dbt", "build", "--select", "customers", "churn_scores", *state)
    assert done.code == 0, done.text
    # What an earlier layer has built is read here, not in the state.
    assert shop.rows("select count(*) from main.churn_scores") == [(100,)]


def test_what_only_dbt_compiles_does_not_go_with_a_manifest(shop):
    done = shop.sqlinfer("run", "--manifest", "target/manifest.json", "--defer", "--state", "state")
    assert done.code == 2
    assert "does not go with --manifest" in done.text
