"""Blob (or path) column → image tensors, decoded run by run. An image that does not decode is an error of its row.

The steps are those of torchvision and of the makers' own preprocessing: decode in full, turn as EXIF says, resize the
whole image with antialiasing, crop the middle, scale to 0…1, subtract the mean, divide by the deviation.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer.errors import InferenceError
from sqlinfer.inference.block import Feeder, Scratch
from sqlinfer.inference.tensors import Array, dtype_of
from sqlinfer.spec.function import FILE_MISSING, ImageSpec, InputBinding

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Of a GIF, or any other file of several images, the first."""
MAX_PIXELS = 64_000_000
MAX_BYTES = 64 * 1024 * 1024
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Channels → Pillow's mode."""


class _Refused(Exception):
    """Why one image gives no tensor; the class of the row's error."""


class ImageRows:
    def __init__(self, column: pa.Array, spec: ImageSpec, bindings: Sequence[InputBinding]) -> None:
        _pillow()
        self._column = column
        self._spec = spec
        self._bindings = bindings

    def feeders(self, failed: dict[int, str]) -> Sequence[Feeder]:
        return [ImageFeeder(b.name, self._column, self._spec, dtype_of(b.element_type), failed) for b in self._bindings]

    def splits(self, batch_size: int, token_budget: int | None) -> Iterator[tuple[int, int]]:
        rows = len(self._column)
        for start in range(0, rows, batch_size):
            yield start, min(start + batch_size, rows)


@dataclass(frozen=True, slots=True)
class ImageFeeder:
    name: str
    column: pa.Array
    spec: ImageSpec
    dtype: Any
    failed: dict[int, str]

    def feed(self, start: int, stop: int, scratch: Scratch) -> Array:
        height, width = self.spec.size
        pixels: Array = np.zeros((stop - start, height, width, self.spec.channels), dtype=np.float32)
        for row in range(start, stop):
            if row in self.failed:
                continue
            try:
                pixels[row - start] = decode(self.column[row].as_py(), self.spec)
            except _Refused as refused:
                self.failed[row] = str(refused)
        if np.issubdtype(self.dtype, np.integer):
            pixels = pixels.clip(0, 255)
        else:
            pixels = (pixels / np.float32(255) - np.asarray(self.spec.mean, np.float32)) / np.asarray(
                self.spec.std, np.float32
            )
        if self.spec.layout == "nchw":
            pixels = pixels.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels, dtype=self.dtype)


def decode(value: bytes | str, spec: ImageSpec) -> Array:
    """One image as [H, W, C] floats from 0 to 255."""
    image_module = _pillow()
    data = _bytes(value, spec.root)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with image_module.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _Refused("image_too_large")
                fitted = _fitted(_turned(image).convert(_MODES[spec.channels]), spec)
    except _Refused:
        raise
    except image_module.DecompressionBombError as error:
        raise _Refused("image_too_large") from error
    except Exception as error:  # decoders raise anything on damaged data
        raise _Refused("image_decode") from error
    pixels: Array = np.asarray(fitted, dtype=np.float32).reshape(*spec.size, spec.channels)
    return pixels


def _turned(image: Any) -> Any:
    """Upright as its EXIF orientation says, with eight bits a channel."""
    from PIL import ImageOps

    image.load()
    if image.mode.startswith("I"):  # 16 bits grey: Pillow's own conversion cuts at 255 instead of scaling
        wide = np.asarray(image).astype(np.int64)
        image = _keeping_exif(image, _pillow().fromarray((wide >> 8).clip(0, 255).astype(np.uint8)))
    elif image.mode == "P" and "transparency" in image.info:
        image = _keeping_exif(image, image.convert("RGBA"))
    with suppress(Exception):  # damaged EXIF says nothing; the pixels are whole
        return ImageOps.exif_transpose(image)
    return image


def _keeping_exif(image: Any, converted: Any) -> Any:
    converted.info.setdefault("exif", image.info.get("exif", b""))
    return converted


def _fitted(image: Any, spec: ImageSpec) -> Any:
    """Resized, and the middle cropped where that is larger than ``size``."""
    height, width = spec.size
    wide, high = _resized_to(image.width, image.height, spec)
    if wide * high > MAX_PIXELS:
        raise _Refused("image_too_large")
    resample = getattr(_pillow().Resampling, spec.resample.upper())
    if (wide, high) != image.size:
        image = image.resize((wide, high), resample)
    left, top = _middle(wide - width, spec), _middle(high - height, spec)
    return image if (wide, high) == (width, height) else image.crop((left, top, left + width, top + height))


def _middle(left_over: int, spec: ImageSpec) -> int:
    return left_over // 2 if spec.rounding == "down" else round(left_over / 2)


def _resized_to(wide: int, high: int, spec: ImageSpec) -> tuple[int, int]:
    """Width and height after resizing; of the longer edge the fraction is cut off, as torchvision does."""
    height, width = spec.size
    if spec.resize == "exact":
        return (spec.resize_size, spec.resize_size) if spec.resize_size is not None else (width, height)
    if spec.resize_size is not None:
        height = width = spec.resize_size
    if wide * height <= high * width:  # the width is what fits last
        return width, max(height, int(width * high / wide))
    return max(width, int(height * wide / high)), height


def _bytes(value: bytes | str, root: Path | None) -> bytes:
    data = value if isinstance(value, bytes) else _read(Path(value) if root is None else root / value)
    if len(data) > MAX_BYTES:
        raise _Refused("image_too_large")
    return data


def _read(path: Path) -> bytes:
    """A regular file; a pipe would wait for a writer."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise _Refused(FILE_MISSING)
            if info.st_size > MAX_BYTES:
                raise _Refused("image_too_large")
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _Refused(FILE_MISSING) from error


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise InferenceError("functions over images need Pillow", hint="pip install 'sqlinfer[images]'") from error
    return Image
