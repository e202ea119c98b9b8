"""Prepared functions over tiny graphs, made in code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.spec.function import (
    Argument,
    FunctionContract,
    InputBinding,
    Layout,
    Output,
    OutputBinding,
    PreparedFunction,
)
from sqlinfer.testing import onnx_builder

Prepare = Callable[..., PreparedFunction]


def argument_types(types: dict[str, str]) -> tuple[Argument, ...]:
    return tuple(Argument(name, kind) for name, kind in types.items())


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """A function of given arguments over a graph; one scalar DOUBLE output by default."""

    def make(
        graph: bytes,
        arguments: dict[str, str],
        inputs: tuple[InputBinding, ...],
        outputs: dict[str, str] | None = None,
        bindings: tuple[OutputBinding, ...] = (OutputBinding("value", "score"),),
        **contract: Any,
    ) -> PreparedFunction:
        path = tmp_path / "f.onnx"
        path.write_bytes(graph)
        declared = tuple(Output(name, kind) for name, kind in (outputs or {"value": "DOUBLE"}).items())
        made = FunctionContract("f", "ab" * 32, argument_types(arguments), declared)
        return PreparedFunction(replace(made, **contract), tmp_path, path, inputs, bindings)

    return make


@pytest.fixture
def linear(prepare: Prepare) -> Callable[..., PreparedFunction]:
    """``value = 2 a + 3 b`` over one packed input."""

    def make(**contract: Any) -> PreparedFunction:
        inputs = (InputBinding("features", "packed", "float", ("a", "b"), 2),)
        return prepare(onnx_builder.linear([2.0, 3.0]), {"a": "DOUBLE", "b": "REAL"}, inputs, **contract)

    return make


def element(name: str, layout: Layout, kind: str, *arguments: str, width: int | None = None) -> InputBinding:
    return InputBinding(name, layout, kind, arguments, width)
