"""The version of ai.onnx that a model speaks, and the same model in a newer one: exporters of trees write old ones."""

from __future__ import annotations

import onnx
from onnx import helper, version_converter

_DEFAULT = ("", "ai.onnx")
_LEAST_IR = 8


def opset_of(model: onnx.ModelProto) -> int:
    """0 where the model imports none."""
    return next((int(one.version) for one in model.opset_import if one.domain in _DEFAULT), 0)


def raised(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model in ``opset`` or newer, or as it is where that cannot be said: a trial compares what is made of it."""
    if opset_of(model) >= opset:
        return model
    if not opset_of(model) and not any(node.domain in _DEFAULT for node in model.graph.node):
        made = onnx.ModelProto()
        made.CopyFrom(model)
        made.opset_import.append(helper.make_opsetid("", opset))
    else:
        try:
            made = version_converter.convert_version(model, opset)
        except Exception:  # the converter's errors share no base class
            return model
    made.ir_version = max(made.ir_version, _LEAST_IR)
    return made
