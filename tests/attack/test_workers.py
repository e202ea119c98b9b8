# ruff: noqa: E501
"""What runs beside us may say anything, or nothing, and leave children: it costs its row or its function, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import house as houses
import pyarrow as pa
import pytest

from sqlinfer.errors import FunctionError
from sqlinfer.functions.sources import child
from sqlinfer.inference import frames
from sqlinfer.inference.batch_result import BatchResult
from sqlinfer.testing.patience import patience
from sqlinfer.testing.workshop import Workshop

FUNCTION = """functions:
  - name: score
    model: {source: python, entrypoint: "code:f"}
    arguments: [{name: x, data_type: double}, {name: y, data_type: double}]
    returns: {data_type: double}
"""
ANSWERS = {
    "garbage": "b'R' + (50).to_bytes(8, 'little') + b'x' * 50",
    "an endless frame": "b'R' + (2**63).to_bytes(8, 'little')",
    "an unknown frame": "b'Z' + bytes(8)",
}
OUTPUTS = pa.schema([("s", pa.float64())])


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    (folder / "extern.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    return "extern"


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.thorough("frame")
def test_a_row_whose_code_writes_to_the_socket_is_lost_alone(answer: str, tmp_path: Path) -> None:
    shop = houses.build(tmp_path)
    code = (
        "import os, sys\nimport pyarrow as pa\ndef f(rows):\n    if 2.0 in rows.column('x').to_pylist():\n"
        f"        os.write(int(sys.argv[1]), {ANSWERS[answer]})\n    return pa.array([7.0] * rows.num_rows)\n"
    )
    houses.write(shop.root, {houses.FUNCTIONS: FUNCTION, "functions/code.py": code, "models/scores.sql":
                             "{{ config(max_error_rate=0.5) }}\n" + str(houses.FILES[houses.SCORES])})  # fmt: skip
    done = shop.sqlinfer("run")
    assert done.code == 0, done.text
    assert shop.sql("select id, s from scores order by id") == [(1, 7.0), (2, None), (3, 7.0)]


@pytest.mark.parametrize(
    ("array", "rows"),
    [(pa.array(["a", "b"]), 2), (pa.array([1.0]), 2), (pa.array([1.0, 2.0, 3.0]), 2), (pa.array([1, 2]), 2)],
)
def test_an_answer_of_other_rows_or_types_is_none(array: pa.Array, rows: int) -> None:
    answer = BatchResult((array,), pa.nulls(len(array), pa.string()), None, len(array), 0, 0)
    with pytest.raises(EOFError):
        frames.unpack_result(frames.pack_result(answer).to_pybytes(), OUTPUTS, rows)


def exported(folder: Path, name: str, timeout: float = 60) -> object:
    return child.export(Workshop(folder).declare(b""), name, {}, folder, timeout=timeout)


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "pass", "import sys; open(sys.argv[2], 'w').write('[1')",
                                  "import sys; open(sys.argv[2], 'w').write('[' * 200_000)"])  # fmt: skip
def test_a_process_that_leaves_without_an_answer_is_an_error(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FunctionError, match="ended before it had answered"):
        exported(tmp_path, module(tmp_path, monkeypatch, code))


def test_what_it_started_is_not_waited_for_and_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import pathlib, subprocess, sys\nleft = subprocess.Popen(['sleep', '600'])\n"
        "pathlib.Path(sys.argv[2]).write_text('{\"pid\": %d}' % left.pid)\n"
    )
    began = time.monotonic()
    answer = exported(tmp_path, module(tmp_path, monkeypatch, code))
    assert time.monotonic() - began < patience(30)
    assert isinstance(answer, dict)
    assert ended(answer["pid"])


def test_what_it_writes_fills_neither_memory_nor_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_MOST_SAID", 1 << 20)
    code = "import os, time\nfor _ in range(30): os.write(2, b'x' * (1 << 18)); time.sleep(0.1)\nos.write(2, b'the end'); exit(1)\n"
    with pytest.raises(FunctionError, match="the end") as caught:
        exported(tmp_path, module(tmp_path, monkeypatch, code))
    assert len(caught.value.message) < 100_000
    assert (tmp_path / "stderr").stat().st_blocks * 512 < 6 << 20


def test_it_ends_when_its_parent_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\nwhile True: time.sleep(1)\n"
    name = module(tmp_path, monkeypatch, code)
    script = (
        "from pathlib import Path; from sqlinfer.testing.workshop import Workshop; from sqlinfer.functions.sources import child; "
        f"here = Path({str(tmp_path)!r}); child.export(Workshop(here).declare(b''), {name!r}, {{}}, here)"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        try:
            until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        finally:
            parent.kill()
    assert ended(int((tmp_path / "pid").read_text()))


def until(true: object, seconds: float = 30) -> None:
    end = time.monotonic() + patience(seconds)
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def ended(pid: int) -> bool:
    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    until(gone)
    return True
