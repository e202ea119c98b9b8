"""Which device really works, and ONNX Runtime sessions on it. Provider lists are not trusted, a real session is."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sqlinfer.errors import ArtifactError, DeviceError, UsageError
from sqlinfer.inference.kernel import safe_message

Family = Literal["cpu", "cuda", "tensorrt"]

_GRAMMAR = re.compile(r"(auto|cpu|cuda|tensorrt)(?::([0-9]{1,4}))?")
_PROVIDER = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_INSTALL = "pip install 'sqlinfer[cuda]' and an NVIDIA driver that supports its CUDA version; or run with --device cpu"


@dataclass(frozen=True, slots=True)
class Device:
    family: Family
    indices: tuple[int, ...] = ()
    """GPUs to share the batches out to."""

    def __str__(self) -> str:
        return ":".join([self.family, *(str(index) for index in self.indices[:1] if len(self.indices) == 1)])


def resolve_device(text: str, probe: Callable[[Family, int], str | None] | None = None) -> Device:
    """``auto | cpu | cuda | cuda:N | tensorrt`` → a device that a tiny session has really run on.

    Raises:
        UsageError: the text is none of these.
        DeviceError: an explicitly named GPU does not work.
    """
    probe = probe or probe_provider
    match = _GRAMMAR.fullmatch(text)
    if match is None or (match[2] and match[1] in ("auto", "cpu")):
        raise UsageError(f"unknown device '{text}'", hint="one of auto, cpu, cuda, cuda:N, tensorrt")
    if match[1] == "cpu" or (match[1] == "auto" and not _may_have_gpu()):
        return Device("cpu")
    family: Family = "tensorrt" if match[1] == "tensorrt" else "cuda"
    first = int(match[2]) if match[2] else 0
    problem = probe(family, first)
    if problem is None:
        return Device(family, (first,) if match[2] else tuple(range(max(1, gpu_count()))))
    if match[1] == "auto":
        return Device("cpu")
    raise DeviceError(f"device '{text}' does not work: {problem}", hint=_INSTALL)


@cache
def probe_provider(family: Family, index: int) -> str | None:
    """Run a one-node graph on a GPU. None if it ran there, else the reason why not."""
    import onnxruntime as ort

    provider = _PROVIDER[family]
    if provider not in ort.get_available_providers():
        return f"this build of onnxruntime has no {provider}"
    _preload(ort)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    ort.set_default_logger_severity(4)
    try:
        wanted = [(provider, {"device_id": str(index)})]
        session = ort.InferenceSession(_tiny_graph(), options, providers=wanted, enable_fallback=0)
        loaded = provider in session.get_providers()
        if loaded:
            import numpy as np

            session.run(None, {"x": np.ones(1, dtype=np.float32)})
    except Exception as error:  # whatever the native code raises is the reason
        return safe_message(str(error))
    finally:
        ort.set_default_logger_severity(3)
    return None if loaded else f"{provider} did not load; {_missing_libraries()}"


_LOCALE = re.compile(r"[Ll]ocale with name:\s*([\w.@-]+)")


def create_session(
    graph: Path | bytes, device: Device, index: int, intra_op_threads: int, name: str = "the graph"
) -> Any:
    """An ONNX Runtime session on one device, quiet and without spinning threads.

    Raises:
        ArtifactError: the graph cannot be loaded.
        DeviceError: the provider was dropped silently.
    """
    import onnxruntime as ort

    name = graph.name if isinstance(graph, Path) else name
    ort.disable_telemetry_events()
    ort.set_default_logger_severity(3)
    try:
        source = graph if isinstance(graph, bytes) else os.fspath(graph)
        options, chain = _options(ort, intra_op_threads), _chain(device, index)
        session = ort.InferenceSession(source, options, providers=chain, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise _not_loaded(name, str(error)) from error
    if device.family != "cpu" and _PROVIDER[device.family] not in session.get_providers():
        raise DeviceError(f"{_PROVIDER[device.family]} did not load; {_missing_libraries()}", hint=_INSTALL)
    return session


def _not_loaded(name: str, message: str) -> ArtifactError:
    locale = _LOCALE.search(message)
    if locale is None:
        return ArtifactError(f"ONNX Runtime cannot load {name}: {safe_message(message)}")
    return ArtifactError(
        f"ONNX Runtime cannot load {name}: it changes the case of texts by the rules of the locale "
        f"'{locale.group(1)}', which this machine does not have",
        hint=f"install it (Debian and Ubuntu: package locales, then 'locale-gen {locale.group(1)}'), or export the "
        "model's StringNormalizer with 'locale' set to C",
    )


def _options(ort: Any, intra_op_threads: int) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _chain(device: Device, index: int) -> list[Any]:
    cuda = (
        _PROVIDER["cuda"],
        {
            "device_id": str(index),
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "HEURISTIC",
            "do_copy_in_default_stream": "0",
        },
    )
    chain: list[Any] = {
        "cpu": [],
        "cuda": [cuda],
        "tensorrt": [(_PROVIDER["tensorrt"], {"device_id": str(index)}), cuda],
    }[device.family]
    return [*chain, _PROVIDER["cpu"]]


def _may_have_gpu() -> bool:
    """A cheap look, so that machines without a GPU do not pay for loading CUDA."""
    if sys.platform != "linux":
        return sys.platform == "win32"
    return any(Path(place).exists() for place in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/nvhost-ctrl-gpu"))


@cache
def gpu_count() -> int:
    """Devices that the CUDA driver shows to this process (CUDA_VISIBLE_DEVICES respected)."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _preload(ort: Any) -> None:
    """Load CUDA and cuDNN from pip's nvidia-* packages, where they are installed that way."""
    preload = getattr(ort, "preload_dlls", None)
    if preload is None:
        return
    import contextlib
    import io

    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        preload()


def _missing_libraries() -> str:
    if gpu_count() == 0:
        return "the NVIDIA driver (libcuda) is missing or shows no device"
    wanted = ("libcudart.so", "libcublas.so", "libcudnn.so")
    missing = [name for name in wanted if not any(_loads(f"{name}.{major}") for major in (13, 12, 9))]
    return f"missing libraries: {', '.join(missing)}" if missing else "a CUDA library of the wrong version is installed"


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _tiny_graph() -> bytes:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "probe",
        [value("x", TensorProto.FLOAT, ["n"])],
        [value("y", TensorProto.FLOAT, ["n"])],
    )
    serialized: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    return serialized
