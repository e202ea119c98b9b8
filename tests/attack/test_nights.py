# ruff: noqa: E501
"""One row that its decoder, its feeding or the assembling of its batch cannot bear: three nights of three, one error row."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import house as houses
import pyarrow as pa
import pytest
from house import House
from onnx import helper

from sqlinfer.inference import assembly, images
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.children import start
from sqlinfer.testing.patience import patience

Image = pytest.importorskip("PIL.Image")
ROWS, BAD = 300, 137
FUNCTIONS = """functions:
  - name: brightness
    model: {{path: brightness.onnx}}
    arguments: [{{name: x, data_type: blob}}]
    returns: {{data_type: float}}
    image: {{argument: x, size: 8}}
    config: {{batch_size: 32{more}}}
  - name: score
    model: {{path: score.onnx}}
    arguments: [{{name: x, data_type: double}}, {{name: y, data_type: double}}]
    returns: {{data_type: double}}
    config: {{batch_size: 32{more}}}
"""
MODELS = {
    "models/scores.sql": "{{ config(unique_key='id') }}select id, predict('score', id, night) as s from pictures",
    "models/shown.sql": "{{ config(unique_key='id') }}select id, predict('brightness', picture) as s from pictures",
    "models/zlast.sql": "select count(s) as n from {{ ref('shown') }}",
}


def mean() -> bytes:
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2, 3], keepdims=0)
    return ob.build([node], [ob.value("x", "float", ["N", 3, 8, 8])], [ob.value("y", "float", ["N"])])


def gallery(root: Path, more: str = "") -> House:
    files = {name: houses.FILES[name] for name in (houses.PROJECT, houses.PROFILES, "functions/score.onnx")}
    functions = {"functions/f.yml": FUNCTIONS.format(more=more), "functions/brightness.onnx": mean()}
    houses.write(root, {**files, **functions, **MODELS})
    house = House(root)
    bitmap = _bitmap()
    house.sql(
        f"create table pictures as select i as id, 0 as night, (from_hex('{bitmap.hex()}') || "
        f"encode(i::varchar))::blob as picture from range({ROWS}) r(i)"
    )  # what stands behind a bitmap tells one row from another, and Pillow does not read it
    return house


def _bitmap() -> bytes:
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "BMP")
    return buffer.getvalue()


def is_bad(value: Any) -> bool:
    return isinstance(value, bytes) and value.endswith(str(BAD).encode())


Hurt = Callable[[pytest.MonkeyPatch, BaseException], str]


def decoding(patch: pytest.MonkeyPatch, error: BaseException) -> str:
    plain = images.decode

    def decode(value: Any, spec: Any) -> Any:
        if is_bad(value):
            raise error
        return plain(value, spec)

    patch.setattr(images, "decode", decode)
    return "shown"


def assembling(model: str) -> Hurt:
    def hurt(patch: pytest.MonkeyPatch, error: BaseException) -> str:
        plain = assembly.Assembler.block

        def block(self: Any, batch: pa.RecordBatch, arguments: Any, *more: Any) -> Any:
            values = batch.column(batch.schema.get_field_index(arguments[0])).to_pylist()
            if any(is_bad(value) if model == "shown" else value == BAD for value in values):
                raise error
            return plain(self, batch, arguments, *more)

        patch.setattr(assembly.Assembler, "block", block)
        return model

    return hurt


def stacking(patch: pytest.MonkeyPatch, error: BaseException) -> str:
    plain = images.ImageFeeder.feed

    def feed(self: Any, first: int, stop: int, scratch: Any) -> Any:
        if any(is_bad(value) for value in self.column.slice(first, stop - first).to_pylist()):
            raise error
        return plain(self, first, stop, scratch)

    patch.setattr(images.ImageFeeder, "feed", feed)
    return "shown"


PLACES = {
    "the decoder": decoding, "stacking pictures": stacking, "assembling pictures": assembling("shown"),
    "assembling numbers": assembling("scores"),
}  # fmt: skip
ERRORS = (ValueError("TOPSECRET"), MemoryError("TOPSECRET"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("error", "more"), [*((error, "") for error in ERRORS), (ERRORS[0], ', reuse: "true"')])
@pytest.mark.thorough("error1--stacking", "error1--assembling", '"true"-stacking', '"true"-assembling')
def test_one_row_costs_itself_in_every_night(
    place: str, error: BaseException, more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = gallery(tmp_path / "shop", more)
    model = PLACES[place](monkeypatch, error)
    for night in range(3):
        house.sql(f"update pictures set night = {night}")
        done = house.sqlinfer("run")
        assert done.code == 0, done.text
        assert "PASS=3" in done.text
        assert "TOPSECRET" not in done.text
        assert house.sql(f"select id from {model} where s is null") == [(BAD,)]
        assert house.sql("select count(*), any_value(key_columns) from sqlinfer_errors") == [(1, f'{{"id":{BAD}}}')]
        assert house.sql(f"select count(*) from {model}") == [(ROWS,)]


def is_shown(text: bytes) -> bool:
    """Whether it holds the beginning of the row's picture."""
    start = _bitmap()[:12]
    return start in text or start.hex().encode() in text or repr(start)[2:-1].encode() in text


HOOK = """
import ctypes, sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name != {module!r}:
            return None
        sys.meta_path.remove(self)
        import importlib.util
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            plain = getattr({holder}, {name!r})
            def poisoned(*given):
                if {bad}:
                    {deed}
                return plain(*given)
            setattr({holder}, {name!r}, poisoned)
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Hook())
"""
CRASHES = {
    "the decoder": {"module": images.__name__, "holder": "module", "name": "decode", "bad": f"given[0].endswith(b'{BAD}')"},
    "assembling": {
        "module": assembly.__name__, "holder": "module.Assembler", "name": "block",
        "bad": f"any(v.endswith(b'{BAD}') for v in given[1].column(given[1].schema.get_field_index(given[2][0])).to_pylist() if isinstance(v, bytes))",
    },
}  # fmt: skip
SEGV, ABORT = "ctypes.string_at(0)", "__import__('os').abort()"


def night(house: House, hooks: Path) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(hooks), "SQLINFER_WORKER_TIMEOUT": str(patience(20))}
    child = start(
        [Path(sys.executable).parent / "sqlinfer", "run", "--project-dir", str(house.root), "--no-use-colors"],
        stdout=-1,
        stderr=-1,
        text=True,
        env=environment,
    )
    out, err = child.communicate(timeout=patience(120))
    return child.returncode, out + err


@pytest.mark.parametrize(
    ("place", "deed", "isolation"),
    [("the decoder", SEGV, "auto"), ("the decoder", ABORT, "process"), ("assembling", SEGV, "process")],
)
@pytest.mark.thorough("abort")
def test_one_row_that_crashes_costs_itself(place: str, deed: str, isolation: str, tmp_path: Path) -> None:
    """Without isolation the first night dies, as it does of a kernel; from then on workers score."""
    house = gallery(tmp_path / "shop", f", isolation: {isolation}")
    hooks = tmp_path / "hooks"
    houses.write(hooks, {"sitecustomize.py": HOOK.format(**CRASHES[place], deed=deed)})
    if isolation == "auto":
        assert night(house, hooks)[0] < 0
        (evidence,) = (house.root / "target").glob("crash-*.txt")
        assert not is_shown(evidence.read_bytes())
    for _ in range(3):
        code, said = night(house, hooks)
        assert code == 0, said
        assert "PASS=3" in said
        assert house.sql("select id from shown where s is null") == [(BAD,)]
        assert house.sql("select error_class, key_columns from sqlinfer_errors") == [("crashed", f'{{"id":{BAD}}}')]
        house.sql("update pictures set picture = picture || encode('x') where id = 3")
