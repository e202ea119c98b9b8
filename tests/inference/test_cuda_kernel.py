"""The GPU kernel's bookkeeping, with a binding that is none."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper

from sqlinfer.errors import InferenceError, KernelOutOfMemory
from sqlinfer.inference import cuda_buffers
from sqlinfer.inference.cuda_buffers import KEPT_SHAPES, PAGE, DeviceBuffers, PinnedBuffers
from sqlinfer.inference.cuda_kernel import CudaKernel
from sqlinfer.inference.ort_kernel import OrtKernel, SharedSession
from sqlinfer.inference.providers import Device, create_session
from sqlinfer.testing import onnx_builder


class FakeValue:
    made = 0

    def __init__(self, array: np.ndarray, index: int) -> None:
        FakeValue.made += 1
        self.array = array.copy()

    def update_inplace(self, array: np.ndarray) -> None:
        assert array.shape == self.array.shape
        self.array = array.copy()


class FakeBinding:
    """Takes what ONNX Runtime's binding takes: no strings, and no device but these."""

    def __init__(self) -> None:
        self.inputs: dict[str, np.ndarray] = {}
        self.outputs: list[str] = []

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        self.inputs[name] = value.array

    def bind_output(self, name: str, device: str) -> None:
        assert device in ("cpu", "cuda")
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

    def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        if len(feeds["x"]) > self._largest:
            raise RuntimeError("CUDA failure 2: out of memory")
        return [feeds["x"] * 2 for _ in names]


class FakeRuntime:
    """CUDA's runtime, whose errors stay until they are taken back."""

    def __init__(self, *, registers: bool = True, unregisters: bool = True, devices: int = 1) -> None:
        self.registered: dict[int, int] = {}
        self.registrations = 0
        self.error = 0
        self.device = 0
        self._registers = registers
        self._unregisters = unregisters
        self._devices = devices

    def _done(self, fine: bool) -> int:
        self.error = 0 if fine else 1
        return self.error

    def cudaSetDevice(self, index: int) -> int:
        self.device = index
        return self._done(index < self._devices)

    def cudaGetLastError(self) -> int:
        error, self.error = self.error, 0
        return error

    def cudaHostRegister(self, pointer: Any, size: Any, flags: int) -> int:
        assert pointer.value not in self.registered
        if self._registers:
            self.registered[pointer.value] = size.value
            self.registrations += 1
        return self._done(self._registers)

    def cudaHostUnregister(self, pointer: Any) -> int:
        assert pointer.value in self.registered, "sets an error that a later call reports"
        if self._unregisters:
            del self.registered[pointer.value]
        return self._done(self._unregisters)


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
    assert len(kernel._device) <= KEPT_SHAPES


def test_pinned_buffers_grow_and_are_released() -> None:
    kernel, runtime = make()
    for size in (4, 100, 7):
        kernel.run({"x": np.arange(size, dtype=np.int64)})
    assert len(runtime.registered) == 1
    kernel.close()
    assert runtime.registered == {}


def test_memory_errors_drop_the_device_buffers_and_can_be_rebuilt() -> None:
    kernel, _ = make(largest=10)
    kernel.run({"x": np.zeros(5)})
    with pytest.raises(KernelOutOfMemory):
        kernel.run({"x": np.zeros(11)})
    assert not len(kernel._device)
    kernel.rebuild(kernel.generation)
    assert kernel.generation == 1
    assert len(kernel.run({"x": np.zeros(10)})[0]) == 10


def test_an_output_may_be_asked_for_twice() -> None:
    shared = SharedSession(lambda: FakeSession(10))
    kernel = CudaKernel(shared, ["y", "z", "y"], 0, make_value=FakeValue, pinned=PinnedBuffers(FakeRuntime()))
    assert len(kernel.run({"x": np.ones(2)})) == 3


def test_a_run_with_strings_goes_without_a_binding() -> None:
    kernel, _ = make()
    (result,) = kernel.run({"x": np.ones(2), "s": np.array(["a", "b"], dtype=object)})
    assert result.tolist() == [2.0, 2.0]
    assert FakeValue.made == 0


def host_value(array: np.ndarray, index: int) -> Any:
    import onnxruntime as ort

    return ort.OrtValue.ortvalue_from_numpy(array.copy())  # on a CPU it would be the array itself


@pytest.mark.parametrize(
    ("element_type", "values"), [("string", np.array(["a", "é"], dtype=object)), ("float", np.float32([1, 2]))]
)
def test_onnx_runtime_takes_what_is_bound(element_type: str, values: np.ndarray) -> None:
    """The real binding, the host in the device's place."""
    column = onnx_builder.value("x", element_type, ["N"]), onnx_builder.value("y", element_type, ["N"])
    graph = onnx_builder.build([helper.make_node("Identity", ["x"], ["y"])], [column[0]], [column[1]])
    shared = SharedSession(lambda: create_session(graph, Device("cpu"), 0, 1))
    kernel = CudaKernel(shared, ["y"], 0, make_value=host_value, pinned=PinnedBuffers(FakeRuntime()))
    for rows in (values, values[::-1], values[:1]):
        (result,) = kernel.run({"x": rows})
        assert result.tolist() == rows.tolist()


def test_many_inputs_reuse_their_device_buffers() -> None:
    kernel, _ = make()
    feeds = {name: np.zeros(3) for name in ("x", *(f"x{number}" for number in range(3 * KEPT_SHAPES)))}
    for _ in range(3):
        kernel.run(feeds)
    assert FakeValue.made == len(feeds)


def test_device_buffers_of_other_shapes_are_bounded_in_bytes(monkeypatch) -> None:
    monkeypatch.setattr(cuda_buffers, "KEPT_BYTES", 100)
    buffers = DeviceBuffers(FakeValue, 0)
    for size in (40, 30, 50, 20):
        feeds = {"x": np.zeros(size, dtype=np.uint8)}
        buffers.make_room(feeds)
        buffers.put("x", feeds["x"])
    assert {shape for _, shape, _ in buffers._values} == {(30,), (50,), (20,)}


def test_a_run_larger_than_the_bound_keeps_its_own_buffers(monkeypatch) -> None:
    monkeypatch.setattr(cuda_buffers, "KEPT_BYTES", 1)
    kernel, _ = make()
    for _ in range(3):
        kernel.run({"x": np.zeros(9), "other": np.zeros(9)})
    assert FakeValue.made == 2


def test_a_rebuild_frees_the_device_and_the_pinned_memory_first() -> None:
    runtime, found = FakeRuntime(), []

    def factory() -> FakeSession:
        found.append((len(runtime.registered), [ref() for ref in alive]))
        alive[:] = [weakref.ref(session := FakeSession(10))]
        return session

    alive: list[weakref.ref[Any]] = []
    kernel = CudaKernel(SharedSession(factory), ["y"], 0, make_value=tracked(alive), pinned=PinnedBuffers(runtime))
    kernel.run({"x": np.zeros(5)})
    rebuild_after_failure(kernel)
    assert found[1] == (0, [None] * 3)  # the session, and a value of each run


def tracked(alive: list[weakref.ref[Any]]) -> Callable[[np.ndarray, int], FakeValue]:
    def make_value(array: np.ndarray, index: int) -> FakeValue:
        alive.append(weakref.ref(value := FakeValue(array, index)))
        return value

    return make_value


def rebuild_after_failure(kernel: Any) -> None:
    """As the scorer does: while the exception, and every frame it came through, is still held."""
    gc.disable()
    try:
        kernel.run({"x": np.zeros(11)})
    except KernelOutOfMemory:
        kernel.rebuild(kernel.generation)
    finally:
        gc.enable()


def test_the_cpu_kernel_frees_its_session_before_the_next_is_built() -> None:
    alive: list[weakref.ref[Any]] = []
    found = []

    def factory() -> FakeSession:
        found.append([ref() for ref in alive])
        alive.append(weakref.ref(session := FakeSession(10)))
        return session

    rebuild_after_failure(OrtKernel(SharedSession(factory), ["y"]))
    assert found == [[], [None]]


def test_a_rebuild_by_another_worker_drops_the_old_values() -> None:
    kernel, _ = make()
    kernel.run({"x": np.zeros(5)})
    kernel._shared.rebuild(0)
    kernel.run({"x": np.zeros(2)})
    assert len(kernel._device) == 1


def test_pinned_buffers_grow_by_whole_steps() -> None:
    runtime = FakeRuntime()
    pinned = PinnedBuffers(runtime)
    for size in range(1, 4 * PAGE):
        pinned.copy("x", np.zeros(size, dtype=np.uint8))
    assert runtime.registrations == 3
    assert all(pointer % PAGE == 0 and size % PAGE == 0 for pointer, size in runtime.registered.items())


def test_what_could_not_be_pinned_is_not_unpinned() -> None:
    runtime = FakeRuntime(registers=False)
    pinned = PinnedBuffers(runtime)
    for size in (3, 2 * PAGE):
        assert pinned.copy("x", np.ones(size)).sum() == size
    pinned.close()
    assert runtime.error == 0


def test_memory_is_pinned_from_the_kernel_s_device() -> None:
    runtime = FakeRuntime(devices=3)
    PinnedBuffers(runtime, 2).copy("x", np.ones(1))
    assert (runtime.device, len(runtime.registered)) == (2, 1)


def test_without_the_device_nothing_is_pinned() -> None:
    runtime = FakeRuntime(devices=1)
    assert PinnedBuffers(runtime, 2).copy("x", np.ones(1)).tolist() == [1.0]
    assert (runtime.registered, runtime.error) == ({}, 0)


def test_without_cuda_an_array_keeps_its_shape(monkeypatch) -> None:
    monkeypatch.setattr(cuda_buffers, "_cuda_runtime", lambda: None)
    pinned = PinnedBuffers()
    assert pinned.copy("x", np.float32(1).reshape(())).shape == ()
    assert pinned.copy("x", np.arange(6).reshape(2, 3).T).flags.c_contiguous


def test_closing_goes_on_where_a_release_fails() -> None:
    runtime = FakeRuntime()
    kernel, _ = make(runtime=runtime)
    kernel.run({"x": np.ones(2), "other": np.ones(2)})
    unregister, failures = runtime.cudaHostUnregister, [OSError("first")]

    def fail_once(pointer: Any) -> int:
        if failures:
            raise failures.pop()
        return unregister(pointer)

    runtime.cudaHostUnregister = fail_once
    with pytest.raises(OSError, match="first"):
        kernel.close()
    assert len(runtime.registered) == 1  # that of the failure
    assert not len(kernel._device)
    with pytest.raises(InferenceError, match="closed"):
        _ = kernel._shared.session


def test_an_error_of_a_release_is_taken_back() -> None:
    kernel, runtime = make(runtime=FakeRuntime(unregisters=False))
    kernel.run({"x": np.ones(2)})
    kernel.close()
    assert runtime.error == 0
    kernel.close()  # nothing is released twice


def test_threads_that_saw_one_failure_rebuild_once() -> None:
    built = []
    shared = SharedSession(lambda: built.append(1) or FakeSession(1))
    threads = [threading.Thread(target=shared.rebuild, args=(0,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 2
