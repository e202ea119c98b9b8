"""A checked table of nodes → operators of ai.onnx.ml that give the same sums.

Floats without categories become a TreeEnsembleRegressor (ai.onnx.ml 3), which the rewriting of graphs for a CPU makes
faster. Doubles and categories become a TreeEnsemble (ai.onnx.ml 5): the older operator rounds sums to floats. Both
start at zero and add the trees in their order, as the libraries do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from sqlinfer.functions.forests.graph import GraphWriter
from sqlinfer.functions.forests.table import Mode, NodeTable

_NAMES = {
    Mode.LEQ: "BRANCH_LEQ", Mode.LT: "BRANCH_LT", Mode.GTE: "BRANCH_GTE", Mode.GT: "BRANCH_GT", Mode.EQ: "BRANCH_EQ",
    Mode.NEQ: "BRANCH_NEQ", Mode.LEAF: "LEAF",
}  # fmt: skip


def ml_opset(table: NodeTable, *, double: bool) -> int:
    """The version of ai.onnx.ml that ``sums`` needs for a table."""
    return 5 if double or table.members else 3


def sums(writer: GraphWriter, table: NodeTable, rows: str, *, double: bool) -> str:
    """The name of [N,targets]: for each row the weights of its leaves, added in the order of the trees.

    Args:
        rows: a matrix [N,F], of doubles where ``double``, else of floats.
        double: whether thresholds are compared and weights added as doubles; else as floats.
    """
    kind = np.float64 if double else np.float32
    if not len(table.roots):
        return _nothing(writer, table, rows, kind)
    if ml_opset(table, double=double) == 3:
        return writer.ml("TreeEnsembleRegressor", rows, **_as_lists(table))
    if len(np.unique(table.leaf)) == len(table.leaf):
        return writer.ml("TreeEnsemble", rows, **_as_tensors(table, kind))
    columns = [writer.ml("TreeEnsemble", rows, **_as_tensors(_only(table, one), kind)) for one in range(table.targets)]
    return writer.op("Concat", *columns, axis=1)


def _nothing(writer: GraphWriter, table: NodeTable, rows: str, kind: Any) -> str:
    """Zeros for a forest without trees."""
    count = writer.op("Shape", rows, start=0, end=1)
    shape = writer.op("Concat", count, writer.constant([table.targets], np.int64), axis=0)
    return writer.op("Expand", writer.constant(np.zeros((1, 1)), kind), shape)


def _as_lists(table: NodeTable) -> dict[str, Any]:
    """Attributes of a TreeEnsembleRegressor: nodes are numbered within their trees."""
    of_tree = trees = table.trees
    behind_root = np.ones(len(table), np.int64)
    behind_root[table.roots] = 0
    order = np.lexsort((np.arange(len(table)), behind_root, trees))
    trees = trees[order]
    place = np.empty(len(table), np.int64)
    starts = np.searchsorted(trees, np.arange(len(table.roots)))
    place[order] = np.arange(len(table)) - starts[trees]
    branch = table.is_branch[order]
    weights = np.lexsort((table.target, place[table.leaf], of_tree[table.leaf]))
    return {
        "n_targets": table.targets,
        "nodes_treeids": trees,
        "nodes_nodeids": place[order],
        "nodes_featureids": np.where(branch, table.feature[order], 0),
        "nodes_modes": [_NAMES[Mode(one)] for one in table.mode[order].tolist()],
        "nodes_values": np.where(branch, table.threshold[order], 0).astype(np.float32),
        "nodes_truenodeids": np.where(branch, place[np.where(branch, table.yes[order], 0)], 0),
        "nodes_falsenodeids": np.where(branch, place[np.where(branch, table.no[order], 0)], 0),
        "nodes_missing_value_tracks_true": np.where(branch, table.missing_yes[order], 0).astype(np.int64),
        "target_treeids": of_tree[table.leaf][weights],
        "target_nodeids": place[table.leaf][weights],
        "target_ids": table.target[weights],
        "target_weights": table.weight[weights].astype(np.float32),
    }


def _only(table: NodeTable, target: int) -> NodeTable:
    """The weights of one target, as the only one; leaves without one give zero."""
    kept = table.target == target
    return NodeTable(
        table.roots, table.mode, table.feature, table.threshold, table.yes, table.no, table.missing_yes,
        table.leaf[kept], np.zeros(int(kept.sum()), np.int64), table.weight[kept], 1, table.members,
    )  # fmt: skip


def _as_tensors(table: NodeTable, kind: Any) -> dict[str, Any]:
    """Attributes of a TreeEnsemble: inner nodes and leaves are numbered apart, and a leaf has one weight."""
    table = _with_inner_roots(table)
    branch = table.is_branch
    inner = np.flatnonzero(branch)
    place = np.where(branch, np.cumsum(branch) - 1, np.cumsum(~branch) - 1)
    leaves = np.flatnonzero(~branch)
    weight, target = np.zeros(len(table)), np.zeros(len(table), np.int64)
    weight[table.leaf], target[table.leaf] = table.weight, table.target
    yes, no = table.yes[inner], table.no[inner]
    found = {
        "n_targets": table.targets,
        "aggregate_function": 1,
        "post_transform": 0,
        "tree_roots": place[table.roots],
        "nodes_featureids": table.feature[inner],
        "nodes_modes": _tensor("modes", table.mode[inner].astype(np.uint8)),
        "nodes_splits": _tensor("splits", table.threshold[inner].astype(kind)),
        "nodes_truenodeids": place[yes],
        "nodes_trueleafs": (~branch[yes]).astype(np.int64),
        "nodes_falsenodeids": place[no],
        "nodes_falseleafs": (~branch[no]).astype(np.int64),
        "nodes_missing_value_tracks_true": table.missing_yes[inner].astype(np.int64),
        "leaf_targetids": target[leaves],
        "leaf_weights": _tensor("weights", weight[leaves].astype(kind)),
    }
    if table.members:
        sets = [value for one in inner.tolist() if one in table.members for value in (*table.members[one], np.nan)]
        found["membership_values"] = _tensor("members", np.asarray(sets, kind))
    return found


def _with_inner_roots(table: NodeTable) -> NodeTable:
    """Trees of one leaf become a node with that leaf twice: the operator has no other word for them."""
    alone = table.mode[table.roots] == Mode.LEAF
    if not alone.any():
        return table
    count, size = int(alone.sum()), len(table)
    old = table.roots[alone]
    roots = table.roots.copy()
    roots[alone] = size + np.arange(count)
    extra = np.zeros(count, np.int64)
    return NodeTable(
        roots,
        np.r_[table.mode, extra + int(Mode.LEQ)], np.r_[table.feature, extra], np.r_[table.threshold, extra],
        np.r_[table.yes, old], np.r_[table.no, old], np.r_[table.missing_yes, extra.astype(np.bool_)],
        table.leaf, table.target, table.weight, table.targets, table.members,
    )  # fmt: skip


def _tensor(name: str, values: Any) -> TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(values), name)
