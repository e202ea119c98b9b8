"""What an unchanged night imports: neither the parser, nor Jinja, nor what reads and checks yml files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import Shop

HEAVY = ("sqlglot", "jinja2", "pydantic", "ruamel", "pandas", "rich", "onnx", "sympy", "torch", "sqlinfer.sql_planning",
         "sqlinfer.compiler.template.render", "sqlinfer.compiler.calls.canonical", "sqlinfer.project.yamlfile",
         "sqlinfer.project.schema", "sqlinfer.reporting", "sqlinfer.project.discover")  # fmt: skip
"""Packages and modules; none of them, nor anything inside, is imported."""
OF_NIGHTS = ("onnxruntime", "pyarrow", "numpy", "sqlinfer.runner.node", "sqlinfer.runner.scoring",
             "sqlinfer.jobs.artifacts", "sqlinfer.adapters.duckdb.merge", "sqlinfer.functions.contained",
             "sqlinfer.audits.registry")  # fmt: skip
"""What a look-up of a published row does without, too."""
SPY = """
import atexit, json, sys
atexit.register(lambda: print("imported:", json.dumps(sorted(sys.modules)), file=sys.stderr))
from sqlinfer.cli.main import main
main()
"""


def imported(shop: Shop, *command: str, heavy: tuple[str, ...] = HEAVY) -> list[str]:
    """Those of the heavy modules that a process imports which runs the command."""
    done = subprocess.run([sys.executable, "-c", SPY, *command], cwd=shop.root, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stderr.splitlines() if line.startswith("imported:"))
    names = set(line.removeprefix("imported: ").strip('[]"').split('", "'))
    return [one for one in heavy if one in names]


@pytest.fixture
def unchanged(shop: Shop) -> Shop:
    """A project that has been built twice: keyed rows, tests of several kinds, a macro, a view, a merge."""
    shop.put("macros/m.sql", "{% macro twice(x) %}{{ x }} * 2{% endmacro %}")
    shop.put("models/below.sql", "{{ config(materialized='view') }} select id, {{ twice('x') }} as x from t")
    shop.put("models/merged.sql", "{{ config(materialized='incremental', unique_key='id') }} "
                                  "select id, f(x) as score from {{ ref('below') }}")  # fmt: skip
    shop.put(
        "models/merged.yml",
        "models: [{name: merged, columns: [{name: id, data_tests: [not_null, unique]}, {name: score, data_tests: "
        "[{accepted_range: {arguments: {min_value: -1000000}}}]}], data_tests: [{row_count: {arguments: {min: 1}}}]}]",
    )
    shop.model("{{ config(unique_key='id') }} select id, f(x) as score from t", "    config: {tags: [nightly]}\n")
    shop.db("create or replace table t as select i as id, i / 7 as x, 'a' as name, 1.5::decimal(9, 2) as price, "
            "now() as at, [1.0, 2.0]::float[2] as v from range(50) as r(i)")  # fmt: skip
    for _ in range(2):
        assert imported(shop, "run") is not None
    return shop


def test_a_night_of_an_unchanged_project_imports_no_compiler(unchanged: Shop) -> None:
    assert imported(unchanged, "run") == []


def test_so_does_a_night_after_rows_have_changed(unchanged: Shop) -> None:
    unchanged.db("update t set x = x + 1 where id < 5")
    assert imported(unchanged, "run") == []


def test_so_do_tests_and_a_listing(unchanged: Shop) -> None:
    assert imported(unchanged, "test") == []
    assert imported(unchanged, "ls") == []


def test_so_does_the_second_lookup_and_neither_makes_the_night_compile_again(unchanged: Shop) -> None:
    for name in ("merged", "m"):
        assert imported(unchanged, "lookup", name, "--key", "id=3") is not None
    again = ("lookup", "merged", "--key", "id=3", "--output", "json")
    assert imported(unchanged, *again, heavy=(*HEAVY, *OF_NIGHTS)) == []
    assert imported(unchanged, "freshness") == []
    assert imported(unchanged, "run") == []


def test_a_changed_model_is_compiled(unchanged: Shop) -> None:
    unchanged.put("models/below.sql", "{{ config(materialized='view') }} select id, {{ twice('x') }} + 1 as x from t")
    assert "sqlglot" in imported(unchanged, "run")
