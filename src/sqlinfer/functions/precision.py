"""Which precisions a function can be prepared for. Read on every run, so nothing heavy is imported here."""

from __future__ import annotations

from sqlinfer.errors import FunctionError
from sqlinfer.project.values import FunctionConfig

SUPPORTED = ("fp32", "fp16")
_INSTEAD = {
    "bf16": "ONNX Runtime has no bfloat16 kernels on a CPU and few on a GPU; use 'precision: fp16'",
    "int8": "quantise the model when it is exported (static, QDQ) and declare that file with 'precision: fp32'",
}


def check_precision(config: FunctionConfig) -> None:
    """Refuse what would otherwise be accepted and ignored.

    Raises:
        FunctionError: the declared precision is not one that preparing converts to.
    """
    if config.precision not in SUPPORTED:
        raise FunctionError(
            f"function '{config.name}': 'precision: {config.precision}' is not supported; "
            f"{' and '.join(SUPPORTED)} are",
            hint=_INSTEAD.get(config.precision),
            location=config.location,
        )
