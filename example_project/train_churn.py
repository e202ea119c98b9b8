"""Train the churn model and export it to ``functions/churn.onnx`` (and its weights to ``churn.safetensors``).

    pip install 'sqlinfer[torch]'
    python train_churn.py

Seeded and single-threaded: the same versions of torch write the same files.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from churn_model import FEATURES, ChurnNet, build
from generate_customers import history
from safetensors.torch import save_file
from torch import nn

FUNCTIONS = Path(__file__).parent / "functions"
ROWS, EPOCHS, BATCH = 40_000, 12, 512


def features(row: dict[str, object]) -> list[float]:
    """One row as the network sees it; missing values take the defaults that ``functions/churn.yml`` declares."""
    known = {"monthly_charges": 68.0, "days_since_login": 14.0}
    values = {name: row.get(name) if row.get(name) is not None else known.get(name) for name in FEATURES}
    values["is_monthly"] = row["contract"] == "month-to-month"
    return [float(values[name]) for name in FEATURES]  # type: ignore[arg-type]


def dataset() -> tuple[torch.Tensor, torch.Tensor]:
    rows, labels = zip(*history(ROWS), strict=True)
    return torch.tensor([features(row) for row in rows]), torch.tensor(labels, dtype=torch.float32)


def train(inputs: torch.Tensor, labels: torch.Tensor) -> ChurnNet:
    model = build()
    model.mean.copy_(inputs.mean(0))
    model.scale.copy_(inputs.std(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    loss_of = nn.BCELoss()
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            loss_of(model(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
    return model.eval()


def auc(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Area under the ROC curve, from ranks."""
    ranks = scores.argsort().argsort().double() + 1
    positive = labels.bool()
    hits, misses = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def export(model: ChurnNet, path: Path) -> None:
    """ONNX with a dynamic batch axis, without the traces of this machine that the exporter adds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (torch.zeros(8, len(FEATURES)),),
            input_names=["features"],
            output_names=["probability"],
            dynamic_shapes=({0: torch.export.Dim("rows")},),
            dynamo=True,
            verbose=False,
        )
    proto = program.model_proto
    del proto.metadata_props[:]
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del proto.graph.metadata_props[:]
    proto.graph.name = "churn"
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def main() -> None:
    torch.manual_seed(11)
    torch.set_num_threads(1)
    inputs, labels = dataset()
    held_out = ROWS // 5
    model = train(inputs[held_out:], labels[held_out:])
    with torch.no_grad():
        score = auc(model(inputs[:held_out]), labels[:held_out])
    save_file(model.state_dict(), FUNCTIONS / "churn.safetensors")
    export(model, FUNCTIONS / "churn.onnx")
    print(f"AUC on {held_out:,} held-out customers: {score:.3f}; base rate {labels.mean():.3f}")


if __name__ == "__main__":
    main()
