"""Seeds, flags, selectors, variables and artifacts of earlier runs: through the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from house import FILES, FUNCTIONS, PROFILES, PROJECT, SCORES, Case, House, check

SEED = "seeds/regions.csv"
GOOD = "id,name\n1,north\n"


def seed(text: str | bytes) -> dict[str, str | bytes]:
    return {SEED: text}


def typed(kind: str, text: str = GOOD) -> dict[str, str]:
    return {SEED: text, "seeds/s.yml": f"seeds:\n  - name: regions\n    config: {{column_types: {{id: {kind}}}}}\n"}


SEEDS = [
    Case("empty file", "regions.csv", seed(""), args=("seed",)),
    Case("only blanks", "regions.csv", seed("\n\n\n"), args=("seed",)),
    Case("a row too short", "regions.csv", seed("id,name\n1\n"), args=("seed",)),
    Case("a row too long", "regions.csv", seed("id,name\n1,a,b\n"), args=("seed",)),
    Case("an unclosed quote", "regions.csv", seed('id,name\n1,"north\n2,south\n'), args=("seed",)),
    Case("not UTF-8", "regions.csv", seed("id,name\n1,K\xf6ln\n".encode("latin-1")), args=("seed",)),
    Case("a picture", "regions.csv", seed(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))), args=("seed",)),
    Case("a column twice", "name", seed("name,name\n1,2\n"), args=("seed",)),
    Case("a column twice, in another case", "name", seed("name,NAME\n1,2\n"), args=("seed",)),
    Case("a type that nobody knows", "nubmer", typed("nubmer"), args=("seed",)),
    Case("a value that does not fit its type", "x", typed("integer", "id,name\nx,north\n"), args=("seed",)),
    Case("a type that is SQL", "column_types", typed("'int) as id, (select 1'"), args=("seed",), code=2),
    Case("a type that ends the statement", "column_types", typed("'int); drop table customers; --'"), args=("seed",), code=2),
    Case("a type of a column that is not there", "nme", {SEED: GOOD, "seeds/s.yml":
         "seeds:\n  - name: regions\n    config: {column_types: {nme: text}}\n"}, args=("seed",)),
]  # fmt: skip
FLAGS = [
    Case("an unknown command", "No such command", args=("runn",), hint=None, code=2),
    Case("an unknown flag", "No such option", args=("run", "--selct", "a"), code=2),
    Case("threads of nothing", "--threads", args=("run", "--threads", "0"), code=2),
    Case("threads of text", "--threads", args=("run", "--threads", "two"), code=2),
    Case("an unknown log format", "--log-format", args=("run", "--log-format", "xml"), code=2),
    Case("an unknown output", "--output", args=("preview", "scores", "--output", "xls"), code=2),
    Case("a limit of text", "--limit", args=("preview", "scores", "--limit", "five"), code=2),
    Case("rows of less than one", "--max-rows", args=("preview", "scores", "--max-rows", "0"), code=2),
    Case("preview of nothing", "name one node or give --inline SQL", args=("preview",), code=2, hint="preview churn_scores"),
    Case("preview of two things", "name one node or give --inline SQL", args=("preview", "scores", "--inline", "select 1"), code=2),
    Case("preview of a node that is not there", "no node is named 'scors'", args=("preview", "scors"), code=2, hint="scores"),
    Case("preview of too many rows", "3 inputs would be scored, --max-rows allows 1", code=2, hint="--limit",
         args=("preview", "scores", "--max-rows", "1", "--limit", "-1")),
    Case("preview of SQL that does not parse", "does not parse", args=("preview", "--inline", "select predict('score', x y)"), code=2),
    Case("preview of an unknown function", "unknown function 'scor'", code=2, hint="did you mean 'score'?",
         args=("preview", "--inline", "select predict('scor', x, y) from customers")),
    Case("compile of a node that is not there", "no node is named 'scors'", args=("compile", "scors"), code=2,
         hint="did you mean 'scores'?"),
    Case("a function that is not there", "unknown function 'scor'", args=("functions", "describe", "scor"), code=2, hint="score"),
    Case("an unknown selection method", "unknown selection method 'colour:'", args=("run", "-s", "colour:red"), code=2, hint="tag"),
    Case("an empty selector", "'tag:' is not a selection", args=("run", "-s", "tag:"), code=2, hint="for example"),
    Case("a selector of plusses", "'++' is not a selection", args=("run", "-s", "++"), code=2, hint="for example"),
    Case("a selector with a bad depth", "does not match any enabled nodes", args=("run", "-s", "x+scores"), code=0),
    Case("variables that are no mapping", "--vars is not a mapping", args=("run", "--vars", "3"), code=2, hint="for example"),
    Case("variables that do not parse", "--vars: not valid YAML", args=("run", "--vars", "{a: 1"), code=2, hint="for example"),
    Case("variables with an object", "--vars: the tag", args=("run", "--vars", "a: !!python/name:os.system"), code=2),
    Case("a variable twice", "duplicate key 'a'", args=("run", "--vars", "a: 1\na: 2"), code=2),
    Case("a device of the future", "unknown device 'tpu'", args=("run", "--device", "tpu")),
    Case("memory of nothing", "memory", args=("run", "--memory-limit", "much"), code=2),
    Case("memory below zero", "memory", args=("run", "--memory-limit", "-1GB"), code=2),
    Case("a profiles folder that is not there", "no profiles.yml found", args=("run", "--profiles-dir", "/nowhere"), code=2,
         hint="/nowhere/profiles.yml"),
    Case("init of nothing", "Missing argument", args=("init",), code=2),
    Case("init of a path", "cannot name a project", args=("init", "../x"), code=2),
    Case("init of a folder that is there", "exists already", args=("init", "models"), code=2),
    Case("clean above the project", "clean-targets", {PROJECT: f"{FILES[PROJECT]}clean-targets: ['..']\n"}, args=("clean",), code=2),
    Case("clean of the whole project", "clean-targets", {PROJECT: f"{FILES[PROJECT]}clean-targets: ['.']\n"}, args=("clean",), code=2),
    Case("clean of the models", "clean-targets", {PROJECT: f"{FILES[PROJECT]}clean-targets: [models]\n"}, args=("clean",), code=2),
    Case("retry without a run", "nothing to retry", {"target/run_results.json": None}, args=("retry",), code=2, hint="sqlinfer run"),
    Case("retry of half a file", "cannot be read", {"target/run_results.json": '{"args": {"no'}, args=("retry",), code=2,
         hint="sqlinfer run"),
    Case("retry of an empty file", "cannot be read", {"target/run_results.json": ""}, args=("retry",), code=2),
    Case("retry of a list", "was not written by sqlinfer", {"target/run_results.json": "[]"}, args=("retry",), code=2),
    Case("retry of another program's file", "was not written by sqlinfer", {"target/run_results.json": '{"results": [], "args": {}}'},
         args=("retry",), code=2),
    Case("retry of binary", "cannot be read", {"target/run_results.json": b"\xff\xfe\0"}, args=("retry",), code=2),
    Case("retry of strange results", "was not written by sqlinfer",
         {"target/run_results.json": '{"results": [1], "args": {"nodes": ["model.shop.scores"]}}'}, args=("retry",), code=2),
    Case("debug with a damaged artifact", "is not an ONNX model", {"functions/score.onnx": b"x" * 99}, args=("debug",)),
    Case("debug without a database folder", "ERROR", {PROFILES:
         "shop:\n  outputs:\n    default: {type: duckdb, path: wh.duckdb, settings: {nope: 1}}\n"}, args=("debug",)),
    Case("test of a table that is not built", "error", {"models/new.sql": "select 1 as a", "models/n.yml":
         "models:\n  - name: new\n    columns: [{name: a, data_tests: [not_null]}]\n"}, args=("test",)),
    Case("a singular test that does not parse", "Error in t", {"tests/t.sql": "select frm x"}, args=("test",)),
    Case("a singular test of two statements", "", {"tests/t.sql": "select 1; drop table customers"}, args=("test",)),
    Case("a singular test that breaks out", "", {"tests/t.sql": "select 1) as t; drop table customers; select (1"}, args=("test",)),
    Case("a test on a column that is not there", "nope", {"models/p.yml":
         "models:\n  - name: scores\n    columns: [{name: nope, data_tests: [not_null]}]\n"}, args=("test",)),
    Case("a test that fails", "FAIL", {"models/p.yml":
         "models:\n  - name: scores\n    columns: [{name: s, data_tests: [{accepted_range: {max_value: 1}}]}]\n"}, args=("run",)),
    Case("a where that is SQL", "", {"models/p.yml":
         "models:\n  - name: scores\n    columns: [{name: s, data_tests: [{not_null: {config: {where: '1=1); drop table customers; --'}}}]}]\n"},
         args=("test",)),
    Case("a key that is not unique", "unique_key (name) is not unique", {SCORES:
         "{{ config(unique_key='name') }}select 'a' as name, predict('score', x, y) as s from customers"}, hint="one row for each key"),
    Case("a key that is not there", "nope", {SCORES:
         "{{ config(unique_key='nope') }}select id, predict('score', x, y) as s from customers"}),
    Case("a location that is a folder", "directory", {SCORES:
         "{{ config(materialized='external', location='models') }}select id, predict('score', x, y) as s from customers"}),
    Case("a format that we do not write", "csv", {SCORES:
         "{{ config(materialized='external', location='a.csv', format='csv') }}select id, predict('score', x, y) as s from customers"},
         hint="parquet"),
    Case("an error rate of nothing", "max_error_rate", {SCORES:
         "{{ config(max_error_rate=0) }}select id, predict('score', x, name) as s from customers"}),
    Case("a function of a disabled kind", "unknown function 'score'", {FUNCTIONS:
         str(FILES[FUNCTIONS]) + "    config: {enabled: false}\n"}, hint="declare it"),
]  # fmt: skip


@pytest.mark.parametrize("case", SEEDS, ids=lambda case: case.id)
def test_a_bad_seed_loads_nothing(case: Case, house: Callable[..., House]) -> None:
    shop = house(case.files)
    check(case, shop)
    assert shop.sql("select count(*) from duckdb_tables() where table_name = 'regions'") == [(0,)]


@pytest.mark.parametrize("case", FLAGS, ids=lambda case: case.id)
def test_a_bad_command_changes_nothing(case: Case, house: Callable[..., House]) -> None:
    check(case, house(case.files))
