"""Train the segments: k-means over scaled features. Writes ``segments.onnx``.

    pip install scikit-learn onnx
    python functions/segments/train.py

The centres are fixed from now on: a shopper moves between segments, a segment does not move under the shoppers.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import onnx
from generate import FEATURES, shopper
from onnx import TensorProto, helper, numpy_helper
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

MODEL = Path(__file__).parent / "segments.onnx"
SEGMENTS, ROWS = 4, 10_000
SKEWED = np.array([name not in ("discount_share", "return_share") for name in FEATURES])


def compared(table: np.ndarray) -> np.ndarray:
    """Counts and money are skewed, so that their logarithms are compared."""
    return np.where(SKEWED, np.log1p(table), table)


def graph(scaler: StandardScaler, clusters: KMeans) -> onnx.ModelProto:
    """Features [N, 6] → closeness to each centre [N, 4] and distance to the nearest [N]. SQL passes raw columns."""
    constants = {
        "one": np.array(1, dtype=np.float32),
        "skewed": SKEWED,
        "mean": scaler.mean_.astype(np.float32),
        "scale": scaler.scale_.astype(np.float32),
        "centres": clusters.cluster_centers_.astype(np.float32)[None],
        "rows": np.array([1]),
        "columns": np.array([2]),
    }
    nodes = [
        helper.make_node("Add", ["features", "one"], ["more"]),
        helper.make_node("Log", ["more"], ["logarithms"]),
        helper.make_node("Where", ["skewed", "logarithms", "features"], ["compared"]),
        helper.make_node("Sub", ["compared", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "rows"], ["beside"]),
        helper.make_node("Sub", ["beside", "centres"], ["away"]),
        helper.make_node("ReduceL2", ["away", "columns"], ["distances"], keepdims=0),
        helper.make_node("Neg", ["distances"], ["closeness"]),
        helper.make_node("ReduceMin", ["distances", "rows"], ["distance"], keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "segments",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 6])],
        [
            helper.make_tensor_value_info("closeness", TensorProto.FLOAT, ["rows", SEGMENTS]),
            helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["rows"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def main() -> None:
    random = Random(17)
    shoppers = [shopper(random, number) for number in range(ROWS)]
    table = compared(np.array([[row[name] for name in FEATURES] for row in shoppers], dtype=np.float64))
    scaler = StandardScaler().fit(table)
    clusters = KMeans(SEGMENTS, n_init=10, random_state=3).fit(scaler.transform(table))
    model = graph(scaler, clusters)
    onnx.checker.check_model(model)
    MODEL.write_bytes(model.SerializeToString(deterministic=True))
    for number, centre in enumerate(scaler.inverse_transform(clusters.cluster_centers_)):
        shown = zip(FEATURES, np.where(SKEWED, np.expm1(centre), centre), strict=True)
        means = ", ".join(f"{name} {value:.1f}" for name, value in shown)
        print(f"segment {number}: {np.mean(clusters.labels_ == number):.0%} of shoppers; {means}")


if __name__ == "__main__":
    main()
