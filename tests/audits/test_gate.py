"""Data tests of a node decide whether it is published: through the command, looking at the tables."""

from __future__ import annotations

import duckdb
import pytest

INCREMENTAL = "{{ config(materialized='incremental', CONFIG) }} select id, f(x) as p from t"
SLICE = INCREMENTAL + " {% if is_incremental() %}where id >= 2{% endif %}"


def column(tests: str, name: str = "id") -> str:
    return f"    columns:\n      - name: {name}\n        data_tests: {tests}\n"


def table(tests: str) -> str:
    return f"    data_tests: {tests}\n"


GATES = [
    (table("[{row_count: {equals: 3}}]"), True),
    (table("[{row_count: {equals: 4}}]"), False),
    (table("[{row_count: {max: 2}}]"), False),
    (table("[{unique: {columns: [id, p]}}]"), True),
    (table("[{unique: {columns: [half]}}]"), False),
    (table("[{unique: {column_name: id // 2}}]"), False),
    (table("[{dbt_utils.expression_is_true: {expression: p >= 1}}]"), True),
    (table("[{dbt_utils.expression_is_true: {expression: p > 1}}]"), False),
    (table("[{error_rate: {max: 0}}]"), True),
    (column("[unique, not_null]"), True),
    (column("[unique]", "half"), False),
    (column("[{unique: {where: half > 0}}]", "half"), True),
    (column("[{unique: {config: {where: half = 0 or half = 0}}}]", "half"), False),
    (column("[{unique: {error_if: '> 1'}}]", "half"), True),
    (column("[{unique: {error_if: '> 1', fail_calc: sum(n_records)}}]", "half"), False),
    (column("[{unique: {severity: warn}}]", "half"), True),
    (column("[{unique: {config: {severity: warn, store_failures: true}}}]", "half"), True),
    (column("[{unique: {config: {store_failures: true}}}]", "half"), False),
    (column("[{accepted_values: {arguments: {values: [0, 1]}}}]", "half"), True),
    (column("[{accepted_values: {arguments: {values: [0]}}}]", "HALF"), False),
    (column("[{relationships: {to: ref('m'), field: id}}]", "half"), True),
    (column("[{relationships: {to: ref('m'), field: p}}]", "half"), False),
]


@pytest.mark.parametrize(
    ("tests", "passes", "call"),
    [*((*gate, "f(x)") for gate in GATES), *((*gate, "2 * x + 1") for gate in GATES[::4])],
)
def test_a_failing_test_keeps_the_table_from_readers(shop, tests: str, passes: bool, call: str) -> None:
    shop.model(f"select id, id // 2 as half, {call} as p from t", tests)
    code, out = shop("run")
    assert (code == 0) is passes, out
    assert bool(shop.db("select 1 from duckdb_tables() where table_name = 'm'")) is passes, out
    if passes:
        assert shop("test")[0] == 0


def test_a_column_of_any_name_is_tested(shop) -> None:
    shop.model('select id as "The Id", f(x) as p from t', column("[unique, not_null]", "the id"))
    assert shop("run")[0] == 0
    entry = "{name: The Id, quote: true, data_tests: [{accepted_range: {max_value: 1}}]}"
    shop.model('select id as "The Id", f(x) as p from t', f"    columns:\n      - {entry}\n")
    assert shop("run")[0] == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{row_count: {equal: 3}}", "unknown argument 'equal' of test 'row_count'"),
        ("{row_count: {equals: many}}", "equals is a whole number, found text"),
        ("{unique: {columns: [id], column: id}}", "unknown argument 'column' of test 'unique'"),
        ("{unique: {columns: [id], limit: 0}}", "limit: '0' is not a number of rows above 0"),
        ("{unique: {columns: [id], config: {severty: warn}}}", "unknown config 'severty' of a test"),
        (
            "{unique: {columns: [id], config: {store_failures: sometimes}}}",
            "store_failures: 'sometimes' is not true or",
        ),
        ("{unique: {columns: [id], warn_if: many}}", "warn_if: 'many' is not a comparison"),
    ],
)
def test_a_mistake_in_a_test_is_found_before_anything_runs(shop, entry: str, message: str) -> None:
    shop.model("select id, f(x) as p from t", table(f"[{entry}]"))
    code, out = shop("run")
    assert code == 2
    assert message in out
    assert "m.yml:3" in out
    assert "^" in out


def test_a_column_that_is_not_there_is_named(shop) -> None:
    shop.model("select id, f(x) as p from t", column("[not_null]", "idd"))
    code, out = shop("run")
    assert code == 1
    assert "there is no column 'idd'" in out
    assert "did you mean 'id'" in out


def test_each_audit_has_its_line_and_says_what_it_was_configured_to(shop) -> None:
    shop.model(
        "select id, id // 2 as half, f(x) as p from t",
        column("[not_null, {unique: {severity: warn}}, {accepted_values: {values: [7], error_if: '> 9'}}]", "half"),
    )
    code, out = shop("run")
    assert code == 0
    assert "1 of 1 PASS test not_null_m_half" in out
    assert "1 of 1 WARN test unique_m_half" in out
    assert "WARN in test unique_m_half: got 1 result, configured to warn if != 0" in out
    assert "WARN in test accepted_values_m_half: got 2 results, configured to warn if != 0" in out
    assert "configured to error" not in out
    assert "PASS=2 WARN=2 ERROR=0" in out


# ---- store_failures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["f(x)", "2 * x + 1"])
def test_failing_rows_are_stored_as_dbt_stores_them_and_the_gate_stays(shop, call: str) -> None:
    tests = column("[{unique: {config: {store_failures: true}}}]", "half")
    shop.model(f"select id, id // 2 as half, {call} as p from t", tests)
    assert shop("run")[0] == 1
    assert shop.db("from main_dbt_test__audit.unique_m_half") == [(0, 2)]
    shop.db("update t set id = id * 2")
    assert shop("run")[0] == 0
    assert shop.db("from main_dbt_test__audit.unique_m_half") == []
    shop.db("insert into m values (9, 2, 0.0)")
    assert shop("test")[0] == 1
    assert shop.db("from main_dbt_test__audit.unique_m_half") == [(2, 2)]


def test_failing_rows_are_whole_rows_limited_and_where_the_config_says(shop) -> None:
    more = "{not_null: {config: {store_failures_as: table, limit: 1, schema: bad, alias: gaps}}}"
    shop.model("select id, nullif(id, 1) // 2 * null as gap, f(x) as p from t", column(f"[{more}]", "gap"))
    assert shop("run")[0] == 1
    assert len(shop.db("select id, gap, p from main_bad.gaps")) == 1


def test_a_singular_test_stores_its_rows_too(shop) -> None:
    shop.model("select id, f(x) as p from t")
    shop.put("tests/low.sql", "{{ config(store_failures=true) }} select * from {{ ref('m') }} where p < 2")
    assert shop("build")[0] == 1
    assert shop.db("from main_dbt_test__audit.low") == [(0, 1.0)]


# ---- nodes that add to a table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", [INCREMENTAL, INCREMENTAL.replace("f(x)", "x")])
def test_an_appending_node_is_tested_with_what_is_there_already(shop, sql: str) -> None:
    shop.model(sql.replace("CONFIG", "incremental_strategy='append'"), column("[unique]"))
    assert shop("run")[0] == 0
    code, out = shop("run")
    assert code == 1, out
    assert "unique_m_id (3)" in out
    assert shop.db("select count(*) from m") == [(3,)]
    shop.db("update t set id = id + 10")
    assert shop("run")[0] == 0
    assert shop.db("select count(*) from m") == [(6,)]


@pytest.mark.parametrize("strategy", ["merge", "delete+insert"])
def test_a_slice_that_replaces_rows_by_key_is_tested_as_merged(shop, strategy: str) -> None:
    config = f"unique_key='id', incremental_strategy='{strategy}'"
    tests = column("[unique]") + table("[{unique: {columns: [p]}}, {row_count: {equals: 3}}]")
    shop.model(SLICE.replace("CONFIG", config), tests)
    assert shop("run")[0] == 0
    shop.db("update t set x = 7 where id = 2")
    assert shop("run")[0] == 0
    assert shop.db("from m order by id") == [(0, 1.0), (1, 3.0), (2, 15.0)]
    shop.db("update t set x = 1 where id = 2")  # as another published row
    code, out = shop("run")
    assert code == 1
    assert "unique_m_p (1)" in out
    assert shop.db("from m order by id") == [(0, 1.0), (1, 3.0), (2, 15.0)]


def test_a_slice_without_a_key_is_added(shop) -> None:
    shop.model(SLICE.replace("CONFIG", "incremental_strategy='append'"), column("[unique]"))
    assert shop("run")[0] == 0
    assert shop("run")[0] == 1
    assert shop("run", "--full-refresh")[0] == 0


def test_rows_that_left_the_query_are_tested_where_they_stay(shop) -> None:
    tests = table("[{row_count: {max: 3}}]")
    shop.model(INCREMENTAL.replace("CONFIG", "unique_key='id', on_missing='keep'"), tests)
    assert shop("run")[0] == 0
    shop.db("update t set id = 9 where id = 0")
    assert shop("run")[0] == 1
    shop.model(INCREMENTAL.replace("CONFIG", "unique_key='id', on_missing='delete'"), tests)
    assert shop("run")[0] == 0
    assert shop.db("select id from m order by id") == [(1,), (2,), (9,)]


def test_a_shift_is_that_of_tonights_rows(shop) -> None:
    shop.db("create or replace table t as select i as id, i::double as x from range(1000) r(i)")
    sql = (
        INCREMENTAL.replace("CONFIG", "incremental_strategy='append'")
        + " {% if is_incremental() %}where id >= 900{% endif %}"
    )
    shop.model(sql, column("[{distribution_shift: {max: 0.3}}]", "p"))
    assert shop("run")[0] == 0
    assert shop("run")[0] == 1


def test_a_published_table_is_found_whatever_its_case(shop) -> None:
    shop.put("models/m.sql", "{{ config(alias='Scores') }} select id, f(x) as p from t")
    shop.put("models/m.yml", "models:\n  - name: m\n" + column("[{distribution_shift: {max: 0.1}}]", "p"))
    shop.db("create table SCORES as select 1 as id, -5.0::double as p from range(100)")
    code, out = shop("run")
    assert code == 1, out
    assert "distribution_shift_m_p (1)" in out


def test_columns_that_the_query_lacks_keep_their_values_in_what_is_tested(shop) -> None:
    shop.model(SLICE.replace("CONFIG", "unique_key='id'"), column("[not_null]", "note"))
    shop.db("create table m as select id, 0.0::double as p, 'noted' as note from t")
    assert shop("run")[0] == 0
    assert shop.db("select id, note from m order by id") == [(0, "noted"), (1, "noted"), (2, "noted")]
    shop.db("update t set id = 9 where id = 2")
    assert shop("run")[0] == 1


def test_columns_that_come_are_there_in_what_is_tested(shop) -> None:
    config = "unique_key='id', on_schema_change='append_new_columns'"
    shop.model(INCREMENTAL.replace("CONFIG", config))
    assert shop("run")[0] == 0
    tests = column("[{not_null: {where: id < 3}}]", "more")
    shop.model(INCREMENTAL.replace("CONFIG", config).replace("as p", "as p, 1 as more"), tests)
    assert shop("run")[0] == 0


TO = "[{relationships: {to: ref('NAME'), field: id}}]"


def test_a_relation_that_a_test_reads_is_built_first(shop) -> None:
    shop.put("models/z.sql", "select id from t")
    shop.model("select id, f(x) as p from t", column(TO.replace("NAME", "z")))
    assert shop("build")[0] == 0
    shop.db("insert into t values (7, 7)")  # both have it tonight
    code, out = shop("build")
    assert code == 0, out
    assert shop.db("select max(id) from m") == [(7,)]


def test_a_test_that_reads_what_is_built_from_the_node_runs_afterwards(shop) -> None:
    shop.put("models/z.sql", "select id from {{ ref('m') }} where id < 2")
    shop.model("select id, f(x) as p from t", column(TO.replace("NAME", "z")))
    assert shop("run")[0] == 0
    code, out = shop("build")
    assert code == 1
    assert out.index("OK created table model main.z") < out.index("FAIL 1"), out
    shop.db("delete from t where id = 2")
    assert shop("build")[0] == 0


def test_two_nodes_whose_tests_read_each_other_are_built(shop) -> None:
    shop.put("models/z.sql", "select id from t")
    also = "  - name: z\n" + column(TO.replace("NAME", "m"))
    shop.model("select id, f(x) as p from t", column(TO.replace("NAME", "z")) + also)
    code, out = shop("build")
    assert code == 0, out
    assert out.count("PASS in") == 2


@pytest.mark.parametrize(
    ("values", "passes"),
    [("[1, 2]", True), ("['1', 2]", True), ("[1]", False), ("[1, 2.5]", False), ("[1, b]", False)],
)
def test_values_of_a_text_column_are_compared_as_text(shop, values: str, passes: bool) -> None:
    tests = column(f"[{{accepted_values: {{values: {values}}}}}]", "grade")
    shop.model("select (id % 2 + 1)::text as grade, f(x) as p from t", tests)
    code, out = shop("run")
    assert (code == 0) is passes, out
    assert passes or "got 1 result" in out


@pytest.mark.parametrize(
    "test",
    [
        "{accepted_range: {max_value: (select max(x) from t)}}",
        "{accepted_values: {values: ['(select max(x) from t)', '0', '1'], quote: false}}",
        "{not_null: {fail_calc: '(select count(*) from t) - 3'}}",
    ],
)
def test_a_subquery_in_an_argument_reads_the_warehouse(shop, test: str) -> None:
    shop.model("select id, x, f(x) as p from t", column(f"[{test}]", "x"))
    code, out = shop("run")
    assert code == 0, out


def test_the_place_of_the_rows_that_failed_can_be_read(shop) -> None:
    shop.model("select id, 1 as one, f(x) as p from t", column("[unique]", "one"))
    code, out = shop("run")
    assert code == 1
    table = out.split("kept until the next run: table ")[1].split(" in ")[0]
    with duckdb.connect(str(shop.root / "w.sqlinfer.duckdb")) as side:
        assert side.sql(f"select count(*) from {table}").fetchall() == [(3,)]


@pytest.mark.parametrize(
    ("calculation", "message"), [("value_field", "gives more than one row"), ("min('many')", "gives no number")]
)
def test_a_calculation_of_failures_is_one_number(shop, calculation: str, message: str) -> None:
    test = f'[{{accepted_values: {{values: [9], fail_calc: "{calculation}"}}}}]'
    shop.model("select id, f(x) as p from t", column(test))
    code, out = shop("run")
    assert code == 1
    assert f"fail_calc {calculation} {message}" in out
    assert "Traceback" not in out
