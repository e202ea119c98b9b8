"""Hooks of nodes and of whole runs through the command line: when they run, what they see, what is undone."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import duckdb
import pytest

from sqlinfer.adapters.base import Materialization
from sqlinfer.cli.main import invoke
from sqlinfer.compiler.template.hooks import Hooks
from sqlinfer.project.values import Hook
from sqlinfer.relation import Relation
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.publication import Publication
from sqlinfer.testing.onnx_builder import linear

PROFILES = "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n"
FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
"""
QUERY = "select id, predict('f', x) as p from t"


@dataclass
class Shop:
    """f(x) = 2x + 1 over table t: id 0 to 3, x = id; a table `log` of texts."""

    root: Path
    capfd: pytest.CaptureFixture[str]

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tried(self, *words: str) -> tuple[int, str]:
        code = invoke([*(words or ("run",)), "--project-dir", str(self.root)])
        out = self.capfd.readouterr()
        return code, out.out + out.err

    def run(self, *words: str) -> str:
        code, text = self.tried(*words)
        assert code == 0, text
        return text

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.root / "w.duckdb")) as connection:
            return connection.execute(statement).fetchall()

    def log(self) -> list[str]:
        return [row[0] for row in self.sql("select w from log")]


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shop:
    made = Shop(tmp_path, capfd)
    made.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    made.put("profiles.yml", PROFILES)
    made.put("functions/f.yml", FUNCTION)
    linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    made.sql("create table t as select i as id, i::double as x from range(4) r(i)")
    made.sql("create table log (w text)")
    return made


def say(text: str) -> str:
    return f"insert into log values ('{text}')"


BOTH = pytest.mark.parametrize("query", [QUERY, "select id, x as p from t"], ids=["scored", "plain"])


@BOTH
def test_hooks_of_all_layers_run_in_dbts_order(shop, query):
    shop.put(
        "sqlinfer_project.yml",
        f'name: shop\nprofile: shop\nmodels:\n  +pre-hook: "{say("pre 1")}"\n'
        f'  shop: {{+post-hook: "{say("post 1")}"}}\n',
    )
    shop.put(
        "models/m.yml",
        f'models: [{{name: m, config: {{post_hook: {{sql: "{say("after")}", transaction: false}}}}}}]\n',
    )
    inner = f'pre_hook=[before_begin("{say("before")}"), "{say("pre 2")}"], post_hook=in_transaction("{say("post 2")}")'
    shop.put("models/m.sql", f"{{{{ config({inner}) }}}}\n{query}")
    shop.run()
    assert shop.log() == ["before", "pre 1", "pre 2", "post 1", "post 2", "after"]


@BOTH
def test_a_hook_knows_what_a_model_knows(shop, query):
    shop.put(
        "macros/note.sql",
        "{% macro note(of) %}insert into log select '{{ of.name }}' || count(*) from {{ of }}{% endmacro %}",
    )
    shop.put("models/first.sql", "select 1 as one")
    shop.put(
        "models/m.sql",
        "{{ config(materialized='table', tags=['nightly'], post_hook=[\"{{ note(this) }}\","
        " \"insert into log select '{{ var('v', 'w') }} {{ target.name }} {{ config.get('tags')[0] }} "
        "{{ model.name }} {{ run_started_at.year > 2000 }} {{ invocation_id | length }}' "
        'from {{ ref(\'first\') }}", "{% if false %}broken{% endif %}"]) }}\n' + query,
    )
    shop.run()
    assert shop.log() == ["m4", "w dev nightly m True 36"]


@BOTH
@pytest.mark.parametrize("when", ["pre_hook", "post_hook"])
def test_a_failing_hook_in_the_transaction_undoes_the_node(shop, query, when):
    shop.put("models/m.sql", "select 9 as id, 9.0 as p")
    shop.run()
    hooks = f"['{say('lost').replace(chr(39), chr(92) + chr(39))}', 'select * from nowhere']"
    shop.put("models/m.sql", f"{{{{ config({when}={hooks}) }}}}\n{query}")
    code, text = shop.tried()
    assert code == 1
    assert f"{when} of 'm' failed" in text
    assert "nowhere" in text
    assert "m.sql:1" in text
    assert shop.sql("select id from m") == [(9,)]
    assert shop.log() == []
    assert "Traceback" not in text


def test_a_failing_hook_after_the_commit_leaves_the_table(shop):
    shop.put("models/m.sql", "{{ config(post_hook=after_commit('select * from nowhere')) }}\n" + QUERY)
    code, text = shop.tried()
    assert code == 1
    assert "the table is published already" in text
    assert shop.sql("select count(*) from m") == [(4,)]


def test_a_failing_hook_before_the_transaction_stops_before_scoring(shop):
    shop.put("models/m.sql", "{{ config(pre_hook=before_begin('select * from nowhere')) }}\n" + QUERY)
    code, text = shop.tried()
    assert code == 1
    assert "nothing was read or scored" in text
    assert shop.sql("select count(*) from duckdb_tables() where table_name = 'm'") == [(0,)]


def test_a_hook_before_the_transaction_changes_what_is_read(shop):
    shop.put(
        "models/m.sql", "{{ config(pre_hook={'sql': 'delete from t where id > 1', 'transaction': false}) }}\n" + QUERY
    )
    shop.run()
    assert shop.sql("select id, p from m order by 1") == [(0, 1.0), (1, 3.0)]


def test_a_hook_in_the_transaction_that_comes_too_late_is_refused_before_anything_runs(shop):
    shop.put("models/m.sql", "{{ config(pre_hook='delete from t where id > 1') }}\n" + QUERY)
    code, text = shop.tried()
    assert code == 1
    assert "pre_hook of 'm' writes t, which its query reads" in text
    assert "transaction: false" in text
    assert shop.sql("select count(*) from t") == [(4,)]


def test_a_plain_model_reads_what_its_hook_in_the_transaction_left(shop):
    shop.put("models/m.sql", "{{ config(pre_hook='delete from t where id > 1') }}\nselect id from t")
    shop.run()
    assert shop.sql("select count(*) from m") == [(2,)]


def test_tests_see_the_table_that_the_hooks_leave(shop):
    """The nightly reload: rows of the day go, then come again."""
    shop.put("models/m.yml", "models: [{name: m, columns: [{name: id, data_tests: [unique]}]}]\n")
    head = "{{ config(materialized='incremental', incremental_strategy='append', pre_hook=%s) }}\n"
    shop.put(
        "models/m.sql", head % '"{% if is_incremental() %}delete from {{ this }} where id >= 0{% endif %}"' + QUERY
    )
    for _ in range(2):
        assert "PASS" in shop.run()
        assert shop.sql("select count(*) from m") == [(4,)]
    shop.put("models/m.sql", head % '"{% if is_incremental() %}delete from {{ this }} where id > 1{% endif %}"' + QUERY)
    code, _ = shop.tried()
    assert code == 1
    assert shop.sql("select count(*) from m") == [(4,)]


def test_a_retry_publishes_nothing_that_such_tests_have_not_seen(shop):
    shop.put("models/m.yml", "models: [{name: m, columns: [{name: id, data_tests: [unique]}]}]\n")
    head = "{{ config(publish_timeout=0, post_hook='insert into {{ this }} select 0, 0') }}\n"
    shop.put("models/m.sql", head + QUERY)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(1, flush=True); sys.stdin.read()"
    with Popen([sys.executable, "-c", hold, str(shop.root / "w.duckdb")], stdin=PIPE, stdout=PIPE) as holder:
        assert holder.stdout.readline()
        code, text = shop.tried()
        holder.stdin.close()
    assert code == 1
    assert "scored, not published" in text.lower()
    code, text = shop.tried("retry")
    assert code == 1
    assert "unique_m_id" in text
    assert shop.sql("select count(*) from duckdb_tables() where table_name = 'm'") == [(0,)]


def test_a_hook_cannot_end_the_transaction(shop):
    shop.put("models/m.sql", "{{ config(post_hook='grant x; commit') }}\n" + QUERY)
    code, text = shop.tried()
    assert code == 1
    assert "says 'commit'" in text
    assert "transaction: false" in text


@pytest.mark.parametrize(
    ("hook", "said"),
    [("7", "found a number"), ("{'transaction': false}", "found a mapping"), ("{'sql': 'x', 'when': 1}", "'when'"),
     ("{'sql': 'x', 'transaction': 'no'}", "true or false"), ("'{{ nobody }}'", "'nobody' is undefined"),
     ("'{{ ref(\"nothing\") }}'", "nothing")],
)  # fmt: skip
def test_what_is_no_hook_is_named_with_its_place(shop, hook, said):
    shop.put("models/m.sql", f"{{{{ config(post_hook={hook}) }}}}\n{QUERY}")
    code, text = shop.tried()
    assert code in (1, 2)
    assert said in text
    assert "m.sql:1" in text


def test_seeds_have_hooks(shop):
    shop.put("seeds/s.csv", "a\n1\n2\n")
    shop.put(
        "sqlinfer_project.yml",
        "name: shop\nprofile: shop\nseeds:\n"
        "  +pre-hook: {sql: \"insert into log values ('before')\", transaction: false}\n"
        "  +post-hook: \"insert into log select 'rows ' || count(*) from {{ this }}\"\n",
    )
    shop.run("seed")
    assert shop.log() == ["before", "rows 2"]


def test_a_hook_may_write_the_file_that_it_names(shop, tmp_path):
    where = tmp_path / "out.csv"
    shop.put("models/m.sql", f"{{{{ config(post_hook=\"copy {{{{ this }}}} to '{where}'\") }}}}\n{QUERY}")
    shop.run()
    assert len(where.read_text().splitlines()) == 5


def test_hooks_of_a_run_frame_it(shop):
    shop.put(
        "sqlinfer_project.yml",
        "name: shop\nprofile: shop\non-run-start: \"insert into log values ('start')\"\non-run-end:\n"
        "  - \"insert into log values ('{{ results | length }} {{ results[-1].status }} {{ results[-1].node.name }} "
        "{{ schemas | join }}')\"\n",
    )
    shop.put("models/m.sql", QUERY)
    text = shop.run()
    assert shop.log() == ["start", "2 success m main"]
    assert "OK hook on-run-start.0" in text
    results = (shop.root / "target" / "run_results.json").read_text()
    assert "operation.shop.shop-on-run-end-0" in results


def test_nothing_runs_after_a_failed_start(shop):
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\non-run-start: [select * from nowhere]\n")
    shop.put("models/m.sql", QUERY)
    code, text = shop.tried()
    assert code == 1
    assert "on-run-start failed" in text
    assert shop.sql("select count(*) from duckdb_tables() where table_name = 'm'") == [(0,)]


def test_the_end_runs_after_a_failed_node_too(shop):
    shop.put(
        "sqlinfer_project.yml",
        "name: shop\nprofile: shop\non-run-end: [\"insert into log values ('{{ results[0].status }}')\"]\n",
    )
    shop.put("models/m.sql", "select * from nowhere")
    assert shop.tried()[0] == 1
    assert shop.log() == ["error"]


def test_what_a_hook_refers_to_is_built_first(shop):
    shop.put("models/z.sql", "select 1 as one")
    shop.put("models/m.sql", "{{ config(post_hook=\"insert into log select 'z' from {{ ref('z') }}\") }}\n" + QUERY)
    shop.run()
    assert shop.log() == ["z"]


def test_a_publication_that_waits_for_a_retry_keeps_its_hooks():
    hooks = Hooks(end=(Hook("select 1", True, "post_hook"),), after=(Hook("select 2", False, "post_hook"),))
    wanted = Publication("model.shop.m", "m", "r", Materialization(Relation("m")), "select 1", now_utc(), hooks=hooks)
    assert Publication.from_payload(wanted.to_payload()) == wanted
