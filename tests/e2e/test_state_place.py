"""``state:`` of a profile: where the store and its lock lie, whose they are, and what else may stand there."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter
from tests.e2e.test_attached_targets import Shop


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shop:
    made = Shop(tmp_path / "shop", capfd)
    made.model()
    return made


def scored(shop: Shop, database: str = "w") -> list[int]:
    return [int(str(n)) for (n,) in shop.sql("select scored from sqlinfer_runs order by started_at", database)]


@pytest.mark.parametrize(
    ("state", "files"),
    [
        ("state", ("state/w.sqlinfer.duckdb", "state/w.sqlinfer.lock")),
        ("../far/away", ("../far/away/w.sqlinfer.duckdb", "../far/away/w.sqlinfer.lock")),
        ("kept/shop.duckdb", ("kept/shop.duckdb", "kept/shop.lock")),
        ("kept/shop.db", ("kept/shop.db", "kept/shop.lock")),
    ],
)
def test_the_store_and_its_lock_lie_where_the_profile_says(shop: Shop, state: str, files: tuple[str, ...]) -> None:
    shop.profile(f"state: {state}")
    shop.run()
    shop.run()
    assert scored(shop) == [4, 0]
    assert all((shop.root / name).is_file() for name in files)
    assert not list(shop.root.glob("w.sqlinfer.*"))
    shop.run("clean")
    assert all((shop.root / name).is_file() for name in files)
    shop.run("freshness")


def test_a_replaced_machine_goes_on_from_the_state(shop: Shop) -> None:
    """The database comes from elsewhere at another path; the state is what was kept."""
    shop.profile(f"state: {shop.root.parent / 'kept'}")
    shop.run()
    other = Shop(shop.root.parent / "next", shop.capfd)
    other.model()
    other.profile(f"state: {shop.root.parent / 'kept'}")
    for path in shop.root.glob("w.duckdb*"):
        path.rename(other.root / path.name)
    assert "which is gone" in other.run()
    assert scored(other) == [4, 0]
    assert "which is gone" not in other.run()


def test_a_folder_is_shared_by_databases_of_different_names(shop: Shop) -> None:
    other = Shop(shop.root.parent / "other", shop.capfd)
    (other.root / "w.duckdb").rename(other.root / "x.duckdb")
    other.put("models/s.yml", "sources: [{name: raw, database: x, schema: main, tables: [{name: t}]}]\n")
    other.model()
    for one, path in ((shop, "w.duckdb"), (other, "x.duckdb")):
        one.profile("state: ../state", path=path)
        one.run()
    assert {path.name for path in (shop.root.parent / "state").glob("*.duckdb")} == {
        "w.sqlinfer.duckdb", "x.sqlinfer.duckdb",
    }  # fmt: skip
    assert scored(other, "x") == [4]


@pytest.mark.parametrize("state", ["../state", "../state/both.duckdb", "../shop/w.sqlinfer.duckdb"])
def test_the_state_of_another_target_is_refused(shop: Shop, state: str) -> None:
    if "shop" not in state:
        shop.profile(f"state: {state}")
    shop.run()
    other = Shop(shop.root.parent / "other", shop.capfd)
    other.model()
    other.profile(f"state: {state}")
    code, text = other.tried("run")
    assert code == 1 or code == 2
    assert "belongs to another database" in text
    assert str(shop.root / "w.duckdb") in text
    assert other.sql("select table_name from duckdb_tables()") == [("t",)]
    shop.run()
    assert scored(shop) == [4, 0]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("w.duckdb", "the database of the profile's path at once"),
        ("lake.duckdb", "database lake of attach: at once"),
        ("theirs.duckdb", "a database with tables of its own (orders)"),
        ("notes.db", "is no database of DuckDB's"),
        ("link.duckdb", "is a link"),
        ("models/s.yml", "cannot be"),
        ("''", "state: is the path of a folder or file"),
        ("[a, b]", "state: is the path of a folder or file"),
    ],
)
def test_what_is_something_else_already_stays_as_it_is(shop: Shop, state: str, said: str) -> None:
    shop.sql("create table orders as select 1 as one", "theirs")
    shop.put("notes.db", "dear diary")
    (shop.root / "link.duckdb").symlink_to(shop.root / "theirs.duckdb")
    shop.profile(f"state: {state}")
    before = {
        path.name: path.read_bytes() for path in shop.root.iterdir() if path.is_file() and path.name != "w.duckdb"
    }
    code, text = shop.tried("run")
    assert code != 0
    assert said in text
    after = {path.name: path.read_bytes() for path in shop.root.iterdir() if path.name in before}
    assert after == before
    assert shop.sql("select table_name from duckdb_tables()") == [("t",)]


def test_a_store_that_is_read_as_a_source_is_refused(shop: Shop) -> None:
    shop.profile("state: state")
    shop.run()
    shop.profile("state: state", attach="{path: state/w.sqlinfer.duckdb, alias: store, read_only: true}")
    code, text = shop.tried("run")
    assert code != 0
    assert "is to be the store of this target and is database store of attach: at once" in text


def test_a_target_that_is_no_file_needs_a_place_for_its_store(shop: Shop) -> None:
    shop.profile(path="md:shop")
    code, text = shop.tried("run")
    assert code != 0
    assert "state: a folder" in text


def closed(path: str) -> str:
    """Python code: this user may not write there, whoever the user is."""
    return (
        "import os; real = os.access\n"
        f"os.access = lambda p, mode, **k: False if str(p) == {path!r} and mode & os.W_OK else real(p, mode, **k)\n"
    )


@pytest.mark.parametrize("name", ["state/w.sqlinfer.duckdb", "state"])
def test_rights_that_are_missing_are_named_and_nothing_is_moved_aside(shop: Shop, name: str) -> None:
    shop.profile("state: state")
    if name != "state":
        shop.run()
    else:
        (shop.root / "state").mkdir()
    code = closed(str(shop.root / name)) + "from sqlinfer.cli.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--project-dir", str(shop.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert "is closed to this user" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list((shop.root / "state").glob("*damaged*"))


def test_a_full_disk_under_the_state_costs_no_published_row_and_the_next_run_goes_on(shop: Shop) -> None:
    shop.profile("state: state")
    shop.run()
    shop.sql("create or replace table t as select range as id, range::double as x from range(400_000)")
    limit = 3 << 20
    done = subprocess.run(
        [sys.executable, "-c", "from sqlinfer.cli.main import main; main()", "run", "--project-dir", str(shop.root)],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode in (1, 2), done.stdout
    assert "Traceback" not in done.stderr
    assert "too large" in (done.stdout + done.stderr).casefold()
    assert not list((shop.root / "state").glob("*damaged*"))
    assert shop.sql("select count(*) from m") == [(4,)]
    shop.run()
    assert shop.sql("select count(*) from m") == [(400_000,)]


def test_a_second_run_is_turned_away_at_the_chosen_lock(tmp_path: Path) -> None:
    adapter = DuckDBAdapter.from_settings({"path": "w.duckdb", "state": "state"}, tmp_path)
    with adapter.claim("one") as claim:
        assert claim.path == tmp_path / "state" / "w.sqlinfer.lock"
        with pytest.raises(Exception, match="another run"):
            adapter.claim("two").__enter__()


def test_a_store_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    adapter = DuckDBAdapter.from_settings({"path": "w.duckdb", "state": "state"}, tmp_path)
    with adapter.workspace("one") as work:
        work.note("target", "database", None)
        work.note("pending", "model.a", {"node": "a"})
    with adapter.workspace("two") as work:
        assert work.warnings == []
        assert list(work.notes("pending")) == ["model.a"]
    with duckdb.connect(str(tmp_path / "state" / "w.sqlinfer.duckdb")) as connection:
        assert connection.execute("select count(*) from meta.notes where kind = 'target'").fetchall() == [(1,)]
