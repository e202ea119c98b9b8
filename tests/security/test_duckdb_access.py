"""DuckDB opens its own databases and what the project's SQL names; what is slipped in while SQL renders reads nothing."""

from __future__ import annotations

import json
from pathlib import Path

import house as houses
import pytest
from house import House

import sqlinfer
from sqlinfer.adapters.base import ANYTHING, Reads
from sqlinfer.adapters.duckdb.settings import DuckDBSettings, open_memory
from sqlinfer.errors import AdapterError, SqlinferError
from sqlinfer.jobs.reads import of_text


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def shop(morning: House, tmp_path: Path) -> House:
    return houses.copy(morning, tmp_path / "shop")


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select * from customers", Reads()),
        ("select * from {{ ref('a') }} where from_x('b.csv')", Reads()),
        ("select * from '/data/a.parquet'", Reads(files=(Path("/data/a.parquet"),))),
        ('select * from "/data/a.csv" join \'/data/b.csv\' using (id)', Reads(files=(Path("/data/a.csv"), Path("/data/b.csv")))),
        ("from read_csv('/data/a.csv', header=true)", Reads(files=(Path("/data/a.csv"),))),
        ("from read_parquet(['/data/a.parquet', '/data/b.parquet'])",
         Reads(files=(Path("/data/a.parquet"), Path("/data/b.parquet")))),
        ("from read_parquet('/data/2026/*/x.parquet')", Reads(folders=(Path("/data/2026"),))),
        ("from glob('/data/x*')", Reads(folders=(Path("/data"),))),
        ("from 'https://example.com/a.parquet'", ANYTHING),
        ("from read_csv('{{ var(\"file\") }}')", ANYTHING),
        ("from read_csv(getvariable('f'))", ANYTHING),
        ("from sqlite_scan(x)", ANYTHING),
    ],
)  # fmt: skip
def test_what_a_text_reads_is_read_off_it(sql: str, reads: Reads) -> None:
    assert of_text(sql) == reads


ESCAPES = [
    "from read_text('{secret}')", "from read_blob('{secret}')", "from read_csv('{secret}')", "from '{secret}'",
    "from glob('{folder}/*')", "from sniff_csv('{secret}')", "from read_json('{secret}')", "from read_parquet('{folder}/*')",
    "copy (select 1) to '{folder}/stolen.csv'", "export database '{folder}/stolen'", "import database '{folder}'",
    "attach '{folder}/other.duckdb' as other", "attach '{folder}/shop/../secret.csv' as other", "attach 'http://127.0.0.1:1/a' as b",
    "install httpfs", "load httpfs", "load '{folder}/evil.duckdb_extension'", "from read_csv('http://127.0.0.1:1/a.csv')",
    "set enable_external_access = true", "reset enable_external_access", "set allowed_directories = ['/']",
    "set allowed_paths = ['{secret}']", "set allow_unsigned_extensions = true", "set temp_directory = '{folder}'",
    "set home_directory = '{folder}'",
    "create persistent secret (type s3, key_id 'a', secret 'b')", "from read_csv('{folder}/shop.csv')",
    "from read_text('{folder}/link.csv')", "from read_text('{folder}/shop/wh.duckdb/../../secret.csv')",
]  # fmt: skip


@pytest.mark.parametrize("statement", ESCAPES)
def test_duckdb_itself_lets_nothing_out(statement: str, tmp_path: Path) -> None:
    """Even where a whole statement could be slipped in, which one SELECT for each model forbids already."""
    (tmp_path / "shop").mkdir()
    secret = tmp_path / "secret.csv"
    secret.write_text("x\n42\n")
    (tmp_path / "link.csv").symlink_to(secret)
    connection = open_memory(DuckDBSettings.of_file(tmp_path / "shop" / "wh.duckdb", Reads()))
    sql = statement.format(secret=secret, folder=tmp_path)
    try:
        if "temp_directory" in sql or "home_directory" in sql:  # may be set, and opens nothing
            sql = f"from read_text('{secret}')"
        with pytest.raises(Exception, match=r"(?i)disabled|cannot|does not exist|locked|not allowed|permission|unable"):
            connection.execute(sql).fetchall()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "secret.csv", "shop"]
    finally:
        connection.close()


def test_the_databases_themselves_stay_usable(tmp_path: Path) -> None:
    settings = DuckDBSettings.of_file(tmp_path / "wh.duckdb", Reads())
    connection = open_memory(settings)
    try:
        for alias, path in (("wh", settings.databases[0].path), ("side", settings.side)):
            connection.execute(f"attach '{path}' as {alias}")
            connection.execute(f"create table {alias}.t as select range as i from range(100000)")
            connection.execute(f"checkpoint {alias}")
        assert connection.execute("select count(*) from wh.t join side.t using (i)").fetchall() == [(100_000,)]
    finally:
        connection.close()


SLIPPED = [
    "exists (select * from read_text('/etc/passwd'))",
    "(select count(*) from '/etc/passwd') > 0",
    "(select count(*) from glob('/*')) > 0",
    "exists (from read_csv('profiles.yml'))",
]


@pytest.mark.parametrize("condition", SLIPPED)
@pytest.mark.parametrize("head", ["select id, predict('score', x, y) as s", "select id"])
def test_a_variable_cannot_make_sql_read_files(head: str, condition: str, shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: f"{head} from customers where {{{{ var('condition', 'true') }}}}\n"})
    assert shop.sqlinfer("compile").code == 0
    before = shop.published()
    done = shop.sqlinfer("run", "--vars", json.dumps({"condition": condition}))
    assert done.code == 1, done.text
    assert "root:" not in done.text
    assert shop.published() == before


def test_a_file_that_the_sql_names_is_read(shop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.root)
    (shop.root / "data").mkdir()
    (shop.root / "data" / "extra.csv").write_text("id,x,y\n9,1,2\n")
    houses.write(shop.root, {houses.SCORES: "select id, predict('score', x, y) as s from 'data/extra.csv'\n"})
    done = shop.sqlinfer("run")
    assert done.code == 0, done.text
    assert shop.sql("from scores") == [(9, 5.0)]


def test_a_file_beside_the_one_that_is_named_is_not_read(shop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.root)
    for name in ("extra.csv", "other.csv"):
        (shop.root / name).write_text("id,x,y\n9,1,2\n")
    sql = "select id, predict('score', x, y) as s from 'extra.csv' where {{ var('condition', 'true') }}\n"
    houses.write(shop.root, {houses.SCORES: sql})
    assert shop.sqlinfer("run").code == 0
    done = shop.sqlinfer("run", "--vars", "{condition: \"exists (from 'other.csv')\"}")
    assert done.code == 1
    assert shop.sql("from scores") == [(9, 5.0)]


def test_the_profile_may_allow_more(shop: House, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "extra.csv").write_text("id,x,y\n9,1,2\n")
    shop.sql(f"create view extra as from '{tmp_path}/lake/extra.csv'")
    houses.write(shop.root, {houses.SCORES: "select id, predict('score', x, y) as s from extra\n"})
    refused = shop.sqlinfer("run")
    assert refused.code == 1
    assert "allowed_directories" in refused.text
    profile = f"shop:\n  outputs:\n    default:\n      type: duckdb\n      path: wh.duckdb\n      settings: {{allowed_directories: ['{tmp_path}/lake']}}\n"
    houses.write(shop.root, {houses.PROFILES: profile})
    done = shop.sqlinfer("run")
    assert done.code == 0, done.text


def test_sql_from_the_command_line_and_from_python_reads_what_it_names(shop: House, tmp_path: Path) -> None:
    (tmp_path / "extra.csv").write_text("id,x,y\n9,1,2\n")
    query = f"select predict('score', x, y) as s from '{tmp_path}/extra.csv'"
    assert "| 5 |" in " ".join(shop.sqlinfer("preview", "--inline", query).out.split())
    assert sqlinfer.connect(shop.root).sql(query).to_pylist() == [{"s": 5.0}]


@pytest.mark.parametrize("text", ["id,name\n1,north\n", "id,name\n1,'); attach '/tmp/x' as x; --\n"])
def test_seeds_are_loaded_through_arrow(shop: House, text: str) -> None:
    houses.write(shop.root, {"seeds/regions.csv": text})
    done = shop.sqlinfer("seed")
    assert done.code == 0, done.text
    assert shop.sql("select count(*) from regions") == [(1,)]


def test_parquet_is_written_through_arrow(shop: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    houses.write(shop.root, {houses.SCORES: "{{ config(materialized='external', location='out/scores.parquet') }}\n"
                             "select id, predict('score', x, y) as s from customers"})  # fmt: skip
    houses.write(shop.root, {"models/best.sql": "select * from {{ ref('scores') }} where s > 4"})
    monkeypatch.chdir(tmp_path)
    done = shop.sqlinfer("run")
    assert done.code == 0, done.text
    assert (shop.root / "out" / "scores.parquet").is_file()
    assert shop.sql("select id from best") == [(3,)]


@pytest.mark.parametrize(
    "sql",
    ["select 1; attach '/tmp/x.duckdb' as x", "set enable_external_access = true; select 1", "copy customers to '/tmp/x'",
     "attach '/tmp/x.duckdb'", "install httpfs", "pragma database_list", "call pragma_version()", "checkpoint",
     "create table x as select 1", "begin; select 1", "explain select 1", "vacuum", "use memory"],
)  # fmt: skip
def test_a_model_is_one_select(sql: str, shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: sql})
    before = shop.published()
    done = shop.sqlinfer("run")
    assert done.code == 1, done.text
    assert any(text in done.text for text in ("one SELECT", "several statements", "syntax error")), done.text
    assert shop.published() == before


def test_errors_say_how_to_allow_more(tmp_path: Path) -> None:
    from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter

    adapter = DuckDBAdapter(DuckDBSettings.of_file(tmp_path / "wh.duckdb")).limited_to(Reads())
    with pytest.raises(AdapterError, match="Permission Error") as caught:
        adapter.query("from read_text('/etc/passwd')")
    assert "allowed_directories" in (caught.value.hint or "")
    assert isinstance(caught.value, SqlinferError)


@pytest.mark.parametrize(
    "sql",
    ["select * from 'data/today.csv'", "select * from read_parquet('data/today.parquet')",
     "select predict('score', x, y) as s from read_json('data/it''s.json')",
     "select * from read_csv(['data/today.csv', 'data/later.csv'])"],
)  # fmt: skip
def test_a_file_that_is_named_and_is_not_there_is_said_to_be_missing(sql: str, shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: sql})
    done = shop.sqlinfer("run")
    assert done.code == 1, done.text
    assert "does not exist" in done.text
    assert "allowed_directories" not in done.text
    assert "scores.sql:1:" in done.text


def test_an_external_model_that_was_not_written_names_the_way(shop: House) -> None:
    houses.write(shop.root, {
        houses.SCORES: "{{ config(materialized='external', location='out/scores.parquet') }} select id from customers",
        "models/best.sql": "select * from {{ ref('scores') }}",
    })  # fmt: skip
    done = shop.sqlinfer("run", "--select", "best")
    assert done.code == 1, done.text
    assert "out/scores.parquet' does not exist" in done.text
    assert "scores is not built yet: sqlinfer run --select +scores" in done.text
