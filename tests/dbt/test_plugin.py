"""Three ways to the same predictions: the executor, DuckDB with the plugin's functions, a Python model."""

from __future__ import annotations


def test_the_three_ways_agree(shop):
    assert shop.sqlinfer("run", "--dbt").code == 0
    done = shop.dbt("build", "--target", "udf", "--select", "churn_by_udf", "churn_by_python")
    assert done.code == 0, done.text
    pairs = shop.rows("""
        select count(*), max(abs(s.churn_probability - u.churn_probability)),
               max(abs(s.churn_probability - p.churn_probability))
        from churn_scores as s
        join churn_by_udf as u using (customer_id)
        join churn_by_python as p using (customer_id)""")
    assert pairs == [(100, 0.0, 0.0)]


def test_tests_and_ad_hoc_queries_call_functions(shop):
    arguments = "orders=1, returns=0, spent=10, failed_payments=0, days_since_order=400"
    sql = "select {{ sqlinfer.predict('churn_score', " + arguments + ") }} as p"
    done = shop.dbt("show", "--target", "udf", "--inline", sql)
    assert done.code == 0, done.text
    assert "0.90" in done.text


def test_compiling_loads_no_model(shop):
    done = shop.python("""
import duckdb
from types import SimpleNamespace
from sqlinfer.dbt.plugin import Plugin
plugin = Plugin("sqlinfer", {"project_dir": "."}, SimpleNamespace(settings=None, plugins=None))
connection = duckdb.connect()
plugin.configure_connection(connection)
cursors = [connection.cursor(), connection.cursor()]
for cursor in cursors:
    plugin.configure_cursor(cursor)
assert not plugin.functions._sessions
for cursor in cursors:
    cursor.execute("select churn_score(1, 0, 10, 0, 400)").fetchall()
assert len(plugin.functions._sessions) == 1
print("fine")
""")
    assert "fine" in done.out, done.text


def test_a_plugin_in_no_project_says_so(shop):
    shop.edit("profiles.yml", "alias: sqlinfer}", "alias: sqlinfer, config: {project_dir: /nowhere}}")
    done = shop.dbt("build", "--target", "udf", "--select", "churn_by_udf")
    assert done.code != 0
    assert "neither a dbt project nor a sqlinfer project" in done.text


def test_a_python_model_names_what_is_missing(shop):
    shop.edit("models/udf/churn_by_python.py", '"churn_score"', '"churn_scor"')
    done = shop.dbt("build", "--target", "udf", "--select", "churn_by_python")
    assert done.code == 1
    assert "unknown function 'churn_scor'" in done.text
