"""Which precisions a function can be prepared for. Read on every run, so nothing heavy is imported here."""

from __future__ import annotations

from sqlinfer.errors import FunctionError
from sqlinfer.project.values import FunctionConfig

SUPPORTED = ("fp32", "fp16", "int8")
_INSTEAD = {
    "bf16": "ONNX Runtime has no bfloat16 kernels on a CPU and few on a GPU; use 'precision: fp16'",
}


def check_precision(config: FunctionConfig) -> None:
    """Refuse what would otherwise be accepted and ignored.

    Raises:
        FunctionError: the declared precision is not one that preparing converts to, or a bound is for another one.
    """
    if config.precision not in SUPPORTED:
        raise FunctionError(
            f"function '{config.name}': 'precision: {config.precision}' is not supported; fp32, fp16 and int8 are",
            hint=_INSTEAD.get(config.precision),
            location=config.location,
        )
    if config.min_cosine is not None and config.precision != "int8":
        raise FunctionError(
            f"function '{config.name}': 'min_cosine' is how near to fp32 'precision: int8' must be, and this one is "
            f"{config.precision}",
            hint="leave 'min_cosine' out, or add 'precision: int8'",
            location=config.location,
        )
