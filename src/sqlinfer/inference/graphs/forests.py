"""All forests of a model, each in the form that suits a CPU best; kept only where a trial gives the same bits."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from sqlinfer.inference.graphs.branch_free import branch_free, pieces_of
from sqlinfer.inference.graphs.by_tree import by_tree, is_worth_it
from sqlinfer.inference.graphs.columns import Columns
from sqlinfer.inference.graphs.emitter import Emitter
from sqlinfer.inference.graphs.forest import ML, Forest, forest_of
from sqlinfer.inference.graphs.opsets import opset_of, raised
from sqlinfer.inference.graphs.rewriting import Kept, Rewritten
from sqlinfer.inference.graphs.trial import gives_the_same

BRANCH_FREE, BY_TREE, AS_THEY_ARE = "trees without branches", "tree by tree", "trees as they are"
_OPSET = 13
"""The first with the axes of ReduceSum as an input."""


def faster_forests(graph: bytes) -> tuple[bytes, tuple[str, ...]] | None:
    """The graph with its forests rewritten and what was done to them, or None where nothing is to be gained."""
    found = rewritten_forests(graph)
    return (found.graph, found.done) if found.done else None


def rewritten_forests(graph: bytes) -> Rewritten:
    """The graph with its forests rewritten, what was done to them, and why others stay as they are."""
    model = onnx.load_from_string(graph)
    if model.functions or any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        return Rewritten(graph, kept=(f"{AS_THEY_ARE}: functions in the graph, or weights in a file beside it",))
    model = raised(model, _OPSET)
    columns = Columns(model)
    nodes: list[NodeProto] = []
    done: dict[str, None] = {}
    kept: dict[str, None] = {}
    for number, node in enumerate(model.graph.node):
        nodes.append(node)
        try:
            emitted = _rewritten(node, columns, f"__forest_{number}_", opset_of(model))
        except Kept as why:
            kept[f"{AS_THEY_ARE}: {why}"] = None
            continue
        if emitted is not None:
            nodes[-1:] = emitted[0].nodes
            done[emitted[1]] = None
            model.graph.initializer.extend(emitted[0].constants)
    if not done:
        return Rewritten(graph, kept=tuple(kept))
    left = alive(nodes, {port.name for port in model.graph.output})
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(left)
    made = model.SerializeToString()
    if not gives_the_same(graph, made):
        kept[f"{AS_THEY_ARE}: a trial of {', '.join(done)} gave other bits, or could not be made"] = None
        return Rewritten(graph, kept=tuple(kept))
    return Rewritten(made, tuple(done), tuple(kept))


def _rewritten(node: NodeProto, columns: Columns, prefix: str, opset: int) -> tuple[Emitter, str] | None:
    """None for a node that is no forest.

    Raises:
        Kept: why a forest stays as it is.
    """
    if node.domain != ML or not node.op_type.startswith("TreeEnsemble"):
        return None
    forest = forest_of(node)
    if forest is None:
        raise Kept("doubles, sets, or no plain sum of weights")
    total = f"{prefix}total"
    width = 1 + max(forest.attributes["nodes_featureids"])
    pieces = pieces_of(forest, columns.of(forest.source, width)) if opset >= _OPSET else None
    if pieces is not None:
        emit, how = branch_free(forest, pieces, total, prefix), BRANCH_FREE
    elif is_worth_it(forest):
        emit, how = Emitter(prefix, by_tree(forest, total, prefix)), BY_TREE
    elif opset < _OPSET:
        raise Kept(f"opset {opset} cannot be raised to {_OPSET}")
    else:
        raise Kept("too large to do without branches, small enough for a cache")
    finish(emit, forest, total)
    return emit, how


def finish(emit: Emitter, forest: Forest, total: str) -> None:
    """Base values, and for classes the label and the transformation, made by an operator that makes them alike."""
    if not forest.is_classifier:
        base = np.asarray(forest.base or [0.0] * forest.targets, dtype=np.float32)
        emit.node("Add", total, emit.constant(base), output=forest.node.output[0])
        return
    if forest.targets == 1 and forest.post_transform == "NONE":
        _finish_two_classes(emit, forest, total)
        return
    labels = {name: v for name, v in forest.attributes.items() if name.startswith("classlabels_") and v}
    if "classlabels_int64s" in labels:
        labels["classlabels_ints"] = labels.pop("classlabels_int64s")
    emit.nodes.append(
        helper.make_node(
            "LinearClassifier",
            [total],
            list(forest.node.output),
            domain=ML,
            coefficients=np.eye(forest.targets, dtype=np.float32).reshape(-1).tolist(),
            intercepts=forest.base or [0.0] * forest.targets,
            post_transform=forest.post_transform,
            **labels,
        )
    )


def _finish_two_classes(emit: Emitter, forest: Forest, total: str) -> None:
    """One sum for two classes: a probability where no weight is negative, else a score with its sign."""
    label, scores = forest.node.output
    base = emit.constant(np.asarray(forest.base or [0.0], dtype=np.float32))
    positive = emit.node("Add", total, base)
    if min(forest.attributes["class_weights"]) >= 0:
        limit, negative = 0.5, emit.node("Sub", emit.constant(np.ones(1, dtype=np.float32)), positive)
    else:
        limit, negative = 0.0, emit.node("Neg", positive)
    emit.node("Concat", negative, positive, axis=1, output=scores)
    above = emit.node("Greater", positive, emit.constant(np.asarray([limit], dtype=np.float32)))
    number = emit.node("Cast", above, to=TensorProto.INT64)
    flat = emit.node("Reshape", number, emit.constant(np.array([-1], dtype=np.int64)))
    kind = np.int64 if isinstance(forest.labels[0], int) else object
    labels = [one.decode() if isinstance(one, bytes) else one for one in forest.labels]
    emit.node("Gather", emit.constant(np.asarray(labels, dtype=kind)), flat, output=label, axis=0)


def alive(nodes: list[NodeProto], wanted: set[str]) -> list[NodeProto]:
    """What the outputs need, in order: nothing looks at a one-hot matrix any more."""
    kept: list[NodeProto] = []
    needed = set(wanted)
    for node in reversed(nodes):
        subgraphs = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if subgraphs or needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]
