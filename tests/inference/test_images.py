"""Images: decoded per run; what does not decode costs only its row."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from onnx import helper

from sqlinfer.inference import images, open_session
from sqlinfer.spec.function import ImageSpec, InputBinding, OutputBinding, PreparedFunction
from sqlinfer.testing import onnx_builder

pillow = pytest.importorskip("PIL.Image")


def picture(red: int, form: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    file = io.BytesIO()
    pillow.new("RGB", size, (red, 0, 0)).save(file, form)
    return file.getvalue()


@pytest.fixture
def function(prepare) -> PreparedFunction:
    """The mean of the red channel."""
    graph = onnx_builder.build(
        [
            helper.make_node("Slice", ["x", "from", "to", "channel"], ["red"]),
            helper.make_node("ReduceMean", ["red"], ["score"], axes=[1, 2, 3], keepdims=0),
        ],
        [onnx_builder.value("x", "float", ["N", 3, 4, 4])],
        [onnx_builder.value("score", "float", ["N"])],
        [
            onnx_builder.constant("from", [0], "int64"),
            onnx_builder.constant("to", [1], "int64"),
            onnx_builder.constant("channel", [1], "int64"),
        ],
    )
    inputs = (InputBinding("x", "image", "float", ("picture",)),)
    made = prepare(graph, {"picture": "BLOB"}, inputs, bindings=(OutputBinding("value", "score"),))
    return replace(made, image=ImageSpec("picture", (4, 4), mean=(0.5, 0.0, 0.0), std=(0.5, 1.0, 1.0)))


def test_images_are_decoded_scaled_and_normalised(function) -> None:
    table = pa.table({"picture": [picture(255), None, picture(0, "WEBP"), picture(255, "JPEG")]})
    with open_session(function, device="cpu", batch_size=2) as session:
        result = session.score_table(table, keep=[])
    first, second, third, fourth = result["value"].to_pylist()
    assert (first, second) == (1.0, None)
    assert third == pytest.approx(-1.0, abs=0.02)
    assert fourth == pytest.approx(1.0, abs=0.02)


def test_damaged_and_refused_images_are_error_rows(function, monkeypatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    blobs = [b"", b"no image", picture(1)[:40], picture(1, "GIF"), picture(1, size=(50, 50)), picture(255)]
    with open_session(function, device="cpu", batch_size=3) as session:
        result = session.score_table(pa.table({"picture": blobs}), keep=[])
    assert result["error"].to_pylist() == [*["image_decode"] * 4, "image_too_large", None]
    assert result["value"].to_pylist() == [*[None] * 5, 1.0]


def test_images_may_be_paths(function, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(picture(255))
    table = pa.table({"picture": [str(path), str(tmp_path / "none.png"), "\0"]})
    with open_session(function, device="cpu") as session:
        result = session.score_table(table, keep=[])
    assert result["value"].to_pylist() == [1.0, None, None]
    assert result["error"].to_pylist() == [None, "image_missing", "image_missing"]


def test_pixels_keep_their_place() -> None:
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    pixels[0, 1] = (10, 20, 30)
    file = io.BytesIO()
    pillow.fromarray(pixels).save(file, "PNG")
    decoded = images.decode(file.getvalue(), ImageSpec("p", (2, 2)))
    assert decoded[0, 1].tolist() == [10, 20, 30]
    assert decoded.sum() == 60
