# ruff: noqa: E501
"""What sqlinfer writes, removes and opens: nothing of anybody else's, and no link is followed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import house as houses
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from house import House

SCORE = "select id, predict('score', x, y) as s from customers"


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def shop(morning: House, tmp_path: Path) -> House:
    return houses.copy(morning, tmp_path / "shop")


def profile(path: str, **more: object) -> str:
    body = {"type": "duckdb", "path": path, **more}
    return json.dumps({"shop": {"target": "dev", "outputs": {"dev": body}}})


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# ---- clean ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["target/warehouse", "target/w.db", "target/manifest.json", "target/crash-x.txt",
                                      "target/functions/keys/w.json", "target/compiled/w.sql", "target/sub/run_results.json"])  # fmt: skip
def test_clean_keeps_the_warehouse_whatever_it_is_called(database: str, shop: House) -> None:
    place = shop.root / database
    place.parent.mkdir(parents=True, exist_ok=True)
    houses.write(shop.root, {houses.PROFILES: profile(database)})
    beside = [
        place,
        place.with_name(place.name + ".wal"),
        place.with_suffix(".sqlinfer.duckdb"),
        place.with_suffix(".sqlinfer.lock"),
    ]
    for one in beside:
        one.write_text("kept")
    done = shop.sqlinfer("clean")
    assert done.code == 0, done.text
    assert [one.read_text() for one in beside] == ["kept"] * 4


def test_clean_keeps_what_other_targets_and_attachments_name(shop: House) -> None:
    other = {"type": "duckdb", "path": "target/run_results.json", "attach": [{"path": "target/manifest.json"}]}
    dev = {"type": "duckdb", "path": "wh.duckdb", "attach": ["target/crash-a.txt"]}
    houses.write(
        shop.root, {houses.PROFILES: json.dumps({"shop": {"target": "dev", "outputs": {"dev": dev, "o": other}}})}
    )
    for name in ("run_results.json", "manifest.json", "crash-a.txt"):
        (shop.root / "target" / name).write_text("kept")
    assert shop.sqlinfer("clean").code == 0
    assert {"run_results.json", "manifest.json", "crash-a.txt"} <= {
        one.name for one in (shop.root / "target").iterdir()
    }


def test_clean_removes_what_sqlinfer_wrote_and_nothing_else(shop: House) -> None:
    target = shop.root / "target"
    foreign = [
        "notes.txt",
        "compiled/notes.sql",
        "compiled/shop/models/mine.sql",
        "functions/mine.txt",
        "data/x.parquet",
    ]
    for name in foreign:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("mine")
    said = shop.sqlinfer("clean", "--dry-run")
    assert "manifest.json" in said.out
    assert (target / "manifest.json").exists()
    assert shop.sqlinfer("clean").code == 0
    assert sorted(tree(target)) == sorted(foreign)
    for name in foreign:
        (target / name).unlink()
    assert shop.sqlinfer("run").code == 0
    assert shop.sqlinfer("clean").code == 0
    assert tree(target) == {}


@pytest.mark.parametrize("name", ["compiled", "functions", "manifest.json", "functions/keys", "compiled/shop"])
def test_clean_follows_no_link(name: str, shop: House, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for inner in (
        "keys/a.json",
        "shop/models/scores.sql",
        "models/scores.sql",
        "a" * 64 + "/contract.json",
        "manifest.json",
    ):
        (outside / inner).parent.mkdir(parents=True, exist_ok=True)
        (outside / inner).write_text("kept")
    before = tree(outside)
    link = shop.root / "target" / name
    if link.is_dir():
        link.rename(tmp_path / "aside")
    else:
        link.unlink()
    link.symlink_to(outside if "json" not in name else outside / "manifest.json")
    assert shop.sqlinfer("clean").code == 0
    assert tree(outside) == before


# ---- external -------------------------------------------------------------------------------------------------------


def external(location: str) -> str:
    return f"{{{{ config(materialized='external', location={location!r}) }}}}\n{SCORE}\n"


OVER = [
    "wh.duckdb", "WH.duckdb", "./x/../wh.duckdb", "wh.sqlinfer.duckdb", "wh.sqlinfer.lock", "wh.duckdb.wal", "profiles.yml",
    "Profiles.YML", "sqlinfer_project.yml", "models/scores.sql", "models/new.parquet", "MODELS/new.parquet", "seeds/x.parquet",
    "macros/x.parquet", "functions/score.onnx", "functions/x.parquet", "target/manifest.json", "target/run_results.json",
    "target/compiled/x.parquet", "target/functions/x.parquet", "../x.parquet", "/tmp/sqlinfer-attack/x.parquet", "~/x.parquet",
    "x/../../y.parquet", "out", "link.parquet", "linked/x.parquet", "s3://bucket", "ftp://host/x.parquet", "x" * 5_000, "a/" * 3_000 + "b",
    "o*.parquet", "x\n.parquet", ".git/config", "hard.parquet", "mine.parquet", "foreign.parquet", "fifo", ".", "", "x.yml",
]  # fmt: skip


@pytest.fixture
def guarded(shop: House, tmp_path: Path) -> House:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.parquet").write_text("theirs")
    (shop.root / "out").mkdir()
    (shop.root / "link.parquet").symlink_to(tmp_path / "outside" / "x.parquet")
    (shop.root / "linked").symlink_to(tmp_path / "outside")
    os.link(shop.root / "wh.duckdb", shop.root / "hard.parquet")
    (shop.root / "mine.parquet").write_text("not parquet")
    pq.write_table(pa.table({"a": [1]}), shop.root / "foreign.parquet")
    return shop


@pytest.mark.parametrize("location", OVER, ids=range(len(OVER)))
@pytest.mark.parametrize("by_vars", [False, True])
def test_an_external_model_writes_over_nothing(location: str, by_vars: bool, guarded: House, tmp_path: Path) -> None:
    if location == "fifo":
        os.mkfifo(guarded.root / "fifo")
    text = (
        f"{{{{ config(materialized='external', location=var('at')) }}}}\n{SCORE}\n" if by_vars else external(location)
    )
    houses.write(guarded.root, {houses.SCORES: text})
    before, files = guarded.published(), tree(guarded.root)
    done = guarded.sqlinfer("run", *(("--vars", json.dumps({"at": location})) if by_vars else ()))
    assert done.code in (1, 2), done.text
    assert "Traceback" not in done.text
    assert guarded.published() == before
    changed = {name for name, content in tree(guarded.root).items() if files.get(name) != content}
    assert not {name for name in changed if not name.startswith(("target/", "wh.sqlinfer"))}, changed
    assert [one.name for one in (tmp_path / "outside").iterdir()] == ["x.parquet"]
    assert (tmp_path / "outside" / "x.parquet").read_text() == "theirs"


@pytest.mark.parametrize("location", ["exports/scores.parquet", "scores.parquet", "target/out/scores.parquet"])
def test_an_external_model_writes_its_own_file_again(location: str, shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: external(location)})
    for _ in range(2):
        done = shop.sqlinfer("run")
        assert done.code == 0, done.text
    assert pq.read_table(shop.root / location).num_rows == 3


@pytest.mark.parametrize("form", [str, lambda path: ["elsewhere", path]])
def test_the_profile_may_allow_a_folder(form: object, shop: House, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    houses.write(shop.root, {houses.SCORES: external(str(lake / "day" / "scores.parquet")),
                             houses.PROFILES: profile("wh.duckdb", external_root=form(str(lake)))})  # fmt: skip
    done = shop.sqlinfer("run")
    assert done.code == 0, done.text
    assert pq.read_table(lake / "day" / "scores.parquet").num_rows == 3
    houses.write(shop.root, {houses.SCORES: external(str(tmp_path / "lake2" / "scores.parquet"))})
    assert shop.sqlinfer("run").code == 1


def test_two_external_models_do_not_share_a_file(shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: external("a.parquet"), "models/b.sql": external("A.parquet")})
    done = shop.sqlinfer("run")
    assert done.code == 2
    assert "both write" in done.text


# ---- links ----------------------------------------------------------------------------------------------------------


def test_no_artifact_is_written_through_a_link(shop: House, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    places = [
        "target/compiled/shop/models/scores.sql",
        "target/manifest.json",
        "target/run_results.json",
        "target/crash-dev.txt",
    ]
    for name in places:
        victim.write_text("theirs")
        path = shop.root / name
        path.unlink(missing_ok=True)
        path.symlink_to(victim)
        done = shop.sqlinfer("run")
        assert done.code == 0, done.text
        assert victim.read_text() == "theirs"


@pytest.mark.parametrize(
    "name", ["target/compiled", "target/compiled/shop", "target/functions", "target/functions/keys"]
)
def test_no_folder_of_artifacts_is_a_link(name: str, shop: House, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (shop.root / name).rename(tmp_path / "aside")
    (shop.root / name).symlink_to(tmp_path / "victim")
    before = shop.published()
    done = shop.sqlinfer("run")
    assert done.code in (1, 2), done.text
    assert "Traceback" not in done.text
    assert "link" in done.text
    assert list((tmp_path / "victim").iterdir()) == []
    assert shop.published() == before


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "folder", "hard", "socketless"])
def test_a_lock_is_a_file_of_its_own(kind: str, shop: House, tmp_path: Path) -> None:
    lock, victim = shop.root / "wh.sqlinfer.lock", tmp_path / "victim"
    victim.write_text("theirs")
    lock.unlink(missing_ok=True)
    match kind:
        case "link":
            lock.symlink_to(victim)
        case "dangling":
            lock.symlink_to(tmp_path / "new")
        case "fifo":
            os.mkfifo(lock)
        case "folder":
            lock.mkdir()
        case "hard":
            os.link(victim, lock)
        case _:
            lock.write_text("not json \x1b[2K")
    done = shop.sqlinfer("run")
    assert done.code == (0 if kind == "socketless" else 1), done.text
    assert "Traceback" not in done.text
    assert kind == "socketless" or "lock file" in done.text
    assert victim.read_text() == "theirs"
    assert not (tmp_path / "new").exists()


def test_a_side_file_is_no_link(shop: House, tmp_path: Path) -> None:
    side = shop.root / "wh.sqlinfer.duckdb"
    side.rename(tmp_path / "victim.duckdb")
    before = (tmp_path / "victim.duckdb").read_bytes()
    side.symlink_to(tmp_path / "victim.duckdb")
    done = shop.sqlinfer("run")
    assert done.code == 1
    assert "is a link" in done.text
    assert (tmp_path / "victim.duckdb").read_bytes() == before


@pytest.mark.parametrize("through", ["file", "folder", "dangling"])
def test_a_model_that_links_out_of_the_project_is_refused(through: str, shop: House, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    artifact = shop.root / "functions" / "score.onnx"
    artifact.rename(outside / "score.onnx")
    if through == "folder":
        (shop.root / "functions" / "sub").symlink_to(outside)
        yml = shop.root / "functions" / "score.yml"
        yml.write_text(yml.read_text().replace("score.onnx", "sub/score.onnx"))
    else:
        artifact.symlink_to(outside / ("score.onnx" if through == "file" else "gone.onnx"))
    done = shop.sqlinfer("run")
    assert done.code == 2, done.text
    assert "link that leaves the project" in done.text


def test_a_model_that_is_named_outside_of_the_project_is_read(shop: House, tmp_path: Path) -> None:
    (shop.root / "functions" / "score.onnx").rename(tmp_path / "score.onnx")
    yml = shop.root / "functions" / "score.yml"
    yml.write_text(yml.read_text().replace("score.onnx", str(tmp_path / "score.onnx")))
    done = shop.sqlinfer("run")
    assert done.code == 0, done.text


@pytest.mark.parametrize("name", ["wh.duckdb", "profiles.yml", "functions/score.onnx", "target/manifest.json"])
def test_freshness_is_not_written_over_another_file(name: str, shop: House) -> None:
    before = tree(shop.root)[name]
    done = shop.sqlinfer("source", "freshness", "--output", str(shop.root / name))
    assert done.code == 2, done.text
    assert "exists and holds no results of sources" in done.err
    assert (shop.root / name).read_bytes() == before


def test_freshness_is_written_again_and_cleaned(shop: House) -> None:
    for _ in range(2):
        assert shop.sqlinfer("source", "freshness", "--output", str(shop.root / "mine.json")).code == 0
        assert shop.sqlinfer("source", "freshness").code == 0
    assert shop.sqlinfer("clean").code == 0
    assert not (shop.root / "target" / "sources.json").exists()
    assert (shop.root / "mine.json").exists()
