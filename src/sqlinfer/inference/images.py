"""Blob (or path) column → image tensors, decoded run by run. An image that does not decode is an error of its row."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer.errors import InferenceError
from sqlinfer.inference.block import Feeder, Scratch
from sqlinfer.inference.tensors import Array, dtype_of
from sqlinfer.spec.function import ImageSpec, InputBinding

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 64_000_000
MAX_BYTES = 64 * 1024 * 1024


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
        channels = max(3, len(self.spec.mean)) if len(self.spec.mean) != 1 or len(self.spec.std) == 3 else 3
        pixels: Array = np.zeros((stop - start, height, width, channels), dtype=np.float32)
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
    """One image as [H, W, 3] floats from 0 to 255."""
    image_module = _pillow()
    data = _bytes(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with image_module.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _Refused("image_too_large")
                height, width = spec.size
                image.draft("RGB", (width, height))
                resized = image.convert("RGB").resize((width, height), image_module.Resampling.BILINEAR)
    except _Refused:
        raise
    except image_module.DecompressionBombError as error:
        raise _Refused("image_too_large") from error
    except Exception as error:  # decoders raise anything on damaged data
        raise _Refused("image_decode") from error
    pixels: Array = np.asarray(resized, dtype=np.float32)
    return pixels


def _bytes(value: bytes | str) -> bytes:
    if isinstance(value, bytes):
        data = value
    else:
        path = Path(value)
        try:
            if not path.is_file() or os.path.getsize(path) > MAX_BYTES:
                raise _Refused("image_missing" if not path.is_file() else "image_too_large")
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            raise _Refused("image_missing") from error
    if len(data) > MAX_BYTES:
        raise _Refused("image_too_large")
    return data


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise InferenceError("functions over images need Pillow", hint="pip install 'sqlinfer[images]'") from error
    return Image
