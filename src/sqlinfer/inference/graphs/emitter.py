"""Nodes and constants of a rewrite as they are made, and the rows of the columns that it looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from sqlinfer.inference.graphs.columns import Column, Hot, Plain

Array = np.ndarray[Any, Any]


@dataclass(slots=True)
class Emitter:
    """Collects nodes and constants under one prefix."""

    prefix: str
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    rows: dict[Column | str, str] = field(default_factory=dict)
    """Row [1,N] of a column; the transposed matrix of a tensor."""

    def constant(self, values: Array) -> str:
        name = f"{self.prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        name = output or f"{self.prefix}t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def row(self, column: Column) -> str:
        """[1,N]; the categories of a hot column as int64."""
        key: Column = Hot(column.tensor, 0) if isinstance(column, Hot) else column
        if key not in self.rows:
            if isinstance(column, Plain) and column.width > 1:
                made = self.node("Gather", self._across(column.tensor), self._index(column.position), axis=0)
            else:
                made = self.node("Reshape", column.tensor, self.constant(np.array([1, -1], dtype=np.int64)))
            self.rows[key] = made
        return self.rows[key]

    def flat(self, tensor: str) -> str:
        """[N] of a tensor [N,1] or [N]."""
        key = f"{tensor} flat"
        if key not in self.rows:
            self.rows[key] = self.node("Reshape", tensor, self.constant(np.array([-1], dtype=np.int64)))
        return self.rows[key]

    def _across(self, tensor: str) -> str:
        if tensor not in self.rows:
            self.rows[tensor] = self.node("Transpose", tensor, perm=[1, 0])
        return self.rows[tensor]

    def _index(self, position: int) -> str:
        return self.constant(np.array([position], dtype=np.int64))
