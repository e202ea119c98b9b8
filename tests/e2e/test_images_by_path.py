"""Images named by their path: the file counts, found from the project's folder, and a miss is not remembered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest
from onnx import helper

import sqlinfer
from sqlinfer.adapters.duckdb.file_stamp import stamp
from sqlinfer.cli.main import invoke
from sqlinfer.testing import onnx_builder

pillow = pytest.importorskip("PIL.Image")
MODEL = "{{ config(max_error_rate=1, unique_key='id') }} select id, bright(photo) as value from t"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("functions", "models", "photos", "elsewhere"):
        (tmp_path / folder).mkdir()
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2, 3], keepdims=0)
    ports = [onnx_builder.value("x", "float", ["N", 3, 4, 4])], [onnx_builder.value("y", "float", ["N"])]
    onnx_builder.build([node], *ports, path=tmp_path / "functions" / "bright.onnx")
    (tmp_path / "functions" / "bright.yml").write_text(
        "functions:\n  - name: bright\n    model: {path: bright.onnx}\n    image: {size: 4}\n"
        "    arguments: [{name: photo, data_type: varchar}]\n    returns: {data_type: real}\n"
    )
    (tmp_path / "models" / "m.sql").write_text(MODEL)
    (tmp_path / "sqlinfer_project.yml").write_text("name: p\nprofile: p\n")
    (tmp_path / "profiles.yml").write_text("p: {target: dev, outputs: {dev: {type: duckdb, path: p.duckdb}}}\n")
    with duckdb.connect(str(tmp_path / "p.duckdb")) as con:
        con.execute("create table t as select i as id, 'photos/' || i || '.bmp' as photo from range(3) r(i)")
    paint(tmp_path, 0, 0)
    paint(tmp_path, 1, 255)
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def paint(project: Path, name: int, grey: int) -> None:
    pillow.new("RGB", (4, 4), (grey,) * 3).save(project / "photos" / f"{name}.bmp")


def night(project: Path) -> tuple[list[Any], dict[str, Any]]:
    """The published values, and what the run counted."""
    assert invoke(["run", "--project-dir", str(project), "--profiles-dir", str(project)]) == 0
    (result,) = json.loads((project / "target" / "run_results.json").read_text())["results"]
    with duckdb.connect(str(project / "p.duckdb"), read_only=True) as con:
        values = [
            None if v is None else round(v, 3) for (v,) in con.execute("select value from m order by id").fetchall()
        ]
    return values, result["adapter_response"]


def test_a_replaced_file_is_scored_again_and_no_other(project: Path) -> None:
    paint(project, 2, 51)
    assert night(project)[0] == [0, 1, 0.2]
    paint(project, 0, 102)
    values, counts = night(project)
    assert values == [0.4, 1, 0.2]
    assert (counts["scored"], counts["reused"]) == (1, 2)
    assert night(project)[1]["scored"] == 0


def test_a_missing_file_is_looked_for_every_night(project: Path) -> None:
    assert night(project)[0] == [0, 1, None]
    paint(project, 2, 51)
    assert night(project)[0] == [0, 1, 0.2]
    (project / "photos" / "2.bmp").unlink()
    values, counts = night(project)
    assert values == [0, 1, None]
    assert counts["errors"] == 1


def test_a_file_may_be_named_by_its_whole_path(project: Path) -> None:
    with duckdb.connect(str(project / "p.duckdb")) as con:
        con.execute("update t set photo = ? where id = 2", [str(project / "photos" / "1.bmp")])
    assert night(project)[0] == [0, 1, 1]


def test_python_and_udfs_look_from_the_project_too(project: Path) -> None:
    assert sqlinfer.connect(str(project)).sql("select bright('photos/1.bmp') as v")["v"].to_pylist() == [1.0]
    with duckdb.connect() as con:
        sqlinfer.register(con, str(project))
        assert con.execute("select bright('photos/1.bmp')").fetchall() == [(1.0,)]


def test_a_stamp_changes_with_the_file_and_is_none_without(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    first = stamp(tmp_path, "a")
    assert first == stamp(Path("/"), str(file)) is not None
    file.write_bytes(b"four")
    assert stamp(tmp_path, "a") != first
    os.utime(file, ns=(0, 5))
    assert stamp(tmp_path, "a") == "4 5"
    os.mkfifo(tmp_path / "pipe")
    for nothing in ("b", "", ".", "pipe", "a/b", "\0", "\ud800", "x" * 5000):
        assert stamp(tmp_path, nothing) is None
