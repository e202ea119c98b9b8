"""A transformer of torch → ONNX, batch and length open. Slow: tens of seconds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from sqlinfer.functions.sources.original import NotExact

_SHOWN = 300


def exported(module: Any, output: str, inputs: Mapping[str, Any], open_axes: int, scratch: Path) -> onnx.ModelProto:
    """The output of that name, of a module of transformers.

    Args:
        inputs: example tensors by name.
        open_axes: so many leading axes of each are open: 2 for tokens, 1 for pixels.

    Raises:
        NotExact: torch does not export the architecture.
    """
    import torch

    target = scratch / "exported.onnx"
    big = sum(one.numel() * one.element_size() for one in module.parameters()) > 1_000_000_000
    axes = dict.fromkeys(range(open_axes), torch.export.Dim.DYNAMIC)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            torch.onnx.export(
                _one_output(module, output), (), str(target), kwargs=dict(inputs), dynamo=True, verbose=False,
                external_data=big, dynamic_shapes=dict.fromkeys(inputs, axes), input_names=list(inputs),
                output_names=[output],
            )  # fmt: skip
        except MemoryError:
            raise
        except Exception as error:  # whatever an exporter raises for an architecture that it does not know
            raise NotExact(f"torch does not export {type(module).__name__}: {first_line(error)}") from error
    return onnx.load(str(target))


def first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:_SHOWN]


def _one_output(module: Any, output: str) -> Any:
    import torch

    class OneOutput(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None,
                    pixel_values: Any = None) -> Any:  # fmt: skip
            given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids,
                     "pixel_values": pixel_values}  # fmt: skip
            return self.module(**{name: one for name, one in given.items() if one is not None})[output]

    return OneOutput().eval()
