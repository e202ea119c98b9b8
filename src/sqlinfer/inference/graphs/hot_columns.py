"""Trees over one-hot columns, however a pipeline wrote them → trees over plain OneHotEncoders of the graph's inputs.

Exporters put scalers, imputers, tables and casts around the columns of a matrix. Here its numbers become tensors of a
known width and its categories encoders of an input, side by side: what rewrites forests then follows each column to its
source, and a test of a one-hot column is a test of the category. The values of the matrix are the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from sqlinfer.inference.graphs.alike import Trial
from sqlinfer.inference.graphs.blocks import Block, Blocks, Looked, Numbers
from sqlinfer.inference.graphs.columns import Columns, Hot
from sqlinfer.inference.graphs.emitter import Emitter
from sqlinfer.inference.graphs.forest import ML
from sqlinfer.inference.graphs.linear import hold_constants
from sqlinfer.inference.graphs.lookups import Lookups
from sqlinfer.inference.graphs.rewriting import Rewritten
from sqlinfer.inference.graphs.sums import with_nodes

HOT = "trees read categories"
_KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float64): TensorProto.DOUBLE}


def plain_hot_columns(graph: bytes, coded: Mapping[str, int]) -> Rewritten:
    """The graph with plain encoders in front of its trees, where that changes anything."""
    if b"TreeEnsemble" not in graph or not any(kind in graph for kind in (b"OneHotEncoder", b"LabelEncoder")):
        return Rewritten(graph)
    model = onnx.load_from_string(graph)
    if model.functions or any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        return Rewritten(graph)
    hold_constants(model)
    lookups = Lookups(model, coded)
    try:
        trial = Trial.of(graph, lookups)
        made = None if trial is None else _made(model, lookups, trial)
        if trial is None or made is None:
            return Rewritten(graph)
        same = trial.has_the_bits_of(made) and trial.has_the_bits_of(made, one_row=True)
        return Rewritten(made, (HOT,)) if same else Rewritten(graph)
    except Exception:  # ONNX Runtime's exceptions share no base class; it judges the graph when it is loaded
        return Rewritten(graph)


def _made(model: onnx.ModelProto, lookups: Lookups, trial: Trial) -> bytes | None:
    emit = Emitter("__hot_")
    columns = Columns(model)
    blocks = Blocks(model, lookups, trial.widths, emit)
    nodes: list[NodeProto] = []
    typed: list[onnx.ValueInfoProto] = []
    done: dict[str, str] = {}
    for node in model.graph.node:
        if node.domain == ML and node.op_type.startswith("TreeEnsemble"):
            if node.input[0] not in done and not any(isinstance(one, Hot) for one in columns.of(node.input[0], 1)):
                start = len(emit.nodes)
                found = blocks.of(node.input[0])
                matrix = None if found is None else _side_by_side(emit, found, typed)
                if matrix is not None:
                    done[node.input[0]] = matrix
                    nodes += emit.nodes[start:]
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.input[0] = done.get(node.input[0], node.input[0])
            node = copy
        nodes.append(node)
    return with_nodes(model, nodes, emit.constants, typed) if done else None


def _side_by_side(emit: Emitter, blocks: list[Block], typed: list[onnx.ValueInfoProto]) -> str | None:
    """None where no block is one-hot, or one of them is a table of something else."""
    kinds = {block.table.dtype for block in blocks if isinstance(block, Looked)}
    if len(kinds) != 1 or not kinds <= _KINDS.keys():
        return None
    kind = _KINDS[kinds.pop()]
    encoded = {id(block): _categories(block) for block in blocks if isinstance(block, Looked)}
    if any(found is None for found in encoded.values()):
        return None
    parts = []
    for block in blocks:
        if isinstance(block, Numbers):
            typed.append(helper.make_tensor_value_info(block.tensor, kind, [None, block.width]))
            parts.append(block.tensor)
            continue
        hot = emit.node("OneHotEncoder", block.source.tensor, domain=ML, cats_int64s=encoded[id(block)], zeros=1)
        flat = emit.node("Reshape", hot, emit.constant(np.array([-1, block.width], dtype=np.int64)))
        parts.append(flat if kind == TensorProto.FLOAT else emit.node("Cast", flat, to=kind))
    return parts[0] if len(parts) == 1 else emit.node("Concat", *parts, axis=1)


def _categories(block: Looked) -> list[int] | None:
    """The category of each column, where every column is 1 for one of its own and 0 for all others."""
    table = block.table
    hot = table == 1
    if not (hot | (table == 0)).all() or hot[-1].any() or (hot.sum(axis=0) != 1).any():
        return None
    found = [block.source.values[row] for row in hot.argmax(axis=0).tolist()]
    return found if len(set(found)) == len(found) else None
