"""Inputs of an ONNX graph → arguments, where the declaration names none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from sqlinfer.functions.graph import Port
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import Argument

MOST_COLUMNS: Final = 1_000
"""A wider matrix is one list instead of so many arguments."""
_TOKENS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_DATA_TYPES: Final = {
    "float": "DOUBLE", "double": "DOUBLE", "float16": "DOUBLE", "string": "TEXT", "bool": "BOOLEAN",
    "int64": "BIGINT", "int32": "INT", "int16": "SMALLINT", "int8": "TINYINT",
    "uint64": "UBIGINT", "uint32": "UINTEGER", "uint16": "USMALLINT", "uint8": "UTINYINT",
}  # fmt: skip


def with_arguments(config: FunctionConfig, ports: Sequence[Port]) -> FunctionConfig:
    """The declaration as it is, or with the graph's own arguments: an input [N] or [N,1] is one of its name; the only
    input [N,F] is ``f0`` to ``fF``, as everywhere where a model has no names. What fits neither is left to ``bind``."""
    if config.arguments or config.inputs:
        return config
    return replace(config, arguments=tuple(_arguments(config, ports)))


def _arguments(config: FunctionConfig, ports: Sequence[Port]) -> Iterator[Argument]:
    if config.tokenizer is not None:
        yield Argument(config.tokenizer.argument or "text", "TEXT")
        if config.tokenizer.pair is not None:
            yield Argument(config.tokenizer.pair, "TEXT")
        ports = [port for port in ports if port.name not in _TOKENS]
    if config.image is not None:
        yield Argument(config.image.argument or "image", "BLOB")
        ports = [port for port in ports if port.rank != 4]
    for port in ports:
        yield from _of_port(port, alone=len(ports) == 1)


def _of_port(port: Port, *, alone: bool) -> Iterator[Argument]:
    data_type, shape = _DATA_TYPES.get(port.element_type), port.shape
    if data_type is None or shape is None or len(shape) not in (1, 2):
        return
    width = shape[1] if len(shape) == 2 else 1
    if width == 1:
        yield Argument(port.name, data_type)
    elif isinstance(width, int) and alone and width <= MOST_COLUMNS:
        yield from (Argument(f"f{place}", data_type) for place in range(width))
    elif isinstance(width, int):
        yield Argument(port.name, f"{data_type}[{width}]")
