"""Each thing a user can get wrong: one message, at the file and line of the mistake."""

import pytest
from project_files import BASE, loaded, write

from sqlinfer.errors import SqlinferError, UsageError
from sqlinfer.project import load

PROJECT, PROFILES, FUNCTIONS = "sqlinfer_project.yml", "profiles.yml", "functions/churn.yml"
YML, SCORES = "models/p.yml", "models/scores.sql"


def project(extra):
    return BASE[PROJECT] + extra


def function(old, new):
    assert old in BASE[FUNCTIONS]
    return BASE[FUNCTIONS].replace(old, new)


def column_tests(text):
    return f"models:\n  - name: scores\n    columns:\n      - name: s\n        data_tests:\n          - {text}\n"


CASES = [
    # file, text, message, line, hint
    (PROJECT, "", "is empty", 1, "name"),
    (PROJECT, "profile: shop\n", "'name' is missing", 1, None),
    (PROJECT, project("modles: {}\n"), "unknown key 'modles'", 5, "did you mean 'models'"),
    (PROJECT, project("name: other\n"), "duplicate key 'name'", 5, "line 1"),
    (PROJECT, project("on-run-starts: select 1\n"), "unknown key 'on-run-starts'", 5, None),
    (PROJECT, "name: 'a b'\nprofile: shop\n", "'a b' is not allowed", 1, None),
    (PROJECT, "- a\n", "expected a mapping", 1, None),
    (PROJECT, "name: shop\n\tprofile: x\n", "not valid YAML", 2, None),
    (PROJECT, "name: shop\nprofile: [x\n", "not valid YAML", 3, None),
    (PROJECT, project("vars: 3\n").replace("vars: {min_age: 18}\n", ""), "vars", 4, None),
    (PROJECT, project("x: !!python/object/apply:os.system [ls]\n"), "is not allowed", 5, "plain YAML"),
    (PROJECT, b"name: shop\nprofile: caf\xe9\n", "not UTF-8", 2, "UTF-8"),
    (
        PROJECT,
        project("models:\n  shop:\n    +materialised: view\n"),
        "unknown config 'materialised'",
        7,
        "materialized",
    ),
    (PROJECT, project("models:\n  shop:\n    +materialized: vew\n"), "'vew' is not allowed", 7, "view"),
    (PROJECT, project("models:\n  shop:\n    +pre-hook: 7\n"), "pre-hook is SQL", 7, None),
    (PROJECT, project("models:\n  shop:\n    +sql_header: x\n"), "'sql_header' is not supported", 7, "pre_hook"),
    (PROJECT, project("models:\n  shop:\n    +grants: {select: [a]}\n"), "'grants' is not supported", 7, "post_hook"),
    (
        PROJECT,
        project("models:\n  shop:\n    +quoting: {identifier: false}\n"),
        "quoting: 'False' is not allowed",
        7,
        None,
    ),
    (PROJECT, project("data_tests:\n  +severity: warn\n"), "'data_tests' in sqlinfer_project.yml is not", 5, "config:"),
    (PROJECT, project("on-run-start: [{sqll: x}]\n"), "on-run-start is SQL", 5, None),
    (PROJECT, project("model-paths: [../x]\n"), "leaves the project folder", 5, None),
    (PROJECT, project("models: {shop: {+tags: \"{{ var('nope') }}\"}}\n"), "var 'nope' is not defined", 5, None),
    (PROJECT, "name: shop\nprofile: shp\n", "profile 'shp' is not in", 2, "did you mean 'shop'"),
    (PROJECT, "name: shop\n", "no profile is chosen", 1, "profile: shop"),
    (PROFILES, "", "profiles.yml is empty", 1, None),
    (
        PROFILES,
        "shop:\n  target: prod\n  outputs:\n    dev: {type: duckdb}\n",
        "target 'prod' is not in",
        2,
        "known: dev",
    ),
    (PROFILES, "shop:\n  outputs:\n    dev: {type: duckdb}\n", "target 'default' is not in", 2, "known: dev"),
    (PROFILES, "shop:\n  target: dev\n", "has no outputs", 1, None),
    (PROFILES, "shop:\n  taget: dev\n", "unknown key 'taget'", 2, "did you mean 'target'"),
    (PROFILES, "shop:\n  target: dev\n  outputs:\n    dev: {path: x}\n", "'type' is missing", 4, "duckdb"),
    (
        PROFILES,
        "shop:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      threads: none\n",
        "threads must be a whole number",
        6,
        None,
    ),
    (
        PROFILES,
        "shop:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      path: \"{{ env_var('DB') }}\"\n",
        "environment variable 'DB' is not set",
        6,
        "default",
    ),
    (PROFILES, "shop:\n  target: dev\n  outputs:\n    dev: {type: ducdb}\n", "type 'ducdb' is not", 4, "duckdb"),
    (FUNCTIONS, function("arguments:", "argments:"), "unknown key 'argments'", 4, "arguments"),
    (FUNCTIONS, function("returns:", "return:"), "unknown key 'return'", 7, "returns"),
    (FUNCTIONS, function("path:", "pth:"), "unknown key 'pth'", 3, "path"),
    (FUNCTIONS, function("integer", "intger"), "is not a type", 5, None),
    (FUNCTIONS, function("name: charges", "name: tenure"), "duplicate argument 'tenure'", 6, "line 5"),
    (FUNCTIONS, function("double}\n    r", "double, on_null: nul}\n    r"), "on_null: 'nul'", 6, "null"),
    (FUNCTIONS, function("integer}", "integer, on_null: nan}"), "floating-point", 5, None),
    (FUNCTIONS, function("integer}", "integer, on_null: {default: x}}"), "is text", 5, None),
    (FUNCTIONS, function("integer}", "integer, on_cast_error: skip}"), "'skip' is not one of", 5, None),
    (FUNCTIONS, function("churn.onnx}", "churn.onnx, inputs: {x: [tenur]}}"), "unknown argument 'tenur'", 3, "tenure"),
    (FUNCTIONS, function("path: churn.onnx", "source: torch"), "'entrypoint' is missing", 3, None),
    (FUNCTIONS, function("path: churn.onnx", "source: pickle"), "'pickle' is not one of", 3, None),
    (FUNCTIONS, function("path: churn.onnx", "source: torch, entrypoint: a"), "not of the form", 3, None),
    (FUNCTIONS, function("churn.onnx}", "churn.onnx, trust: abc}"), "sha256", 3, None),
    (FUNCTIONS, function("{data_type: double}\n", "{data_type: struct}\n"), "needs 'fields'", 7, None),
    (FUNCTIONS, function("{data_type: double}\n", "{data_type: double, index: -1}\n"), "counts from 0", 7, None),
    (FUNCTIONS, BASE[FUNCTIONS] + "    config: {batch_size: 0}\n", "batch_size", 8, None),
    (FUNCTIONS, BASE[FUNCTIONS] + "    config: {reuse: maybe}\n", "reuse: 'maybe' is not one of", 8, None),
    (FUNCTIONS, BASE[FUNCTIONS] + "    config: {device: gpu}\n", "'gpu' is not allowed", 8, None),
    (FUNCTIONS, BASE[FUNCTIONS] + BASE[FUNCTIONS][11:], "duplicate function 'churn_score'", 8, "churn.yml:2"),
    (YML, "models:\n  - name: scors\n", "no model is named 'scors'", 2, "did you mean 'scores'"),
    (YML, "models:\n  - name: scores\n  - name: scores\n", "described twice", 3, "p.yml:2"),
    (YML, "models:\n  - name: scores\n    colums: []\n", "unknown key 'colums'", 3, "columns"),
    (YML, "models:\n  - name: scores\n    columns:\n      - name: a\n        typ: x\n", "unknown key 'typ'", 5, None),
    (YML, "models:\n  - name: scores\n    config: {tag: x}\n", "unknown config 'tag'", 3, "tags"),
    (YML, "models:\n  - name: scores\n    config: {max_error_rate: 2}\n", "max_error_rate", 3, None),
    (YML, "functions: []\n", "'functions' belongs into", 1, "functions/"),
    (YML, column_tests("uniqe"), "unknown test 'uniqe'", 6, "unique"),
    (YML, column_tests("accepted_values: {value: [1]}"), "unknown argument 'value'", 6, "values"),
    (YML, column_tests("accepted_values: {values: 1}"), "values is a list", 6, None),
    (YML, column_tests("accepted_range: {severity: warn}"), "needs 'min_value'", 6, None),
    (YML, column_tests("unique: {severity: fatal}"), "'fatal' is not one of", 6, None),
    (YML, column_tests("unique: {error_if: many}"), "not a comparison", 6, None),
    (YML, column_tests("relationships: {to: ref('rw'), field: id}"), "unknown model or seed 'rw'", 6, "raw"),
    (YML, column_tests("relationships: {field: id}"), "needs 'to'", 6, None),
    (YML, "models:\n  - name: scores\n    data_tests: [not_null]\n", "belongs to a column", 3, None),
    (SCORES, "select 1\nfrom {{ ref('custmers') }}\n", "unknown model or seed 'custmers'", 2, "customers"),
    (SCORES, "select 1\nfrom {{ source('a', 'b') }}\n", "unknown source 'a.b'", 2, None),
    (SCORES, "select 1\nfrom {{ ref('customers', v=2) }}\n", "ref() does not take 'v'", 2, None),
    (SCORES, "select {{ var('min_ag') }}\n", "var 'min_ag' is not defined", 1, "min_age"),
    (SCORES, "select 1,\n  {{ nope }}\n", "'nope' is undefined", 2, None),
    (SCORES, "select\n{{ adapter.x() }}\n", "adapter.x is not there", 2, "warehouse"),
    (SCORES, "select\n{{ env_var('DBT_ENV_SECRET_K') }}\n", "only be used in profiles.yml", 2, None),
    (SCORES, "select\n{% if x %}\n1\n", "Unexpected end of template", 2, None),
    (SCORES, "select\n{% iff x %}\n1\n", "unknown tag 'iff'", 2, "did you mean 'if'"),
    (SCORES, "a\n{{ exceptions.raise_compiler_error('stop here') }}\n", "stop here", 2, None),
    (SCORES, "{{ config(\n  materialised='view') }}\nselect 1\n", "unknown config 'materialised'", 2, "materialized"),
    (SCORES, "\n{{ config(post_hook={'sql': 'x', 'at': 1}) }}\nselect 1\n", "unknown key 'at' of post_hook", 2, None),
    (SCORES, "{{ config(incremental_strategy='merge') }}\nselect 1\n", "needs a unique_key", 1, "unique_key"),
    (SCORES, "{{ config(materialized='external') }}\nselect 1\n", "needs a location", 1, None),
    (SCORES, "select 1\n{{ 1 / 0 }}\n", "division by zero", 2, None),
    (SCORES, "select 1\nfrom {{ ref('campaign') }}\n", "cycle: campaign → scores → campaign", 1, None),
    ("macros/m.sql", "\n{% macro a() %}\n", "Unexpected end of template", 2, None),
    ("macros/m.sql", "{% macro a() %}{% endmacro %}\n{% macro a() %}{% endmacro %}\n", "duplicate macro 'a'", 2, None),
    ("models/staging/scores.sql", "select 1\n", "duplicate name 'scores'", 1, "models/scores.sql"),
    ("seeds/scores.csv", "a\n1\n", "duplicate name 'scores'", 1, "models/scores.sql"),
    ("tests/t.sql", "{{ config(sevrity='warn') }}\nselect 1\n", "unknown config 'sevrity'", 1, "severity"),
]


@pytest.mark.parametrize(("file", "text", "message", "line", "hint"), CASES, ids=range(len(CASES)))
def test_a_mistake_is_named_at_its_file_and_line(tmp_path, file, text, message, line, hint):
    with pytest.raises(SqlinferError) as caught:
        loaded(tmp_path, {file: text})
    error = caught.value
    assert message in error.message
    assert error.location is not None
    assert error.location.line == line
    if hint is not None:
        assert hint in (error.hint or "")


def test_the_offending_key_is_underlined(tmp_path):
    with pytest.raises(SqlinferError) as caught:
        loaded(tmp_path, {FUNCTIONS: function("integer}", "integer, on_nul: nan}")})
    assert "on_nul" in caught.value.location.excerpt()
    assert caught.value.location.excerpt().count("^") == len("on_nul")


def test_an_undefined_var_is_underlined_in_the_sql(tmp_path):
    with pytest.raises(SqlinferError) as caught:
        loaded(tmp_path, {SCORES: "select 1,\n       {{ var('min_ag') }}\n"})
    assert (caught.value.location.line, caught.value.location.column) == (2, 16)
    assert caught.value.location.path.name == "scores.sql"


def test_an_error_in_a_macro_is_placed_in_the_macro_file(tmp_path):
    files = {"macros/m.sql": "{% macro a() %}\n\n{{ var('gone') }}{% endmacro %}\n", SCORES: "select {{ a() }}\n"}
    with pytest.raises(SqlinferError) as caught:
        loaded(tmp_path, files)
    assert (caught.value.location.path.name, caught.value.location.line) == ("m.sql", 3)


def test_a_missing_project_file_is_named_with_a_hint(tmp_path):
    with pytest.raises(SqlinferError, match=r"no sqlinfer_project\.yml in") as caught:
        load(tmp_path, env={})
    assert "sqlinfer init" in caught.value.hint


def test_a_missing_profiles_file_lists_the_places_tried(tmp_path):
    root = write(tmp_path)
    (root / "profiles.yml").unlink()
    with pytest.raises(SqlinferError, match=r"no profiles\.yml found") as caught:
        load(root, env={"HOME": "/nowhere"})
    assert "/nowhere/.dbt/profiles.yml" in caught.value.hint


def test_an_unknown_target_from_the_command_line_lists_the_known(tmp_path):
    with pytest.raises(SqlinferError, match="target 'prod'") as caught:
        loaded(tmp_path, target="prod")
    assert "known: dev" in caught.value.hint


def test_vars_that_are_no_mapping_are_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="--vars is not a mapping"):
        loaded(tmp_path, vars="3")


def test_an_alias_bomb_is_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(SqlinferError, match="too many values"):
        loaded(tmp_path, {YML: "\n".join(lines) + "\n"})


def test_a_file_above_the_size_limit_is_refused(tmp_path):
    with pytest.raises(SqlinferError, match="larger than 10 MB"):
        loaded(tmp_path, {YML: "#" * 10_000_001})
