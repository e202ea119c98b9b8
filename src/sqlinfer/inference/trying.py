"""A prepared function, tried once in a process with limits: rewritten, loaded, and run on a made-up row.

Who is refused here only did not end in time, or took too much. What fails otherwise is said when it is loaded to score.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401  (here rather than on use: the process that tries imports it once for all)

from sqlinfer.errors import ArtifactError
from sqlinfer.inference.kernel import is_out_of_memory
from sqlinfer.inference.providers import Device, create_session
from sqlinfer.inference.runnable import runnable_graph
from sqlinfer.spec.function import PreparedFunction


def try_out(prepared: PreparedFunction, family: str, cache_dir: Path) -> None:
    """Leaves the rewritten graph in the cache. Tried on a CPU, whatever it is prepared for.

    Raises:
        MemoryError: loading or running takes more than there is.
    """
    runnable = runnable_graph(prepared, family, cache_dir)
    for graph in dict.fromkeys((runnable.graph, prepared.graph)):
        try:
            session = create_session(graph, Device("cpu"), 0, 1)
        except ArtifactError as error:
            _stop_without_memory(error.__cause__)
            continue  # as when it is loaded to score, the graph is next that was not rewritten
        _run(session, prepared.output_names)
        return


def _run(session: Any, names: Sequence[str]) -> None:
    feeds = {}
    for port in session.get_inputs():
        made = _values(port.type, port.shape)
        if made is None:
            return
        feeds[port.name] = made
    try:
        session.run(list(names), feeds)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        _stop_without_memory(error)


def _values(kind: str, shape: Sequence[object]) -> Any:
    """One row of zeros or empty texts; every open length is 1."""
    sizes = tuple(size if isinstance(size, int) and size > 0 else 1 for size in shape)
    with suppress(TypeError, ValueError):  # not a tensor of numbers or texts; larger than an array can be
        element = kind.removeprefix("tensor(").removesuffix(")")
        name = {"float": "float32", "double": "float64"}.get(element, element)
        return np.full(sizes, "", dtype=object) if element == "string" else np.zeros(sizes, np.dtype(name))
    return None


def _stop_without_memory(error: BaseException | None) -> None:
    if isinstance(error, MemoryError) or is_out_of_memory(str(error)):
        raise MemoryError
