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
