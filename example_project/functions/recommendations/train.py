"""Train two towers, and the model that looks at the clock. Writes their three ``.onnx`` files.

    pip install torch onnx
    python functions/recommendations/train.py

A tower turns one side into sixteen numbers; the product of both says how well they fit. So each side is scored once,
and ten of all titles for each viewer is arithmetic in the warehouse.
"""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import onnx
import torch
from generate import GENRES, likes, title, viewer
from onnx import TensorProto, helper, numpy_helper
from torch import nn

FOLDER = Path(__file__).parent
WIDTH, HIDDEN, ROUNDS, BATCH = 16, 32, 1_500, 256
TYPES = {"float": TensorProto.FLOAT, "int64": TensorProto.INT64, "string": TensorProto.STRING}


class Tower(nn.Module):
    """Scaled numbers → a vector of length one."""

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.scale = mean, scale
        self.first, self.second = nn.Linear(len(mean), HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        found = self.second(torch.relu(self.first((rows - self.mean) / self.scale)))
        return nn.functional.normalize(found, dim=1)


def of_viewer(row: dict[str, float]) -> list[float]:
    return [row["age"], row["minutes_a_day"], *(row[genre] for genre in GENRES)]


def of_title(row: dict[str, float | str]) -> list[float]:
    kind = [float(row["genre"] == genre) for genre in GENRES]
    return [float(row["minutes"]), float(row["year"]), float(row["popularity"]), *kind]


def trained(random: Random) -> tuple[Tower, Tower]:
    """Each viewer's choice out of all titles is learnt: the softmax over the products."""
    viewers = [viewer(random, number, 0) for number in range(4_000)]
    titles = [title(random, number, 0) for number in range(400)]
    ours, theirs = torch.tensor([of_viewer(row) for row in viewers]), torch.tensor([of_title(row) for row in titles])
    liked = torch.tensor([[likes(one, other) for other in titles] for one in viewers])
    towers = [Tower(rows.mean(0), rows.std(0)) for rows in (ours, theirs)]
    optimizer = torch.optim.Adam([weight for tower in towers for weight in tower.parameters()], lr=3e-3)
    for _ in range(ROUNDS):
        chosen = torch.randint(len(ours), (BATCH,))
        watched = torch.multinomial(torch.softmax(liked[chosen] * 2, 1), 1).squeeze(1)
        loss = nn.functional.cross_entropy(towers[0](ours[chosen]) @ towers[1](theirs).T * 8, watched)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        products = towers[0](ours) @ towers[1](theirs).T
    best, found = liked.topk(10, 1).indices, products.topk(10, 1).indices
    shared = np.mean([len(set(a.tolist()) & set(b.tolist())) for a, b in zip(best, found, strict=True)])
    print(f"of the ten titles that a viewer likes best, {shared:.1f} are among the ten of the towers")
    return towers[0], towers[1]


def session(random: Random) -> tuple[list[float], float]:
    """A title that was shown at some hour, and whether it was played: short ones in the morning, long ones at night."""
    affinity, minutes, hour = random.uniform(-1, 1), random.uniform(18, 140), random.randrange(24)
    room = 25 + 95 * math.exp(-(((hour - 21) / 3.5) ** 2)) + 30 * math.exp(-(((hour - 14) / 4) ** 2))
    logit = 2.6 * affinity - 0.045 * max(0.0, minutes - room) + 0.006 * min(minutes, room) - 0.6
    return [affinity, minutes, float(hour)], float(random.random() < 1 / (1 + math.exp(-logit)))


def clock(random: Random) -> nn.Sequential:
    rows, played = zip(*(session(random) for _ in range(30_000)), strict=True)
    inputs, labels = scaled(torch.tensor(rows)), torch.tensor(played)[:, None]
    model = nn.Sequential(nn.Linear(4, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(1_200):
        chosen = torch.randint(len(inputs), (1_024,))
        loss = nn.functional.binary_cross_entropy_with_logits(model(inputs[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def scaled(rows: torch.Tensor) -> torch.Tensor:
    turn = rows[:, 2] * (2 * math.pi / 24)
    return torch.stack([rows[:, 0], rows[:, 1] / 60 - 1, torch.sin(turn), torch.cos(turn)], 1)


class Graph:
    """An ONNX graph, written node by node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str | np.ndarray, **attributes: object) -> str:
        result = f"v{len(self.nodes)}"
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        domain = "ai.onnx.ml" if kind == "LabelEncoder" else ""
        self.nodes.append(helper.make_node(kind, names, [result], domain=domain, **attributes))
        return result

    def constant(self, value: np.ndarray) -> str:
        value = value.astype(np.float32) if value.dtype.kind == "f" else value
        self.constants.append(numpy_helper.from_array(value, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def linear(self, rows: str, layer: nn.Linear) -> str:
        return self.add("Gemm", rows, layer.weight.detach().numpy(), layer.bias.detach().numpy(), transB=1)

    def tower(self, rows: str, tower: Tower) -> str:
        centred = self.add("Sub", rows, tower.mean.numpy())
        hidden = self.add("Relu", self.linear(self.add("Div", centred, tower.scale.numpy()), tower.first))
        return self.add("LpNormalization", self.linear(hidden, tower.second), axis=1, p=2)

    def column(self, name: str) -> str:
        """[N] of any number → float [N, 1]."""
        return self.add("Unsqueeze", self.add("Cast", name, to=TensorProto.FLOAT), np.array([1]))

    def save(self, name: str, result: str, width: int | None, **inputs: str) -> None:
        shape = ["rows"] if width is None else ["rows", width]
        self.nodes.append(helper.make_node("Identity", [result], ["result"]))
        given = [helper.make_tensor_value_info(one, TYPES[kind], ["rows"]) for one, kind in inputs.items()]
        made = helper.make_tensor_value_info("result", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, name, given, [made], self.constants)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def export(ours: Tower, theirs: Tower, now: nn.Sequential) -> None:
    graph = Graph()
    names = ("age", "minutes_a_day", *GENRES)
    rows = graph.add("Concat", *(graph.column(name) for name in names), axis=1)
    graph.save("viewer_tower", graph.tower(rows, ours), WIDTH, **dict.fromkeys(names, "float"))

    graph = Graph()
    codes = {"keys_strings": list(GENRES), "values_int64s": list(range(len(GENRES))), "default_int64": len(GENRES)}
    # A genre that was not there in training is none of them.
    kinds = np.eye(len(GENRES) + 1, len(GENRES))
    genre = graph.add("Gather", kinds, graph.add("LabelEncoder", "genre", **codes))
    rows = graph.add("Concat", *(graph.column(name) for name in ("minutes", "year", "popularity")), genre, axis=1)
    numbers = {"minutes": "int64", "year": "int64", "popularity": "float"}
    graph.save("title_tower", graph.tower(rows, theirs), WIDTH, genre="string", **numbers)

    graph = Graph()
    turn = graph.add("Mul", graph.column("hour"), np.array(2 * math.pi / 24))
    length = graph.add("Sub", graph.add("Div", graph.column("minutes"), np.array(60.0)), np.array(1.0))
    clock_hand = (graph.add("Sin", turn), graph.add("Cos", turn))
    rows = graph.add("Concat", graph.column("affinity"), length, *clock_hand, axis=1)
    logit = graph.linear(graph.add("Relu", graph.linear(rows, now[0])), now[2])
    played = graph.add("Squeeze", graph.add("Sigmoid", logit), np.array([1]))
    graph.save("watch_now", played, None, affinity="float", minutes="int64", hour="int64")


def main() -> None:
    torch.manual_seed(3)
    torch.set_num_threads(1)
    random = Random(31)
    ours, theirs = trained(random)
    export(ours, theirs, clock(random))


if __name__ == "__main__":
    main()
