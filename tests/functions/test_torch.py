"""``source: torch``: exported in a child process, checked against eager, cached; its failures are readable."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sqlinfer.errors import ArtifactError
from sqlinfer.functions.cache import FileHashes
from sqlinfer.project.values import FunctionConfig, ReturnField
from sqlinfer.testing.workshop import Workshop, score

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.torch

NETS = """
import torch

class Churn(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))

    def forward(self, features):
        return torch.sigmoid(self.net(features)).squeeze(-1)

class Named(torch.nn.Module):
    def forward(self, tenure, fee):
        return {"total": tenure + fee, "both": torch.cat([tenure, fee], dim=1)}

class Mixing(torch.nn.Module):
    def forward(self, features):
        return features - features.mean(dim=0, keepdim=True)

class Flattened(torch.nn.Module):
    def forward(self, features):
        return features.reshape(4, -1)

def not_a_module():
    return 3

def dies():
    import os
    os.kill(os.getpid(), 9)

def raises():
    raise RuntimeError("the weights are on the moon")
"""
THREE = [("a", "DOUBLE"), ("b", "INT"), ("c", "DOUBLE")]


@pytest.fixture
def nets(shop: Workshop) -> Workshop:
    (shop.folder / "nets.py").write_text(textwrap.dedent(NETS))
    return shop


def declare(
    shop: Workshop, entrypoint: str, arguments: Any = THREE, returns: Any = "DOUBLE", **options: Any
) -> FunctionConfig:
    return shop.declare(None, arguments, returns, source="torch", entrypoint=entrypoint, **options)


def weights(folder: Path) -> Path:
    from safetensors.torch import save_file

    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    save_file({f"net.{k}": v.contiguous() for k, v in net.state_dict().items()}, folder / "churn.safetensors")
    return folder / "churn.safetensors"


def test_a_module_with_weights_scores_as_in_torch(nets: Workshop) -> None:
    from safetensors.numpy import load_file

    path = weights(nets.folder)
    prepared = nets.prepare(declare(nets, "nets:Churn", weights=path))
    assert prepared.inputs[0].layout == "packed"
    w = load_file(path)
    x = np.float32([[1, 2, 3], [0, -1, 4]])
    hidden = (x @ w["net.0.weight"].T + w["net.0.bias"]) / np.sqrt(1 + 1e-5)
    expected = 1 / (1 + np.exp(-(hidden @ w["net.2.weight"].T + w["net.2.bias"])[:, 0]))
    np.testing.assert_allclose(score(prepared, {"features": x})["value"], expected, atol=1e-5)
    assert "torch" not in sys.modules or sys.modules["torch"] is torch


def test_the_second_time_comes_from_the_cache_until_code_or_weights_change(
    nets: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlinfer.functions.sources import child

    exports: list[str] = []
    original = child.export
    monkeypatch.setattr(child, "export", lambda *a, **k: (exports.append(a[1]), original(*a, **k))[1])
    config = declare(nets, "nets:Churn", weights=weights(nets.folder))
    first = nets.prepare(config).contract.digest
    assert nets.prepare(config).contract.digest == first
    assert len(exports) == 1
    (nets.folder / "nets.py").write_text(textwrap.dedent(NETS).replace("sigmoid", "tanh"))
    assert nets.prepare(config).contract.digest != first
    assert len(exports) == 2


def test_parameters_are_bound_by_name_and_dict_keys_name_the_outputs(nets: Workshop) -> None:
    fields = (ReturnField("total", "REAL"), ReturnField("both", "REAL[2]"))
    config = declare(nets, "nets:Named", [("fee", "DOUBLE"), ("tenure", "DOUBLE")], fields, is_struct=True)
    prepared = nets.prepare(config)
    assert [b.arguments for b in prepared.inputs] == [("tenure",), ("fee",)]
    got = score(prepared, {"tenure": np.float32([[1], [2]]), "fee": np.float32([[10], [20]])})
    assert got["total"].tolist() == [11.0, 22.0]
    assert got["both"].tolist() == [[1.0, 10.0], [2.0, 20.0]]


def test_a_module_that_mixes_rows_is_refused(nets: Workshop) -> None:
    error = nets.refused(None, THREE, "REAL[3]", source="torch", entrypoint="nets:Mixing")
    assert "is not row-wise: node ReduceMean" in error.message


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("nets:not_a_module", "returned int, not an nn.Module"),
        ("nets:raises", "the weights are on the moon"),
        ("nets:dies", "was killed by signal 9"),
        ("nets:missing", "has no attribute 'missing'"),
        ("nets:Flattened", "the export of its torch model failed"),
    ],
)
@pytest.mark.thorough("raises", "missing")
def test_a_failing_export_shows_its_last_lines(nets: Workshop, entrypoint: str, message: str) -> None:
    error = nets.refused(None, THREE, "REAL[3]", source="torch", entrypoint=entrypoint)
    assert message in error.message


@pytest.mark.parametrize("entrypoint", [None, "nets", "nets:", "a b:c", "../nets:Churn"])
def test_a_misspelt_entrypoint_is_refused_without_a_child(nets: Workshop, entrypoint: str | None) -> None:
    error = nets.refused(None, THREE, source="torch", entrypoint=entrypoint)
    assert "needs an entrypoint 'package.module:callable'" in error.message


def test_an_unknown_module_is_refused_without_a_child(nets: Workshop) -> None:
    assert "there is no module 'nowhere'" in nets.refused(None, THREE, source="torch", entrypoint="nowhere:f").message


def test_a_pt_file_needs_trust_and_the_right_one(nets: Workshop) -> None:
    path = nets.folder / "churn.pt"
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    torch.save({f"net.{k}": v for k, v in net.state_dict().items()}, path)
    sha = FileHashes(nets.cache).of(path)
    error = nets.refused(None, THREE, source="torch", entrypoint="nets:Churn", weights=path)
    assert isinstance(error, ArtifactError)
    assert f"trust: sha256:{sha}" in (error.hint or "")
    wrong = nets.refused(None, THREE, source="torch", entrypoint="nets:Churn", weights=path, trust="0" * 64)
    assert "is not the file that 'trust:' names" in wrong.message
    assert nets.prepare(declare(nets, "nets:Churn", weights=path, trust=f"sha256:{sha}")).contract.digest
    times, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    replaced = nets.refused(None, THREE, source="torch", entrypoint="nets:Churn", weights=path, trust=f"sha256:{sha}")
    assert "is not the file that 'trust:' names" in replaced.message


def test_without_torch_the_hint_names_the_extra(nets: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlinfer.functions.sources import entrypoint

    monkeypatch.setattr(entrypoint, "version", lambda package: None)
    error = nets.refused(None, THREE, source="torch", entrypoint="nets:Churn")
    assert "needs torch, onnxscript, which is not installed" in error.message
    assert error.hint == "pip install 'sqlinfer[torch]'"
