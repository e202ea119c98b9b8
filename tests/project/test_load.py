"""What a sound project loads as."""

import dataclasses
import time

import pytest
from project_files import BASE, loaded, write

from sqlinfer.errors import SqlinferError
from sqlinfer.project import load
from sqlinfer.relation import Relation
from sqlinfer.testing.patience import patience


def test_nodes_know_their_relation_parents_and_functions(tmp_path):
    project = loaded(tmp_path)
    scores = project.node("scores")
    assert scores.relation == Relation("scores", "main", "shop")
    assert scores.depends_on == ("model.shop.customers",)
    assert scores.functions == ("churn_score",)
    assert project.node("customers").depends_on == ("seed.shop.raw",)
    assert project.node("customers").fqn == ("shop", "staging", "customers")


def test_config_of_the_file_beats_yml_beats_project_and_tags_add_up(tmp_path):
    files = {
        "sqlinfer_project.yml": BASE["sqlinfer_project.yml"]
        + "models:\n  +tags: a\n  shop:\n    +materialized: view\n    staging: {+schema: stg, +meta: {x: 1}}\n",
        "models/p.yml": "models:\n  - name: customers\n    config: {tags: [b], lineage: true, schema: other}\n"
        "  - name: scores\n    config: {materialized: table}\n",
        "models/staging/customers.sql": "{{ config(tags=['c', 'a'], schema='third') }}select 1",
    }
    project = loaded(tmp_path, files)
    customers = project.node("customers")
    assert customers.tags == ("a", "b", "c")
    assert customers.config.materialized == "view"
    assert customers.config.lineage
    assert customers.config.meta == {"x": 1}
    assert customers.relation == Relation("customers", "main_third", "shop")
    assert project.node("scores").config.materialized == "table"


def test_paths_that_configure_nothing_are_warned_of(tmp_path):
    text = BASE["sqlinfer_project.yml"] + "models: {shop: {mart: {+materialized: view}}}\nquery-comment: x\n"
    warnings = loaded(tmp_path, {"sqlinfer_project.yml": text}).warnings
    assert any("models.shop.mart" in warning for warning in warnings)
    assert any("query-comment" in warning for warning in warnings)


def test_disabled_models_are_left_out(tmp_path):
    files = {"models/campaign.sql": "{{ config(enabled=false) }}{{ var('never_given', 1) }}"}
    project = loaded(tmp_path, files)
    assert project.node("campaign") is None
    assert project.disabled == ("model.shop.campaign",)


def test_depending_on_a_disabled_model_is_an_error(tmp_path):
    with pytest.raises(SqlinferError, match="depends on 'scores', which is disabled"):
        loaded(tmp_path, {"models/scores.sql": "{{ config(enabled=false) }}select 1"})


def test_refs_inside_is_incremental_are_seen(tmp_path):
    sql = "select 1 {% if is_incremental() %} from {{ ref('raw') }} {% endif %}"
    assert loaded(tmp_path, {"models/scores.sql": sql}).node("scores").depends_on == ("seed.shop.raw",)


def test_data_tests_in_every_spelling_of_dbt(tmp_path):
    yml = """models:
  - name: scores
    data_tests:
      - row_count: {min_value: 1}
    columns:
      - name: s
        tests:
          - not_null
          - accepted_range: {min_value: 0, max_value: 1, config: {severity: warn, where: "id > 3"}}
          - relationships: {name: known, arguments: {to: ref('raw'), field: id}}
          - dbt_utils.accepted_range: {min_value: 0, name: again}
          - unique: {config: {enabled: false}}
"""
    project = loaded(tmp_path, {"models/p.yml": yml, "tests/t.sql": "select * from {{ ref('campaign') }}"})
    tests = {test.name: test for test in project.tests.values()}
    assert list(tests) == ["row_count_scores", "not_null_scores_s", "accepted_range_scores_s", "known", "again", "t"]
    assert (tests["accepted_range_scores_s"].severity, tests["accepted_range_scores_s"].where) == ("warn", "id > 3")
    assert tests["known"].arguments["to"] == Relation("raw", "main", "shop")
    assert tests["known"].depends_on == ("model.shop.scores", "seed.shop.raw")
    assert (tests["t"].kind, tests["t"].depends_on) == ("singular", ("model.shop.campaign",))


def test_sources_resolve(tmp_path):
    yml = "sources:\n  - name: lake\n    schema: raw_data\n    tables:\n      - {name: events, identifier: evt}\n"
    project = loaded(tmp_path, {"models/s.yml": yml, "models/x.sql": "select * from {{ source('lake', 'events') }}"})
    assert project.sources["source.shop.lake.events"].relation == Relation("evt", "raw_data", "shop")
    assert project.node("x").sources == ("source.shop.lake.events",)


def test_a_function_as_in_the_design(tmp_path):
    yml = """functions:
  - name: f
    model: {path: sub/m.onnx, inputs: {x: [a, b]}}
    arguments:
      - {name: a, data_type: integer, on_null: nan, on_cast_error: null}
      - {name: b, data_type: double precision, on_null: {default: 0}}
    returns:
      data_type: struct
      fields:
        - {name: label, data_type: varchar, output: y, labels: ["no", "yes"], argmax: true}
        - {name: p, data_type: "float[3]", output: z, activation: softmax}
    tokenizer: {path: tok.json, argument: a}
    config: {reuse: false, batch_size: 64, on_invalid: error, row_wise: force, tags: nightly}
"""
    yml = yml.replace("data_type: integer, on_null: nan", "data_type: real, on_null: nan")
    function = loaded(tmp_path, {"functions/churn.yml": yml}).functions["f"]
    assert function.path == tmp_path / "functions/sub/m.onnx"
    assert [(a.data_type, a.on_null, a.default) for a in function.arguments] == [
        ("REAL", "nan", None),
        ("DOUBLE", "default", 0),
    ]
    assert function.is_struct
    assert [(f.name, f.data_type, f.labels) for f in function.returns] == [
        ("label", "TEXT", ("no", "yes")),
        ("p", "REAL[3]", None),
    ]
    assert (function.reuse, function.batch_size, function.on_invalid, function.row_wise) == (
        "false",
        64,
        "error",
        "force",
    )
    assert function.tokenizer.path == tmp_path / "functions/tok.json"
    assert function.tags == ("nightly",)


def test_profile_strings_are_rendered_and_secrets_collected(tmp_path):
    profiles = """shop:
  target: "{{ env_var('TARGET', 'dev') }}"
  outputs:
    dev:
      type: duckdb
      path: /data/x.duckdb
      threads: "{{ env_var('N') | as_number }}"
      settings: {s3_secret_access_key: hidden}
      other: "pre-{{ env_var('DBT_ENV_SECRET_A') | upper }}"
"""
    env = {"N": "4", "DBT_ENV_SECRET_A": "abc", "DBT_ENV_SECRET_B": "unused"}
    profile = loaded(tmp_path, {"profiles.yml": profiles}, env=env).profile
    assert (profile.threads, profile.database, profile.config["other"]) == (4, "x", "pre-abc")
    assert set(profile.secrets) == {"hidden", "abc", "unused"}
    assert "hidden" not in repr(profile)
    assert "abc" not in repr(profile)


def test_a_relative_database_path_belongs_to_the_project_that_holds_the_profile(tmp_path, monkeypatch):
    assert loaded(tmp_path / "p").profile.config["path"] == str(tmp_path / "p" / "shop.duckdb")
    elsewhere = tmp_path / "home" / ".dbt"
    elsewhere.mkdir(parents=True)
    (tmp_path / "p" / "profiles.yml").rename(elsewhere / "profiles.yml")
    monkeypatch.chdir(elsewhere)
    profile = load(tmp_path / "p", env={"HOME": str(tmp_path / "home")}).profile
    assert profile.config["path"] == str(elsewhere / "shop.duckdb")


def test_vars_of_the_command_line_win(tmp_path):
    assert loaded(tmp_path, vars="{min_age: 21, b: 1}").vars == {"min_age": 21, "b": 1}


def test_bom_and_crlf_are_read(tmp_path):
    text = b"\xef\xbb\xbf" + BASE["sqlinfer_project.yml"].replace("\n", "\r\n").encode()
    assert loaded(tmp_path, {"sqlinfer_project.yml": text}).name == "shop"


def test_values_are_frozen(tmp_path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded(tmp_path).name = "x"


def test_a_project_of_500_models_loads_within_seconds(tmp_path):
    files = {
        f"models/many/m{i}.sql": f"select * from {{{{ ref('{f'm{i - 1}' if i else 'raw'}') }}}}" for i in range(500)
    }
    write(tmp_path, files)
    started = time.perf_counter()
    project = load(tmp_path, env={})
    assert len(project.nodes) == 504
    assert time.perf_counter() - started < patience(5)


def test_a_projects_own_macro_names_schemas(tmp_path):
    macro = (
        "{% macro generate_schema_name(custom_schema_name, node) -%}\n"
        "{{ target.schema if custom_schema_name is none else custom_schema_name | trim }}\n{%- endmacro %}\n"
    )
    config = "{{ config(schema='marts') }}"
    files = {"macros/names.sql": macro, "models/campaign.sql": f"{config} select * from {{{{ ref('scores') }}}}"}
    project = loaded(tmp_path, files)
    assert project.node("campaign").relation.schema == "marts"
    assert project.node("scores").relation.schema == "main"


@pytest.mark.parametrize("bound", ["'>=0.1.0'", '[">=0.0.1", "<99.0.0"]', "'>=0.1,<99'", "'!=0.0.9'"])
def test_a_version_that_fits_is_accepted(tmp_path, bound):
    text = BASE["sqlinfer_project.yml"] + f"require-sqlinfer-version: {bound}\n"
    assert loaded(tmp_path, {"sqlinfer_project.yml": text}).name == "shop"
