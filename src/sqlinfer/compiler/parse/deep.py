"""A deep stack for work on deep trees: sqlglot and JSON recurse over long chains of operators."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from sqlglot.errors import SqlglotError

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.parse.said import in_our_words
from sqlinfer.errors import UnsupportedQuery

T = TypeVar("T")
_STACK_BYTES = 256 * 1024 * 1024
_RECURSION = 20_000


def deep(work: Callable[[], T], source: Source) -> T:
    """Run ``work`` in a thread with a deep stack.

    Raises:
        UnsupportedQuery: it was not deep enough.
        CompileError: sqlglot gave up.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    limit, size = sys.getrecursionlimit(), threading.stack_size(_STACK_BYTES)
    sys.setrecursionlimit(max(limit, _RECURSION))
    try:
        thread = threading.Thread(target=target, name="sqlinfer-compile")
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if failure:
        if isinstance(failure[0], RecursionError):
            raise UnsupportedQuery("the SQL is nested too deep", hint="split it into CTEs or models") from None
        if isinstance(failure[0], SqlglotError):
            raise in_our_words(str(failure[0]), source) from failure[0]
        raise failure[0]
    return outcome[0]
