# ruff: noqa: E501
"""Artifacts of other runs, packages and selectors: whatever stands in them, one message, soon, and nothing outside is read."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import house as houses
import pytest
from house import House

from sqlinfer.testing.patience import patience

DEEP = b"[" * 200_000 + b"]" * 200_000
NODE = "model.shop.scores"
COMMANDS = (
    ("ls", "--select", "state:modified", "--state", "before"),
    ("run", "--select", "next", "--defer", "--favor-state", "--state", "before"),
    ("ls", "--select", "result:error", "--state", "before"),
    ("ls", "--select", "source_status:fresher", "--state", "before"),
    ("ls", "--select", "source_status:pass", "--state", "before"),
    ("retry",),
)
MANIFEST, RESULTS, SOURCES = "before/manifest.json", "before/run_results.json", "before/sources.json"


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def shop(morning: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    built = houses.copy(morning, tmp_path / "shop")
    houses.write(built.root, {"models/next.sql": "select * from {{ ref('scores') }}"})
    monkeypatch.chdir(built.root)
    return built


def sane(shop: House, *command: str, seconds: float = 20) -> str:
    began = time.monotonic()
    done = shop.sqlinfer(*command)
    assert "Traceback" not in done.text, done.text
    assert "bug in sqlinfer" not in done.text, done.text
    assert time.monotonic() - began < patience(seconds)
    return done.text


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "content",
    [b'{"nodes": ' + DEEP + b"}", b'{"results": ' + DEEP + b"}", b'{"nodes": {"a": [], "b": 1}, "results": [1, {}, []]}',
     b'{"nodes": {}, "sources": [1], "metadata": [], "results": [{"unique_id": {}, "status": []}]}', b"\xff\xfe", b"",
     b'{"results": [{"unique_id": "x"}, 3, {"unique_id": "y", "max_loaded_at": {}}], "nodes": [], "args": []}', b"9" * 9_999],
)  # fmt: skip
def test_artifacts_of_another_run_may_hold_anything(command: tuple[str, ...], content: bytes, shop: House) -> None:
    names = (MANIFEST, RESULTS, SOURCES, "target/sources.json", "target/run_results.json")
    houses.write(shop.root, dict.fromkeys(names, content))
    sane(shop, *command)


VALUES = [1, [1], {"x": 1}, None, "x\x1b[2J", "a'; drop table customers; --", True]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize("key", ["sqlinfer", "config", "alias", "name", "schema", "database", "resource_type"])
def test_a_node_of_another_run_may_be_anything(key: str, value: Any, shop: House) -> None:
    content = json.loads((shop.root / "target" / "manifest.json").read_bytes())
    content["nodes"][NODE][key] = value
    houses.write(shop.root, {MANIFEST: json.dumps(content)})
    for command in COMMANDS[:2]:
        assert "\x1b" not in sane(shop, *command)
    assert shop.sql("select count(*) from customers") == [(3,)]


def test_a_pipe_for_an_artifact_is_not_waited_for(shop: House) -> None:
    (shop.root / "before").mkdir()
    os.mkfifo(shop.root / MANIFEST)
    for command in COMMANDS[:2]:
        assert "cannot be read" in sane(shop, *command)


def test_selectors_that_name_each_other_are_worked_out_once(shop: House) -> None:
    twice = "{union: [{method: selector, value: s%d}, {method: selector, value: s%d}]}"
    lines = [f"  - {{name: s{at}, definition: {twice % (at - 1, at - 1)}}}" for at in range(1, 60)]
    houses.write(shop.root, {"selectors.yml": "\n".join(["selectors:", "  - {name: s0, definition: scores}", *lines])})
    assert sane(shop, "ls", "--selector", "s59", "--output", "name") == "scores\n"


def test_a_long_chain_of_selectors_ends(shop: House) -> None:
    link = "{union: [{method: selector, value: s%d}]}"
    lines = [f"  - {{name: s{at}, definition: {link % (at - 1)}}}" for at in range(1, 1_200)]
    houses.write(shop.root, {"selectors.yml": "\n".join(["selectors:", "  - {name: s0, definition: scores}", *lines])})
    assert sane(shop, "ls", "--selector", "s1199", "--output", "name") == "scores\n"


@pytest.mark.parametrize(
    "paths", ["[/]", "[..]", "[../../../..]", "/proc", "5", "{a: b}", "[[1]]", '"a\\0b"', "[macros, ~]"]
)
def test_a_package_reads_macros_in_itself_alone(paths: str, shop: House) -> None:
    houses.write(shop.root, {
        "packages.yml": "packages: [{local: pack}]\n", "pack/dbt_project.yml": f"name: pack\nmacro-paths: {paths}\n",
    })  # fmt: skip
    assert "macro-paths names folders inside of the package" in sane(shop, "ls", seconds=5)


@pytest.mark.parametrize("name", ["selectors.yml", "packages.yml", "pack/dbt_project.yml"])
def test_a_yml_that_links_out_of_the_project_is_not_quoted(name: str, shop: House, tmp_path: Path) -> None:
    houses.write(shop.root, {"packages.yml": "packages: [{local: pack}]\n", "pack/dbt_project.yml": "name: pack\n"})
    (tmp_path / "private").write_text("root:TOPSECRET:0\n")
    (shop.root / name).unlink(missing_ok=True)
    (shop.root / name).symlink_to(tmp_path / "private")
    for command in (("ls",), ("deps",)) if name == "packages.yml" else (("ls",),):
        said = sane(shop, *command)
        assert "is a link that leaves the project" in said
        assert "TOPSECRET" not in said


@pytest.mark.parametrize("packages", ["5", "{a: b}", "x"])
def test_packages_that_are_no_list_are_refused(packages: str, shop: House) -> None:
    houses.write(shop.root, {"packages.yml": f"packages: {packages}\n"})
    for command in ("ls", "deps"):
        assert "'packages' is a list" in sane(shop, command)


def test_names_of_packages_steer_no_terminal(shop: House) -> None:
    houses.write(shop.root, {"packages.yml": 'packages: [{local: "a\\e[2J\\x9b\\u202e\\nb"}]\n'})
    assert sane(shop, "deps") == "a\\u001b[2J\\u009b\\u202e\\nb: is read where it is\n"
