"""Train the forecast: the last four weeks of a store in, the next seven days out, at once. Writes ``demand.onnx``.

    pip install torch onnx
    python functions/demand/train.py

All seven days are outputs of one network, so that no forecast is fed back as if it had been sold.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import onnx
import torch
from generate import store_days
from onnx import TensorProto, helper, numpy_helper
from torch import nn

MODEL = Path(__file__).parent / "demand.onnx"
STORES, DAYS, HORIZONS, LAGS, WEEKS, HIDDEN = 400, 140, 7, 7, 28, 48


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    """For each store and day: weekday, means of 7 and 28 days, the last 7 days; and the seven days after."""
    random = Random(41)
    inputs, after = [], []
    for _ in range(STORES):
        units = [sold for _, _, sold in store_days(random, DAYS)]
        for last in range(WEEKS - 1, DAYS - HORIZONS, 3):
            newest_first = units[last - LAGS + 1 : last + 1][::-1]
            means = [float(np.mean(units[last - span + 1 : last + 1])) for span in (7, WEEKS)]
            inputs.append([last % 7 + 1, *means, *newest_first])
            after.append(units[last + 1 : last + 1 + HORIZONS])
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(after, dtype=torch.float32)


def prepared(rows: torch.Tensor) -> torch.Tensor:
    """Weekday as one of seven; units relative to the mean of four weeks, which is what stores differ in."""
    level = rows[:, 2:3].clamp(min=1)
    return torch.cat([torch.eye(8)[rows[:, 0].long()], rows[:, 1:2] / level, rows[:, 3:] / level], 1)


def export(network: nn.Sequential) -> None:
    """weekday [N], mean_7 [N], mean_28 [N], lags [N, 7] → units [N, 7]."""
    first, second = network[0], network[2]
    constants = {
        "w1": first.weight.detach().numpy(), "b1": first.bias.detach().numpy(),
        "w2": second.weight.detach().numpy(), "b2": second.bias.detach().numpy(),
        "days": np.eye(8, dtype=np.float32), "one": np.array(1, dtype=np.float32),
        "zero": np.array(0, dtype=np.float32),
        "last": np.array([1]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["days", "weekday"], ["day"]),
        helper.make_node("Unsqueeze", ["mean_28", "last"], ["month"]),
        helper.make_node("Max", ["month", "one"], ["level"]),
        helper.make_node("Unsqueeze", ["mean_7", "last"], ["week"]),
        helper.make_node("Div", ["week", "level"], ["of_week"]),
        helper.make_node("Div", ["lags", "level"], ["of_lags"]),
        helper.make_node("Concat", ["day", "of_week", "of_lags"], ["rows"], axis=1),
        helper.make_node("Gemm", ["rows", "w1", "b1"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["relative"], transB=1),
        helper.make_node("Mul", ["relative", "level"], ["signed"]),
        helper.make_node("Max", ["signed", "zero"], ["units"]),
    ]
    graph = helper.make_graph(
        nodes,
        "demand",
        [
            helper.make_tensor_value_info("weekday", TensorProto.INT64, ["rows_given"]),
            helper.make_tensor_value_info("mean_7", TensorProto.FLOAT, ["rows_given"]),
            helper.make_tensor_value_info("mean_28", TensorProto.FLOAT, ["rows_given"]),
            helper.make_tensor_value_info("lags", TensorProto.FLOAT, ["rows_given", LAGS]),
        ],
        [helper.make_tensor_value_info("units", TensorProto.FLOAT, ["rows_given", HORIZONS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    MODEL.write_bytes(made.SerializeToString(deterministic=True))


def main() -> None:
    torch.manual_seed(2)
    torch.set_num_threads(1)
    raw, after = examples()
    inputs, level = prepared(raw), raw[:, 2:3].clamp(min=1)
    network = nn.Sequential(nn.Linear(inputs.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HORIZONS))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    held_out = len(inputs) // 5
    for _ in range(1_500):
        chosen = torch.randint(held_out, len(inputs), (512,))
        loss = nn.functional.l1_loss(network(inputs[chosen]), after[chosen] / level[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    export(network)
    with torch.no_grad():
        error = (
            (network(inputs[:held_out]) * level[:held_out] - after[:held_out]).abs().sum() / after[:held_out].sum()
        ).item()
    a_week_ago = raw[:held_out, 3:].flip(1)
    naive = ((a_week_ago - after[:held_out]).abs().sum() / after[:held_out].sum()).item()
    print(f"error of the next seven days: {error:.1%} of what was sold; the same day of last week: {naive:.1%}")


if __name__ == "__main__":
    main()
