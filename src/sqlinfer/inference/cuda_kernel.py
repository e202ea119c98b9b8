"""ONNX Runtime on a GPU: one kernel per worker thread, each with its own IOBinding and pinned host buffers.

Two workers per device overlap one's copies and assembly with the other's compute: the session computes on a
non-blocking stream of its own per run, copies of inputs go through the default stream.
"""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sqlinfer.inference.kernel import Feeds, Raw, translate
from sqlinfer.inference.ort_kernel import SharedSession
from sqlinfer.inference.tensors import Array

KEPT_SHAPES = 8
"""Device buffers kept per worker; text makes new shapes all the time."""


class CudaKernel:
    """``make_value(array, index)`` puts an array on a device; a test hands in a fake."""

    def __init__(
        self,
        shared: SharedSession,
        output_names: Sequence[str],
        index: int,
        *,
        make_value: Callable[[Array, int], Any] | None = None,
        pinned: PinnedBuffers | None = None,
    ) -> None:
        self._shared = shared
        self._names = list(dict.fromkeys(output_names))
        self._places = [self._names.index(name) for name in output_names]
        self._index = index
        self._make_value = make_value or _device_value
        self._pinned = pinned or PinnedBuffers()
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    @property
    def generation(self) -> int:
        return self._shared.generation

    def run(self, feeds: Feeds) -> Sequence[Raw]:
        with self._lock:
            try:
                return self._run(feeds)
            except Exception as error:  # ONNX Runtime's exceptions share no base class
                self._values.clear()
                raise translate(error) from error

    def rebuild(self, generation: int) -> None:
        with self._lock:
            self._values.clear()
        self._shared.rebuild(generation)

    def close(self) -> None:
        with self._lock:
            self._values.clear()
            self._pinned.close()
        self._shared.close()

    def _run(self, feeds: Feeds) -> Sequence[Raw]:
        session = self._shared.session
        binding = session.io_binding()
        for name, array in feeds.items():
            if array.dtype == object:
                binding.bind_cpu_input(name, array)
            else:
                binding.bind_ortvalue_input(name, self._on_device(name, array))
        for name in self._names:
            binding.bind_output(name, "cpu")
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        outputs: Sequence[Raw] = binding.copy_outputs_to_cpu()
        return [outputs[place] for place in self._places]

    def _on_device(self, name: str, array: Array) -> Any:
        host = self._pinned.copy(name, array)
        key = (name, array.shape, array.dtype.str)
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = self._make_value(host, self._index)
            if len(self._values) > KEPT_SHAPES:
                self._values.popitem(last=False)
            return value
        self._values.move_to_end(key)
        value.update_inplace(host)
        return value


class PinnedBuffers:
    """Host buffers registered with CUDA, so that copies to the device run at full speed; ordinary memory without it."""

    def __init__(self, runtime: Any | None = None) -> None:
        self._runtime = runtime if runtime is not None else _cuda_runtime()
        self._buffers: dict[str, Array] = {}

    def copy(self, name: str, array: Array) -> Array:
        """The array's content in the pinned buffer of this name, which grows to the largest size seen."""
        if self._runtime is None:
            return np.ascontiguousarray(array)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < array.nbytes:
            buffer = self._grow(name, array.nbytes)
        view: Array = buffer[: array.nbytes].view(array.dtype).reshape(array.shape)
        np.copyto(view, array)
        return view

    def close(self) -> None:
        for name in list(self._buffers):
            self._release(name)

    def _grow(self, name: str, size: int) -> Array:
        self._release(name)
        buffer: Array = np.empty(size, dtype=np.uint8)
        runtime: Any = self._runtime
        if size and runtime.cudaHostRegister(ctypes.c_void_p(buffer.ctypes.data), ctypes.c_size_t(size), 0) != 0:
            runtime.cudaGetLastError()
        self._buffers[name] = buffer
        return buffer

    def _release(self, name: str) -> None:
        buffer = self._buffers.pop(name, None)
        if buffer is not None and self._runtime is not None:
            self._runtime.cudaHostUnregister(ctypes.c_void_p(buffer.ctypes.data))


def _device_value(array: Array, index: int) -> Any:
    import onnxruntime as ort

    return ort.OrtValue.ortvalue_from_numpy(array, "cuda", index)


def _cuda_runtime() -> Any | None:
    for major in (13, 12):
        try:
            return ctypes.CDLL(f"libcudart.so.{major}")
        except OSError:
            continue
    return None
