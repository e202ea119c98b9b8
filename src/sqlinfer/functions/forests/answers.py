"""What boosters answer that are no classifiers: one value, or one for each target, as outputs of the graph."""

from __future__ import annotations

import numpy as np

from sqlinfer.functions.forests.graph import GraphWriter
from sqlinfer.functions.sources.original import Results


def write_values(writer: GraphWriter, results: Results, value: str) -> None:
    """``value`` holds doubles [N,K]: the output ``value`` [N], or an output [N] of each name."""
    if results.kind == "value":
        writer.output(flat(writer, value), "value", "double", None)
    for place, name in enumerate(results.names):
        column = writer.op("Gather", value, writer.constant(place, np.int64), axis=1)
        writer.output(column, name, "double", None)


def flat(writer: GraphWriter, value: str) -> str:
    """[N,1] as [N]."""
    return writer.op("Reshape", value, writer.constant([-1], np.int64))
