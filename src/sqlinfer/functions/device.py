"""Which provider family a function is prepared for. Nothing heavy is loaded to find out."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from sqlinfer.functions.cache import Pins


def family_of(device: str) -> str:
    """``cuda:1`` → ``cuda``."""
    return device.split(":", 1)[0].casefold()


def resolve(function: str, device: str, declared: str, pins: Pins, probe: Callable[[], str]) -> str:
    """The device a function runs on: the flag, the declaration, the pin, or what this machine has (then pinned).

    Pinned, because scores of two families differ: a night without its GPU must fail, not score everything again.
    """
    for wanted in (device, declared):
        if wanted != "auto":
            return wanted
    pinned = pins.get(function)
    if pinned is None:
        pinned = family_of(probe())
        pins.set(function, pinned)
    return pinned


def cheap_probe() -> str:
    """``cuda`` where a device node, ONNX Runtime's CUDA provider and the CUDA libraries are in place, else ``cpu``."""
    return "cuda" if Path("/dev/nvidia0").exists() and _provider() and _libraries() else "cpu"


def _provider() -> bool:
    spec = find_spec("onnxruntime")
    folders = spec.submodule_search_locations if spec else None
    return any(list(Path(folder).glob("capi/*onnxruntime_providers_cuda*")) for folder in folders or ())


def _libraries() -> bool:
    spec = find_spec("onnxruntime")
    folders = [Path(f).parent / "nvidia" for f in (spec.submodule_search_locations or ())] if spec else []
    system = (Path("/usr/local/cuda"), *Path("/usr/lib").glob("*/libcublas.so*"))
    return any(path.exists() for path in (*folders, *system))
