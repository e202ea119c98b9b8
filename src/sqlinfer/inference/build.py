"""The kernels of a prepared function on a device, one per worker thread."""

from __future__ import annotations

from functools import partial

from sqlinfer.inference.kernel import Kernel
from sqlinfer.inference.ort_kernel import OrtKernel, SharedSession
from sqlinfer.inference.providers import Device, create_session
from sqlinfer.spec.function import PreparedFunction


def kernels(prepared: PreparedFunction, device: Device, workers: int) -> list[Kernel]:
    """On a CPU all workers share one session with one thread each: measured 5–25 % faster than the reverse."""
    names = [binding.name for binding in prepared.outputs]
    if device.family == "cpu":
        shared = SharedSession(partial(create_session, prepared.graph, device, 0, 1))
        return [OrtKernel(shared, names)] * workers
    from sqlinfer.inference.cuda_kernel import CudaKernel

    sessions = [SharedSession(partial(create_session, prepared.graph, device, i, 1)) for i in device.indices]
    return [CudaKernel(sessions[w % len(sessions)], names, device.indices[w % len(sessions)]) for w in range(workers)]
