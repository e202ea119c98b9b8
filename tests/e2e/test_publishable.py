"""What cannot be published is said before anything is scored; contracts and what a table enforces of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.testing.onnx_builder import linear

FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true}
"""
QUERY = "select id, predict('f', x) as p from t"
PROFILES = """shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: w.duckdb, attach: [{path: lake.duckdb, alias: lake, read_only: true}]}
"""


@dataclass
class Shop:
    """f(x) = 2x + 1 over table t: id 0 to 3, x = id; a second database `lake`."""

    root: Path
    capfd: pytest.CaptureFixture[str]

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def model(self, query: str = QUERY, **config: object) -> None:
        listed = ", ".join(f"{key}={value!r}" for key, value in config.items())
        self.put("models/m.sql", f"{{{{ config({listed}) }}}}\n{query}\n")

    def contract(self, columns: str, constraints: str = "[]") -> None:
        self.put(
            "models/m.yml",
            f"models:\n  - name: m\n    config: {{contract: {{enforced: true}}}}\n    constraints: {constraints}\n"
            f"    columns: [{columns}]\n",
        )

    def tried(self, *words: str) -> tuple[int, str]:
        code = invoke(["run", "--project-dir", str(self.root), *words])
        out = self.capfd.readouterr()
        return code, out.out + out.err

    def run(self, *words: str) -> str:
        code, text = self.tried(*words)
        assert code == 0, text
        return text

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.root / "w.duckdb")) as connection:
            return connection.execute(statement).fetchall()

    def remembered(self) -> int:
        """Predictions in the store: those that were scored."""
        side = next(self.root.glob("*sqlinfer*.duckdb"), None) or next(self.root.glob("*.sqlinfer*"), None)
        if side is None or side.suffix == ".lock":
            return 0
        with duckdb.connect(str(side), read_only=True) as connection:
            stores = connection.execute("select table_name from duckdb_tables() where schema_name = 'store'").fetchall()
            return sum(
                connection.execute(f'select count(*) from store."{name}"').fetchall()[0][0] for (name,) in stores
            )


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shop:
    made = Shop(tmp_path, capfd)
    made.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    made.put("profiles.yml", PROFILES)
    made.put("functions/f.yml", FUNCTION)
    linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    made.sql("create table t as select i as id, i::double as x from range(4) r(i)")
    with duckdb.connect(str(tmp_path / "lake.duckdb")) as connection:
        connection.execute("create table there as select 1 as one")
    return made


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"database": "lake"}, "database lake is attached for reading"),
        ({"database": "nowhere"}, "there is no database nowhere"),
        ({"schema": "x", "database": "LAKE"}, "attached for reading"),
        ({"materialized": "external", "location": "taken/x.parquet"}, "taken is no folder"),
    ],
)
@pytest.mark.parametrize("query", [QUERY, "select id, x as p from t"], ids=["scored", "plain"])
def test_a_place_that_cannot_be_written_is_named_before_scoring(shop, config, said, query):
    shop.put("taken", "a file")
    shop.model(query, **config)
    code, text = shop.tried()
    assert code in (1, 2)
    assert said in text
    assert shop.remembered() == 0
    assert "Traceback" not in text


def test_a_view_in_the_place_of_the_run_record_is_named_before_scoring(shop):
    shop.sql("create view sqlinfer_runs as select 1 as one")
    shop.model()
    code, text = shop.tried()
    assert code == 1
    assert "sqlinfer_runs is a view" in text
    assert shop.remembered() == 0


def test_a_change_of_columns_that_is_not_allowed_is_named_before_scoring(shop):
    shop.model(materialized="incremental", unique_key="id", on_schema_change="fail")
    shop.run()
    before = shop.remembered()
    assert before == 4
    shop.model(
        "select id, predict('f', x + 100) as p, x from t",
        materialized="incremental", unique_key="id", on_schema_change="fail",
    )  # fmt: skip
    code, text = shop.tried()
    assert code == 1
    assert "new x" in text
    assert shop.remembered() == before


TYPES = "{name: id, data_type: bigint%s}, {name: p, data_type: double%s}"


def test_a_contract_is_compared_with_the_query(shop):
    shop.contract("{name: id, data_type: varchar}, {name: q, data_type: double}")
    shop.model()
    code, text = shop.tried()
    assert code == 1
    assert "breaks its contract" in text
    for part in ("q is missing", "p is not declared", "id is BIGINT, declared varchar"):
        assert part in text


def test_the_table_holds_the_constraints_of_its_contract(shop):
    shop.sql("create table people (id bigint primary key)")
    shop.sql("insert into people from range(10)")
    shop.put("models/src.yml", "sources: [{name: main, tables: [{name: people}]}]\n")
    shop.contract(
        TYPES % (", constraints: [{type: not_null}, {type: primary_key, name: pk}]", ""),
        "[{type: check, expression: p >= 1}, {type: unique, columns: [p, id]}, "
        "{type: foreign_key, columns: [id], to: \"source('main', 'people')\", to_columns: [id]}]",
    )
    shop.model()
    for _ in range(2):
        shop.run()
        held = shop.sql("select constraint_type from duckdb_constraints() where table_name = 'm' order by 1")
        assert {kind for (kind,) in held} == {"CHECK", "FOREIGN KEY", "NOT NULL", "PRIMARY KEY", "UNIQUE"}
        assert shop.sql("select count(*) from m") == [(4,)]


@pytest.mark.parametrize(
    ("id_constraints", "constraints", "query"),
    [
        ("{type: not_null}", "[]", "select nullif(id, 2) as id, predict('f', x) as p from t"),
        ("{type: primary_key}", "[]", "select id // 2 as id, predict('f', x) as p from t"),
        ("{type: unique}", "[]", "select id // 2 as id, predict('f', x) as p from t"),
        ("", "[{type: check, expression: p < 7}]", QUERY),
        ("{type: foreign_key, to: people, to_columns: [id]}", "[]", QUERY),
        ('{type: foreign_key, expression: "people (id)"}', "[]", QUERY),
    ],
)
@pytest.mark.parametrize("kind", ["table", "incremental"])
def test_rows_that_break_a_constraint_are_not_published(shop, id_constraints, constraints, query, kind):
    shop.sql("create table people (id bigint primary key)")
    shop.sql("insert into people from range(3)")
    shop.contract(TYPES % (f", constraints: [{id_constraints}]", ""), constraints)
    shop.model("select id, predict('f', x) as p from t where id < 1", materialized=kind)
    shop.run()
    shop.model(query, materialized=kind)
    code, text = shop.tried()
    assert code == 1
    assert "break a constraint" in text
    assert "Traceback" not in text
    assert shop.sql("select id from m") == [(0,)]


@pytest.mark.parametrize(
    ("config", "constraint", "said"),
    [
        ({"materialized": "view"}, "{type: check, expression: id > 0}", "a view holds no constraints"),
        ({}, "{type: custom, expression: x}", "constraint custom of 'm' cannot be enforced"),
        ({}, "{type: check, expression: nobody > 0}", "cannot be declared"),
        ({}, "{type: primary_key, columns: [idd]}", "names 'idd', which is no column"),
        ({}, "{type: foreign_key, columns: [id], to: t, to_columns: [id]}", "t has no primary key"),
        ({}, "{type: check}", "needs an expression"),
        ({}, "{type: uniqe, columns: [id]}", "did you mean 'unique'"),
        ({}, "{type: foreign_key, columns: [id], to: \"ref('nobody')\"}", "refers to ref('nobody')"),
    ],
)
def test_a_constraint_that_cannot_be_held_is_named_before_scoring(shop, config, constraint, said):
    shop.contract(TYPES % ("", ""), f"[{constraint}]")
    shop.model(QUERY if not config else "select id, x as p from t", **config)
    code, text = shop.tried()
    assert code in (1, 2)
    assert said in text
    assert shop.remembered() == 0


def test_a_table_that_stays_gets_no_new_constraint(shop):
    shop.model(materialized="incremental", unique_key="id")
    shop.run()
    shop.contract(TYPES % (", constraints: [{type: not_null}, {type: primary_key}]", ""))
    code, text = shop.tried()
    assert code == 1
    assert "was published without NOT NULL (id), PRIMARY KEY(id)" in text
    assert "--full-refresh" in text
    shop.run("--full-refresh")
    shop.run()
    shop.sql("create table people (id bigint primary key)")
    shop.sql("insert into people from range(10)")
    foreign = "{type: foreign_key, to: people, to_columns: [id]}"
    shop.contract(TYPES % (f", constraints: [{{type: not_null}}, {{type: primary_key}}, {foreign}]", ""))
    assert "was published without foreign_key (id)" in shop.tried()[1]
    for flags in (["--full-refresh"], []):
        shop.run(*flags)
    assert shop.sql("select count(*) from m") == [(4,)]


def test_constraints_without_an_enforced_contract_are_not_passed_over_in_silence(shop):
    shop.put("models/m.yml", "models: [{name: m, columns: [{name: id, constraints: [{type: not_null}]}]}]\n")
    shop.model()
    assert "constraints of 'm' have no effect without contract" in shop.run()


def test_a_table_that_others_refer_to_is_replaced_and_they_stay(shop):
    shop.put("models/people.sql", "select id from t")
    shop.put(
        "models/people.yml",
        "models: [{name: people, config: {contract: {enforced: true}}, columns: "
        "[{name: id, data_type: bigint, constraints: [{type: primary_key}]}]}]\n",
    )
    shop.contract(TYPES % (", constraints: [{type: foreign_key, to: \"ref('people')\", to_columns: [id]}]", ""))
    shop.model("select id, predict('f', x) as p from {{ ref('people') }} join t using (id)")
    for _ in range(2):
        shop.run()
        assert shop.sql("select count(*) from m") == [(4,)]
    shop.put("models/people.sql", "select id from t where id < 2")
    code, text = shop.tried()
    assert code == 1
    assert "has a foreign key to" in text
    assert shop.sql("select count(*) from people") == [(4,)]
    assert shop.sql("select count(*) from m") == [(4,)]
