"""ONNX Runtime behind the kernel seam: one session on the CPU, run from as many threads as there are workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlinfer.errors import InferenceError
from sqlinfer.inference.kernel import Feeds, Raw, translate

SessionFactory = Callable[[], Any]


class SharedSession:
    """A session that threads share and that can be rebuilt under them."""

    def __init__(self, factory: SessionFactory) -> None:
        self._factory = factory
        self._lock = threading.Lock()
        self.generation = 0
        self._session = factory()

    @property
    def session(self) -> Any:
        session = self._session
        if session is None:
            with self._lock:  # another thread is building it
                session = self._session
        if session is None:
            raise InferenceError("the session is closed")
        return session

    def rebuild(self, generation: int) -> None:
        with self._lock:
            if generation == self.generation:
                self._session = None  # free its memory before the next one asks for its own
                try:
                    self._session = self._factory()
                finally:
                    self.generation += 1

    def close(self) -> None:
        self._session = None


class OrtKernel:
    def __init__(self, shared: SharedSession, output_names: Sequence[str]) -> None:
        self._shared = shared
        self._names = list(output_names)

    @property
    def generation(self) -> int:
        return self._shared.generation

    def run(self, feeds: Feeds) -> Sequence[Raw]:
        session = self._shared.session
        try:
            outputs: Sequence[Raw] = session.run(self._names, feeds)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            del session  # this frame lives on in the error, and the next session is built while that is handled
            raise translate(error) from error
        return outputs

    def rebuild(self, generation: int) -> None:
        self._shared.rebuild(generation)

    def close(self) -> None:
        self._shared.close()
