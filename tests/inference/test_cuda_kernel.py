"""The GPU kernel's bookkeeping, with a binding that is none."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from sqlinfer.inference.cuda_kernel import KEPT_SHAPES, CudaKernel, PinnedBuffers
from sqlinfer.inference.kernel import KernelOutOfMemory
from sqlinfer.inference.ort_kernel import SharedSession


class FakeValue:
    made = 0

    def __init__(self, array: np.ndarray, index: int) -> None:
        FakeValue.made += 1
        self.array = array.copy()

    def update_inplace(self, array: np.ndarray) -> None:
        assert array.shape == self.array.shape
        self.array = array.copy()


class FakeBinding:
    def __init__(self) -> None:
        self.inputs: dict[str, np.ndarray] = {}
        self.outputs: list[str] = []

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        self.inputs[name] = value.array

    def bind_cpu_input(self, name: str, array: np.ndarray) -> None:
        self.inputs[name] = array

    def bind_output(self, name: str, device: str) -> None:
        self.outputs.append(name)

    def synchronize_inputs(self) -> None: ...

    def synchronize_outputs(self) -> None: ...

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        return [self.inputs["x"] * 2 for _ in self.outputs]


class FakeSession:
    def __init__(self, largest: int) -> None:
        self._largest = largest

    def io_binding(self) -> FakeBinding:
        return FakeBinding()

    def run_with_iobinding(self, binding: FakeBinding) -> None:
        if len(binding.inputs["x"]) > self._largest:
            raise RuntimeError("CUDA failure 2: out of memory")


class FakeRuntime:
    def __init__(self) -> None:
        self.registered: set[int] = set()

    def cudaHostRegister(self, pointer: Any, size: Any, flags: int) -> int:
        self.registered.add(pointer.value)
        return 0

    def cudaHostUnregister(self, pointer: Any) -> int:
        self.registered.remove(pointer.value)
        return 0


def make(largest: int = 1000, runtime: FakeRuntime | None = None) -> tuple[CudaKernel, FakeRuntime]:
    runtime = runtime or FakeRuntime()
    shared = SharedSession(lambda: FakeSession(largest))
    kernel = CudaKernel(shared, ["y"], 0, make_value=FakeValue, pinned=PinnedBuffers(runtime))
    FakeValue.made = 0
    return kernel, runtime


def test_one_device_buffer_serves_all_runs_of_a_shape() -> None:
    kernel, _ = make()
    for number in range(5):
        (result,) = kernel.run({"x": np.full(8, number, dtype=np.float32)})
        assert result.tolist() == [2.0 * number] * 8
    assert FakeValue.made == 1


def test_device_buffers_of_changing_shapes_are_bounded() -> None:
    kernel, _ = make()
    for size in range(1, 50):
        kernel.run({"x": np.zeros(size, dtype=np.float32)})
    assert len(kernel._values) <= KEPT_SHAPES


def test_pinned_buffers_grow_and_are_released() -> None:
    kernel, runtime = make()
    for size in (4, 100, 7):
        kernel.run({"x": np.arange(size, dtype=np.int64)})
    assert len(runtime.registered) == 1
    kernel.close()
    assert runtime.registered == set()


def test_memory_errors_drop_the_device_buffers_and_can_be_rebuilt() -> None:
    kernel, _ = make(largest=10)
    kernel.run({"x": np.zeros(5)})
    with pytest.raises(KernelOutOfMemory):
        kernel.run({"x": np.zeros(11)})
    assert not kernel._values
    kernel.rebuild(kernel.generation)
    assert kernel.generation == 1
    assert len(kernel.run({"x": np.zeros(10)})[0]) == 10


def test_an_output_may_be_asked_for_twice() -> None:
    shared = SharedSession(lambda: FakeSession(10))
    kernel = CudaKernel(shared, ["y", "z", "y"], 0, make_value=FakeValue, pinned=PinnedBuffers(FakeRuntime()))
    assert len(kernel.run({"x": np.ones(2)})) == 3


def test_strings_stay_on_the_host() -> None:
    kernel, _ = make()
    kernel.run({"x": np.zeros(2), "s": np.array(["a", "b"], dtype=object)})
    assert FakeValue.made == 1


def test_threads_that_saw_one_failure_rebuild_once() -> None:
    built = []
    shared = SharedSession(lambda: built.append(1) or FakeSession(1))
    threads = [threading.Thread(target=shared.rebuild, args=(0,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 2
