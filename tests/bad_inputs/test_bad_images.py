"""Images: what does not decode, is of another format, or is a bomb costs its own row; good ones beside it are scored."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from house import FILES, House, write
from onnx import helper

from sqlinfer.testing import onnx_builder as onnx

Image = pytest.importorskip("PIL.Image")


def picture(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (16, 12), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 255 if mode in ("L", "P", "1") else None).save(buffer, kind, **options)
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@dataclass(frozen=True)
class Row:
    id: str
    data: bytes | None
    error: str | None = None
    """Class of the error record; ``*``: any; None: it is scored (or NULL, where there is no image)."""
    brightness: float = 0.0
    """The images are of one colour, black where nothing else is said."""


DECODE, LARGE = "image_decode", "image_too_large"
ROWS = (
    Row("png", picture()),
    Row("jpeg", picture("JPEG")),
    Row("webp", picture("WEBP")),
    Row("grey", picture(mode="L"), brightness=1.0),
    Row("one bit", picture(mode="1"), brightness=1.0),
    Row("palette", picture(mode="P")),
    Row("transparent", picture(mode="RGBA")),
    Row("sixteen bits", picture(mode="I;16")),
    Row("four inks", picture("JPEG", mode="CMYK"), brightness=1.0),
    Row("a GIF", picture("GIF", mode="P")),
    Row("a BMP", picture("BMP")),
    Row("one pixel", picture(size=(1, 1))),
    Row("one row of pixels", picture(size=(5000, 1))),
    Row("rotated by EXIF", picture("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")),
    Row("animated", picture("WEBP", save_all=True, append_images=[Image.new("RGB", (16, 12))])),
    Row("a script behind it", picture() + b"<script>alert(1)</script>"),
    Row("missing", None),
    Row("empty", b"", DECODE),
    Row("one byte", b"\xff", DECODE),
    Row("only a signature", b"\x89PNG\r\n\x1a\n", DECODE),
    Row("half a png", picture("PNG", size=(64, 64))[:60], DECODE),
    Row("half a jpeg", picture("JPEG", size=(64, 64))[:200], DECODE),
    Row("zeros", bytes(1000), DECODE),
    Row("a page of HTML", b"<!DOCTYPE html><html>404 Not Found</html>", DECODE),
    Row("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", DECODE),
    Row("a PDF", b"%PDF-1.4\n%EOF", DECODE),
    Row("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n", DECODE),
    Row("half a gif", picture("GIF", mode="P", size=(64, 64))[:100], DECODE),
    Row("half a bmp", picture("BMP", size=(64, 64))[:100], DECODE),
    Row("a TIFF", picture("TIFF"), DECODE),
    Row("an icon", picture("ICO", size=(16, 16)), DECODE),
    Row("a zip", b"PK\x03\x04" + bytes(100), DECODE),
    Row("a pickle", b"\x80\x05cos\nmkdir\n(S'pwned'\ntR.", DECODE),
    Row("a bomb", png_of(65_535, 65_535), LARGE),
    Row("a thin bomb", png_of(2**31 - 1, 1), "*"),
    Row("a smaller bomb", png_of(20_000, 20_000), LARGE),
    Row("no width", png_of(0, 5), "*"),
    Row("a size that is negative", png_of(2**31 + 5, 5), "*"),
)  # fmt: skip
FUNCTION = """functions:
  - name: brightness
    model: {path: brightness.onnx}
    arguments: [{name: x, data_type: blob}]
    returns: {data_type: float}
    image: {argument: x, size: 8}
"""
MODEL = "{{ config(unique_key='id', max_error_rate=1) }}select id, predict('brightness', v) as s from pictures"


def mean() -> bytes:
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2, 3], keepdims=0)
    return onnx.build([node], [onnx.value("x", "float", ["N", 3, 8, 8])], [onnx.value("y", "float", ["N"])])


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float | None, str | None]]:
    """Name of the image → its value and the class of its error."""
    root: Path = tmp_path_factory.mktemp("gallery")
    files = {name: FILES[name] for name in ("sqlinfer_project.yml", "profiles.yml")}
    write(root, {**files, "functions/f.yml": FUNCTION, "functions/brightness.onnx": mean(), "models/shown.sql": MODEL})
    house = House(root)
    values = ", ".join(f"('{r.id}', {'null' if r.data is None else f'from_hex({r.data.hex()!r})'})" for r in ROWS)
    house.sql(f"create table pictures as select id, v::blob as v from (values {values}) t(id, v)")
    done = house.sqlinfer("run")
    assert done.code == 0, done.text
    found = house.sql(
        "select id, s, e.error_class from shown left join sqlinfer_errors e "
        "on id = json_extract_string(e.key_columns, 'id')"
    )
    assert len(found) == len(ROWS)
    return {name: (value, error) for name, value, error in found}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_an_image_gets_its_value_or_its_error(row: Row, gallery: dict[str, tuple[float | None, str | None]]) -> None:
    value, error = gallery[row.id]
    if row.error is None:
        assert error is None
        assert value == (None if row.data is None else row.brightness)
    else:
        assert value is None
        assert error is not None
        assert row.error in ("*", error)


def test_no_image_runs_code() -> None:
    assert not Path("pwned").exists()
