"""ONNX Runtime on a GPU: one kernel per worker thread, each with its own IOBinding and pinned host buffers.

Two workers per device overlap one's copies and assembly with the other's compute: the session computes on a
non-blocking stream of its own per run, copies of inputs go through the default stream.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from sqlinfer.inference.cuda_buffers import DeviceBuffers, PinnedBuffers, device_value
from sqlinfer.inference.kernel import Feeds, Raw, translate
from sqlinfer.inference.ort_kernel import SharedSession
from sqlinfer.inference.tensors import Array


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
        self._device = DeviceBuffers(make_value or device_value, index)
        self._pinned = pinned or PinnedBuffers(index=index)
        self._lock = threading.Lock()
        self._seen = shared.generation

    @property
    def generation(self) -> int:
        return self._shared.generation

    def run(self, feeds: Feeds) -> Sequence[Raw]:
        with self._lock:
            try:
                outputs = self._run(feeds)
            except Exception as error:  # ONNX Runtime's exceptions share no base class
                self._device.clear()
                raise translate(error) from error
        return [outputs[place] for place in self._places]

    def rebuild(self, generation: int) -> None:
        """All that this worker holds goes first: the next session needs the memory."""
        with ExitStack() as stack:
            stack.callback(self._shared.rebuild, generation)
            self._release()

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self._shared.close)
            self._release()

    def _release(self) -> None:
        with self._lock:
            self._device.clear()
            self._pinned.close()

    def _run(self, feeds: Feeds) -> Sequence[Raw]:
        self._forget_after_rebuild()
        if any(array.dtype == object for array in feeds.values()):
            outputs: Sequence[Raw] = self._shared.session.run(self._names, feeds)  # a binding refuses strings
            return outputs
        return self._run_bound(self._shared.session, feeds)

    def _run_bound(self, session: Any, feeds: Feeds) -> Sequence[Raw]:
        binding = session.io_binding()
        self._device.make_room(feeds)
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, self._device.put(name, self._pinned.copy(name, array)))
        for name in self._names:
            # Pinned outputs would copy faster, but the binding of Python knows no such device, and memory of ours
            # needs the shape of the output before the run.
            binding.bind_output(name, "cpu")
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        outputs: Sequence[Raw] = binding.copy_outputs_to_cpu()
        return outputs

    def _forget_after_rebuild(self) -> None:
        """Another worker ran out of memory: runs are smaller from now on, values of the old sizes only take room."""
        if self._seen != self._shared.generation:
            self._seen = self._shared.generation
            self._device.clear()
