"""A kernel that misbehaves on demand, for tests of what stands above ONNX Runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from sqlinfer.errors import KernelError, KernelOutOfMemory
from sqlinfer.inference.kernel import Feeds, Raw
from sqlinfer.inference.tensors import Array


class FakeKernel:
    """``value = 2 x`` over the vector input ``x``; ``check`` may raise for a run's values."""

    def __init__(self, check: Callable[[Array], None] = lambda values: None) -> None:
        self._check = check
        self._lock = threading.Lock()
        self.sizes: list[int] = []
        self.rebuilds = 0
        self.closed = False

    @property
    def generation(self) -> int:
        return self.rebuilds

    def run(self, feeds: Feeds) -> Sequence[Raw]:
        values = feeds["x"]
        with self._lock:
            self.sizes.append(len(values))
        self._check(values)
        return [values * 2]

    def rebuild(self, generation: int) -> None:
        with self._lock:
            if generation == self.rebuilds:
                self.rebuilds += 1

    def close(self) -> None:
        self.closed = True


def refuse_above(size: int) -> Callable[[Array], None]:
    """Out of memory for runs of more rows than ``size``."""

    def check(values: Array) -> None:
        if len(values) > size:
            raise KernelOutOfMemory("Failed to allocate memory for requested buffer")

    return check


def refuse_values(bad: set[float]) -> Callable[[Array], None]:
    """Fail every run that holds one of these values."""

    wrong = np.array(sorted(bad))

    def check(values: Array) -> None:
        if np.isin(values, wrong).any():
            raise KernelError("index out of range")

    return check
