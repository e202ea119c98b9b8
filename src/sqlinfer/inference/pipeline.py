"""Items from an iterator through worker threads, in order, a bounded number at a time.

One condition guards all state, and every wait also watches for the end, so that no failure can leave a thread waiting.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Generic, TypeVar

_LOOK_SECONDS = 0.2
"""How long a waiting consumer may overlook that it is cancelled."""
T = TypeVar("T")
R = TypeVar("R")


class Pipeline(Generic[T, R]):
    """Iterate once for the results; ``close`` (or the end, or any error) stops and joins all threads.

    Args:
        source: pulled in a thread of its own.
        workers: one callable per worker thread, each used by that thread alone.
        window: items between source and consumer at any time.
        cancel: when it is set, the results end early.
    """

    def __init__(
        self,
        source: Iterator[T],
        workers: Sequence[Callable[[T], R]],
        window: int,
        cancel: threading.Event | None = None,
    ) -> None:
        self._cancel = cancel
        self._source = source
        self._window = window
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, T]] = deque()
        self._done: dict[int, R] = {}
        self._read = 0
        self._delivered = 0
        self._exhausted = False
        self._stopped = False
        self._error: BaseException | None = None
        self.wait_seconds = 0.0
        """Time that the consumer spent waiting for a result."""
        self._threads = [threading.Thread(target=self._pull, name="sqlinfer-read", daemon=True)]
        self._threads += [
            threading.Thread(target=self._work, args=(work,), name=f"sqlinfer-score-{number}", daemon=True)
            for number, work in enumerate(workers)
        ]

    @property
    def cancelled(self) -> bool:
        return self._cancel is not None and self._cancel.is_set()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def __iter__(self) -> Iterator[R]:
        for thread in self._threads:
            thread.start()
        try:
            while (found := self._next()) is not None:
                yield found[0]
        finally:
            self.close()

    def close(self) -> None:
        """Stop all threads and wait for them. A thread inside native code ends when that call does."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._done.clear()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join()

    def _next(self) -> tuple[R] | None:
        began = perf_counter()
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._delivered in self._done:
                    result = self._done.pop(self._delivered)
                    self._delivered += 1
                    self.wait_seconds += perf_counter() - began
                    self._changed.notify_all()
                    return (result,)
                if self._stopped or self.cancelled or (self._exhausted and self._delivered == self._read):
                    return None
                self._changed.wait(None if self._cancel is None else _LOOK_SECONDS)

    def _pull(self) -> None:
        try:
            while self._room():
                try:
                    item = next(self._source)
                except StopIteration:
                    break
                with self._changed:
                    self._waiting.append((self._read, item))
                    self._read += 1
                    self._changed.notify_all()
            with self._changed:
                self._exhausted = True
                self._changed.notify_all()
        except BaseException as error:  # surfaces in the consumer
            self._fail(error)

    def _room(self) -> bool:
        with self._changed:
            while not self._stopped and self._read - self._delivered >= self._window:
                self._changed.wait()
            return not self._stopped

    def _work(self, work: Callable[[T], R]) -> None:
        try:
            while (task := self._take()) is not None:
                number, item = task
                result = work(item)
                with self._changed:
                    self._done[number] = result
                    self._changed.notify_all()
                del item, task, result
        except BaseException as error:  # surfaces in the consumer
            self._fail(error)

    def _take(self) -> tuple[int, T] | None:
        with self._changed:
            while not self._waiting:
                if self._stopped or self._exhausted:
                    return None
                self._changed.wait()
            return None if self._stopped else self._waiting.popleft()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None and not self._stopped:
                self._error = error
            self._stopped = True
            self._changed.notify_all()
