"""Buffers that a worker on a GPU keeps from run to run: values on the device, and pinned memory of the host."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from sqlinfer.inference.tensors import Array

KEPT_SHAPES = 8
"""Device values kept per input of a worker; text makes new shapes all the time."""
KEPT_BYTES = 256 << 20
"""Bytes that device values of other shapes than the run's may take, per worker."""
PAGE = 4096

Key = tuple[str, tuple[int, ...], str]


class DeviceBuffers:
    """Values on a device by name, shape and type. ``make_value(array, index)`` puts an array there."""

    def __init__(self, make_value: Callable[[Array, int], Any], index: int) -> None:
        self._make_value = make_value
        self._index = index
        self._values: dict[Key, tuple[Any, int]] = {}
        """Value and its bytes, the least recently used first."""

    def __len__(self) -> int:
        return len(self._values)

    def make_room(self, feeds: Mapping[str, Array]) -> None:
        """Drop the oldest values that this run does not use, before it asks for its own."""
        wanted = {_key(name, array): array.nbytes for name, array in feeds.items()}
        spare = {key: size for key, (_, size) in self._values.items() if key not in wanted}
        count = len(spare) + len(wanted)
        size = sum(spare.values()) + sum(wanted[key] for key in wanted if key not in self._values)
        for key, freed in spare.items():
            if count <= KEPT_SHAPES * len(wanted) and size <= KEPT_BYTES:
                break
            del self._values[key]
            count, size = count - 1, size - freed

    def put(self, name: str, array: Array) -> Any:
        key = _key(name, array)
        value, _ = self._values.pop(key, (None, 0))  # a value whose copy fails stays out
        if value is None:
            value = self._make_value(array, self._index)
        else:
            value.update_inplace(array)
        self._values[key] = value, array.nbytes
        return value

    def clear(self) -> None:
        self._values.clear()


def _key(name: str, array: Array) -> Key:
    return name, array.shape, array.dtype.str


class PinnedBuffers:
    """Host buffers registered with CUDA, so that copies to the device run at full speed; ordinary memory without it."""

    def __init__(self, runtime: Any | None = None, index: int = 0) -> None:
        self._runtime = runtime if runtime is not None else _cuda_runtime()
        self._index = index
        self._buffers: dict[str, Array] = {}
        self._registered: set[str] = set()

    def copy(self, name: str, array: Array) -> Array:
        """The array's content in the pinned buffer of this name, which grows to hold the largest seen."""
        if self._runtime is None:
            return np.asarray(array, order="C")
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < array.nbytes:
            buffer = self._grow(name, array.nbytes)
        view: Array = buffer[: array.nbytes].view(array.dtype).reshape(array.shape)
        np.copyto(view, array)
        return view

    def close(self) -> None:
        """Release every buffer, even where releasing one raises."""
        with ExitStack() as stack:
            for name in list(self._buffers):
                stack.callback(self._release, name)

    def _grow(self, name: str, size: int) -> Array:
        self._release(name)
        buffer = self._buffers[name] = _whole_pages(size)
        if self._call("cudaHostRegister", ctypes.c_void_p(buffer.ctypes.data), ctypes.c_size_t(buffer.nbytes), 0):
            self._registered.add(name)
        return buffer

    def _release(self, name: str) -> None:
        """Unregistering memory that was never registered is an error, which would surface in a later call of CUDA."""
        buffer = self._buffers.pop(name, None)
        if buffer is not None and name in self._registered:
            self._registered.remove(name)
            self._call("cudaHostUnregister", ctypes.c_void_p(buffer.ctypes.data))

    def _call(self, function: str, *arguments: Any) -> bool:
        """On the worker's device: on a thread that has none yet, CUDA would set up device 0. Errors are taken back."""
        runtime: Any = self._runtime
        done: bool = runtime.cudaSetDevice(self._index) == 0 and getattr(runtime, function)(*arguments) == 0
        if not done:
            runtime.cudaGetLastError()
        return done


def _whole_pages(size: int) -> Array:
    """A power of two of bytes, as rows sorted by length grow run by run; no page is shared with another buffer."""
    size = max(PAGE, 1 << (size - 1).bit_length())
    memory: Array = np.empty(size + PAGE, dtype=np.uint8)
    start = -memory.ctypes.data % PAGE
    return memory[start : start + size]


def device_value(array: Array, index: int) -> Any:
    import onnxruntime as ort

    return ort.OrtValue.ortvalue_from_numpy(array, "cuda", index)


def _cuda_runtime() -> Any | None:
    for major in (13, 12):
        try:
            return ctypes.CDLL(f"libcudart.so.{major}")
        except OSError:
            continue
    return None
