"""Images: decoded per run; what does not decode costs only its row."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from onnx import helper

from sqlinfer.errors import InferenceError
from sqlinfer.inference import images, open_session
from sqlinfer.spec.error_policy import ErrorPolicy
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
    blobs = [b"", b"no image", picture(1)[:40], picture(1, "TIFF"), picture(1, size=(50, 50)), picture(255)]
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


def scene(width: int, height: int) -> Any:
    """Smooth and without symmetry, so that every turn, crop and filter shows."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 // width, y * 255 // height, (x * y) * 255 // (width * height))
    return pillow.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def saved(image: Any, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(640, 480), (3000, 2000)])
@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos"])
def test_a_jpeg_is_decoded_in_full_before_it_is_resized(size: tuple[int, int], resample: str) -> None:
    data = saved(scene(*size), "JPEG", quality=80)
    with pillow.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB").resize((32, 24), getattr(pillow.Resampling, resample.upper())))
    found = images.decode(data, ImageSpec("p", (24, 32), resample=resample))
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(form: str, orientation: int) -> None:
    from PIL import ImageOps

    exif = pillow.Exif()
    exif[0x0112] = orientation
    data = saved(scene(40, 24), form, exif=exif.tobytes())
    with pillow.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    assert upright.size == ((24, 40) if orientation > 4 else (40, 24))
    found = images.decode(data, ImageSpec("p", (upright.height, upright.width)))
    assert found.tolist() == np.asarray(upright).tolist()


def test_damaged_exif_costs_no_image() -> None:
    found = images.decode(saved(scene(8, 8), "PNG", exif=b"Exif\0\0II*\0garbage"), ImageSpec("p", (8, 8)))
    assert found.tolist() == np.asarray(scene(8, 8)).tolist()


CROPS = {
    "landscape": ((60, 40), {}, (15, 10), (2, 0)),
    "portrait": ((40, 60), {}, (10, 15), (0, 2)),
    "square": ((40, 40), {}, (10, 10), (0, 0)),
    "larger": ((60, 40), {"resize_size": 16}, (24, 16), (7, 3)),
    "a fraction is cut off": ((100, 33), {}, (30, 10), (10, 0)),
}
"""Name → size, options, size after resizing, left and top of the crop; width first, as in torchvision's own steps."""


@pytest.mark.parametrize("name", CROPS)
def test_the_shortest_edge_is_resized_and_the_middle_is_cropped(name: str) -> None:
    size, options, resized, (left, top) = CROPS[name]
    expected = scene(*size).resize(resized, pillow.Resampling.BILINEAR).crop((left, top, left + 10, top + 10))
    found = images.decode(saved(scene(*size), "PNG"), ImageSpec("p", (10, 10), resize="shortest", **options))
    assert found.tolist() == np.asarray(expected).tolist()


def test_an_exact_resize_may_be_cropped() -> None:
    expected = scene(60, 40).resize((16, 16), pillow.Resampling.BILINEAR).crop((3, 3, 13, 13))
    found = images.decode(saved(scene(60, 40), "PNG"), ImageSpec("p", (10, 10), resize_size=16))
    assert found.tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize("size", [(20, 10), (10, 20)])
def test_the_shortest_edge_may_belong_to_an_oblong_input(size: tuple[int, int]) -> None:
    found = images.decode(saved(scene(60, 60), "PNG"), ImageSpec("p", size, resize="shortest"))
    whole = scene(60, 60).resize((20, 20), pillow.Resampling.BILINEAR)
    height, width = size
    left, top = (20 - width) // 2, (20 - height) // 2
    assert found.tolist() == np.asarray(whole.crop((left, top, left + width, top + height))).tolist()


@pytest.mark.parametrize(
    ("form", "mode"), [("GIF", "P"), ("BMP", "RGB"), ("BMP", "1"), ("PNG", "P"), ("PNG", "LA"), ("JPEG", "CMYK")]
)
def test_formats_and_modes_become_rgb(form: str, mode: str) -> None:
    data = saved(scene(8, 8).convert("L" if mode == "LA" else "RGB").convert(mode), form)
    with pillow.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert images.decode(data, ImageSpec("p", (8, 8))).tolist() == expected.tolist()


def test_of_several_frames_the_first_is_taken() -> None:
    frames = [pillow.new("RGB", (4, 4), (red, 0, 0)) for red in (200, 10, 20)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert images.decode(data, ImageSpec("p", (4, 4)))[..., 0].tolist() == [[200] * 4] * 4


def test_a_model_of_one_channel_gets_grey() -> None:
    found = images.decode(saved(scene(8, 8), "PNG"), ImageSpec("p", (8, 8), channels=1))
    assert found[..., 0].tolist() == np.asarray(scene(8, 8).convert("L")).tolist()


def test_sixteen_bits_are_scaled_not_cut() -> None:
    wide = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    found = images.decode(saved(pillow.fromarray(wide), "PNG"), ImageSpec("p", (4, 4), channels=1))
    assert found[..., 0].tolist() == (wide // 256).tolist()


def test_paths_are_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "photos" / "red.png").write_bytes(picture(200))
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = images.decode("photos/red.png", ImageSpec("p", (2, 2), root=tmp_path))
    assert found[0, 0].tolist() == [200, 0, 0]


def test_a_pipe_is_no_image_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(images._Refused, match="image_missing"):
        images.decode("pipe", ImageSpec("p", (2, 2), root=tmp_path))


@pytest.mark.parametrize(("layout", "shape"), [("nchw", (1, 4, 6)), ("nhwc", (4, 6, 1))])
@pytest.mark.parametrize("element", ["float", "uint8"])
def test_grey_pixels_reach_the_graph_in_its_layout(prepare, layout: str, shape: tuple[int, ...], element: str) -> None:
    graph = onnx_builder.build(
        [
            helper.make_node("Cast", ["x"], ["floats"], to=1),
            helper.make_node("Reshape", ["floats", "flat"], ["y"]),
        ],
        [onnx_builder.value("x", element, ["N", *shape])],
        [onnx_builder.value("y", "float", ["N", 24])],
        [onnx_builder.constant("flat", [0, 24], "int64")],
    )
    inputs = (InputBinding("x", "image", element, ("picture",)),)
    outputs = {"value": "REAL[24]"}
    made = prepare(graph, {"picture": "BLOB"}, inputs, outputs, (OutputBinding("value", "y"),))
    scaling = {} if element == "uint8" else {"mean": (0.5,), "std": (0.25,)}
    made = replace(made, image=ImageSpec("picture", (4, 6), layout=layout, channels=1, **scaling))
    grey = np.asarray(scene(6, 4).convert("L"), np.float32).ravel()
    expected = grey if element == "uint8" else (grey / 255 - 0.5) / 0.25
    with open_session(made, device="cpu") as session:
        result = session.score_table(pa.table({"picture": [saved(scene(6, 4), "PNG")]}), keep=[])
    np.testing.assert_allclose(result["value"].to_pylist()[0], expected, rtol=1e-5)


def test_a_table_of_missing_files_is_given_up_early(function) -> None:
    paths = pa.table({"picture": [f"none/{row}.png" for row in range(4000)]})
    with (
        open_session(function, device="cpu", batch_size=32) as session,
        session.score(paths.to_reader(), ["picture"], [], policy=ErrorPolicy(0.01)) as scored,
    ):
        with pytest.raises(InferenceError, match=r"max_error_rate allows \(0\.01\); the last: image_missing"):
            list(scored)
        assert scored.runs < 60
