"""Plain dbt's UP TO DATE: true only while the SQL and the functions are those that the predictions were made with."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def scored(shop):
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 0, done.text
    return shop


def test_the_run_record_holds_what_the_node_was_made_from(scored):
    ((checksum, functions, provenance),) = scored.rows("select sql_checksum, functions, provenance from sqlinfer_runs")
    made = json.loads(provenance)
    assert len(checksum) == 32
    assert checksum == made["sql"]
    assert functions[0].split("@")[1] == made["functions"]["churn_score"][:12]
    assert set(made["files"]) == {"ml/churn.yml", "ml/churn.onnx"}


def _edit_sql(shop):
    shop.edit("models/marts/churn_scores.sql", " as churn_probability", " + 0 as churn_probability")


def _edit_yml(shop):
    shop.edit("ml/churn.yml", "activation: sigmoid", "activation: softmax")


def _new_model_file(shop):
    (shop.root / "ml" / "churn.onnx").write_bytes(b"another model")


def _lost_model_file(shop):
    (shop.root / "ml" / "churn.onnx").unlink()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_edit_sql, "its SQL has changed"), (_edit_yml, "ml/churn.yml has changed"),
        (_new_model_file, "ml/churn.onnx has changed"), (_lost_model_file, "ml/churn.onnx has changed"),
    ],
)  # fmt: skip
@pytest.mark.thorough("_edit_yml", "_lost_model")
def test_what_changed_since_the_scoring_is_named(scored, change, named):
    assert "UP TO DATE" in scored.dbt("run", "--select", "churn_scores").text
    change(scored)
    done = scored.dbt("run", "--select", "churn_scores")
    assert done.code == 1
    assert f"not up to date: {named} since it was scored" in done.text


def test_a_variable_and_a_macro_change_the_sql_too(scored):
    scored.write("macros/share.sql", "{% macro share() %}{{ var('share', 1) }}{% endmacro %}")
    scored.edit("models/marts/churn_scores.sql", "ref('customers') }}", "ref('customers') }} where {{ share() }} > 0")
    assert scored.sqlinfer("run", "--dbt").code == 0
    assert "UP TO DATE" in scored.dbt("run", "--select", "churn_scores").text
    other = scored.dbt("run", "--select", "churn_scores", "--vars", "{share: 2}")
    assert "its SQL has changed" in other.text


def test_a_node_that_becomes_a_slice_on_its_second_night_is_up_to_date(scored):
    scored.edit(
        "models/marts/churn_scores.sql", "from {{ ref('customers') }}",
        "from {{ ref('customers') }} {% if sqlinfer.is_incremental() %}where customer_id > 50{% endif %}",
    )  # fmt: skip
    for flags in (("--full-refresh",), ()):
        assert scored.sqlinfer("run", "--dbt", *flags).code == 0
        done = scored.dbt("run", "--select", "churn_scores")
        assert "UP TO DATE" in done.text, done.text
    scored.edit("models/marts/churn_scores.sql", "> 50", "> 60")
    assert "its SQL has changed" in scored.dbt("run", "--select", "churn_scores").text


def test_files_are_found_from_another_folder(scored, tmp_path):
    elsewhere = type(scored)(tmp_path, scored.program)
    where = ("--project-dir", str(scored.root), "--profiles-dir", str(scored.root))
    database = {"SQLINFER_SHOP_DB": str(scored.root / "shop.duckdb")}
    done = elsewhere.dbt("run", "--select", "churn_scores", *where, **database)
    assert "UP TO DATE" in done.text, done.text


def test_a_record_of_an_older_version_proves_nothing(scored):
    scored.change("alter table sqlinfer_runs drop column provenance")
    done = scored.dbt("run", "--select", "churn_scores")
    assert "recorded by an older sqlinfer" in done.text
    assert scored.sqlinfer("run", "--dbt").code == 0
    assert "UP TO DATE" in scored.dbt("run", "--select", "churn_scores").text


def test_state_modified_sees_a_new_model_file(scored):
    macro = "macros/sqlinfer_functions.sql"
    assert scored.dbt("parse").code == 0
    assert scored.sqlinfer("dbt", "checksums", "-o", macro).code == 0
    assert "up to date" in scored.sqlinfer("dbt", "checksums", "-o", macro).text
    assert scored.dbt("parse").code == 0
    scored.write("state/manifest.json", (scored.root / "target" / "manifest.json").read_text())
    modified = ("ls", "--quiet", "--resource-type", "model", "--select", "state:modified", "--state", "state")
    assert scored.dbt(*modified).out.split() == []
    _new_model_file(scored)
    assert "Wrote" in scored.sqlinfer("dbt", "checksums", "-o", macro).text
    assert scored.dbt(*modified).out.split() == ["sqlinfer_shop.marts.churn_scores"]


SOURCES = """
version: 2
sources:
  - name: raw
    schema: main
    tables:
      - {name: by_field, loaded_at_field: loaded}
      - {name: by_query, loaded_at_query: "select max(loaded) from {{ this }}"}
"""


def test_newer_rows_of_a_source_are_seen_in_any_time_zone(shop):
    """Moments without a zone are meant in UTC, as dbt's source freshness reads them."""
    version = json.loads((shop.root / "target/manifest.json").read_text())["metadata"]["dbt_version"]
    with_queries = tuple(int(part) for part in version.split(".")[:2]) >= (1, 10)
    names = ("by_field", "by_query") if with_queries else ("by_field",)
    shop.write("models/raw/sources.yml", "\n".join(line for line in SOURCES.splitlines() if "by_query" not in line
                                                   or with_queries))  # fmt: skip
    for name in names:
        shop.change(f"create table {name} as select 1 as id, timestamp '2020-01-01' as loaded")
        shop.write(f"models/raw/of_{name}.sql", "{{ config(materialized='prediction') }} select id,"
                   " {{ sqlinfer.predict('churn_score', orders='id', returns='0', spent='0', failed_payments='0',"
                   " days_since_order='id') }} as p from {{ source('raw', '" + name + "') }}")  # fmt: skip
    assert shop.sqlinfer("run", "--dbt", "--select", "raw").code == 0
    before = shop.dbt("run", "--select", "raw", TZ="Asia/Tokyo")
    assert before.text.count("UP TO DATE") == len(names), before.text
    named = []
    for name in names:
        shop.change(f"insert into {name} select 2, now() at time zone 'UTC'")
        named.append(f"not up to date: {name} was")
    after = shop.dbt("run", "--select", "raw", TZ="Asia/Tokyo")
    assert [text for text in named if text not in after.text] == []
