"""Devices are what really runs, not what is listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.errors import ArtifactError, DeviceError, UsageError
from sqlinfer.inference import providers
from sqlinfer.inference.providers import Device, create_session, resolve_device


def test_auto_falls_back_to_the_cpu_silently(monkeypatch, capfd) -> None:
    monkeypatch.setattr(providers, "_may_have_gpu", lambda: True)
    assert resolve_device("auto", lambda family, index: "no driver") == Device("cpu")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_auto_takes_every_gpu_that_works(monkeypatch) -> None:
    monkeypatch.setattr(providers, "_may_have_gpu", lambda: True)
    monkeypatch.setattr(providers, "gpu_count", lambda: 2)
    assert resolve_device("auto", lambda family, index: None) == Device("cuda", (0, 1))
    assert resolve_device("cuda", lambda family, index: None) == Device("cuda", (0, 1))
    assert str(resolve_device("cuda:1", lambda family, index: None)) == "cuda:1"


def test_an_explicit_gpu_that_does_not_work_says_what_to_install() -> None:
    with pytest.raises(DeviceError, match="libcudnn") as caught:
        resolve_device("cuda:0", lambda family, index: "missing libraries: libcudnn.so")
    assert caught.value.hint is not None
    assert "sqlinfer[cuda]" in caught.value.hint


@pytest.mark.skipif(providers.gpu_count() > 0, reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "tensorrt"])
def test_a_real_probe_without_a_gpu_fails_quietly(device: str, capfd) -> None:
    with pytest.raises(DeviceError):
        resolve_device(device)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("text", ["gpu", "cpu:0", "cuda:x", "", "auto:1", "cuda:-1"])
def test_unknown_devices_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        resolve_device(text)


def test_a_file_that_is_no_graph_is_an_artifact_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ArtifactError, match=r"bad\.onnx"):
        create_session(path, Device("cpu"), 0, 1)


def test_a_locale_that_the_machine_does_not_have_is_said_plainly() -> None:
    from onnx import helper

    from sqlinfer.testing import onnx_builder as ob

    node = helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_YY.UTF-8")
    graph = ob.build([node], [ob.value("x", "string", ["N"])], [ob.value("y", "string", ["N"])])
    with pytest.raises(ArtifactError, match=r"the locale 'xx_YY.UTF-8', which this machine does not have") as caught:
        create_session(graph, Device("cpu"), 0, 1)
    assert "locale-gen xx_YY.UTF-8" in (caught.value.hint or "")
