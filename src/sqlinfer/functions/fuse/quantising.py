"""``precision: int8``: weights of matrix products become bytes, and so do the activations of each run of the graph.

A run has one scale for all its texts, so a result depends on the others of its run by a rounding. Nothing else of the
graph changes: what has no constant weights (the products inside attention), softmax, normalisation, post-processing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pyarrow as pa

from sqlinfer import types
from sqlinfer.arrays import from_texts
from sqlinfer.errors import FunctionError
from sqlinfer.functions.huggingface import boundary
from sqlinfer.functions.sources.base import Compared
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import PreparedFunction

MADE_UP, MOST_ROWS, MOST_TOKENS, SEED = 48, 1_000, 128, 17
_OPERATORS: Final = ["MatMul"]
_PIECES: Final = ("##", "Ġ", "▁")
"""What tokenizers write before a piece of a word, or before a word."""


def quantised(config: FunctionConfig, model: onnx.ModelProto, family: str, scratch: Path) -> onnx.ModelProto:
    """Raises FunctionError where nothing would be gained."""
    if family != "cpu":
        raise _refused(config, f"is for a CPU, not for {family}", "'precision: fp16' is the one for a GPU")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = scratch / "quantised.onnx"
    try:
        # Weights of seven bits: with eight, sums overflow on processors without VNNI.
        quantize_dynamic(
            model, target, op_types_to_quantize=_OPERATORS, per_channel=True, reduce_range=True,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
    except Exception as error:  # of the quantiser, whatever it meets
        raise _refused(
            config, f"cannot be made of this graph ({type(error).__name__})", "leave 'precision:' out"
        ) from error
    made = onnx.load(target)
    if not any(node.op_type == "MatMulInteger" for node in made.graph.node):
        raise _refused(
            config, "changes nothing, because no matrix product of this graph has constant weights",
            "leave 'precision:' out",
        )  # fmt: skip
    return made


def _refused(config: FunctionConfig, why: str, hint: str) -> FunctionError:
    return FunctionError(f"function '{config.name}': 'precision: int8' {why}", hint=hint, location=config.location)


def check_texts(config: FunctionConfig, text_arguments: Sequence[str]) -> None:
    """Raises FunctionError where the function reads no texts."""
    if not text_arguments:
        raise _refused(config, "is for functions of texts", "'tokenizer:' makes one of a graph over tokens")


def sample(config: FunctionConfig, prepared: PreparedFunction, compared: Compared | None) -> tuple[pa.RecordBatch, str]:
    """Rows of the arguments to measure on, and what they are: texts of the user's own where a file names them.

    Raises:
        FunctionError: the file lacks an argument.
    """
    if isinstance(config.sample_inputs, Path):
        return _of_file(prepared, config.sample_inputs), f"texts of {config.sample_inputs.name}"
    if config.expected is not None and compared is not None:
        from sqlinfer.functions.check.verifying import of_parquet

        rows, _ = of_parquet(prepared, compared)
        return rows.slice(0, MOST_ROWS), f"texts of {config.expected.name}"
    return made_up(prepared), "made-up texts"


def _of_file(prepared: PreparedFunction, path: Path) -> pa.RecordBatch:
    """Parquet, or CSV with a header."""
    from pyarrow import csv, parquet

    try:
        table = csv.read_csv(path) if path.suffix == ".csv" else parquet.read_table(path)
        named = {name.casefold(): name for name in table.column_names}
        given = [table.column(named[one.name.casefold()]).slice(0, MOST_ROWS) for one in prepared.contract.arguments]
        columns = [
            column.combine_chunks().cast(types.arrow_type(one.data_type))
            for column, one in zip(given, prepared.contract.arguments, strict=True)
        ]
    except KeyError as missing:
        raise FunctionError(
            f"function '{prepared.contract.name}': {path.name} has no column for the argument {missing}",
            hint="'sample_inputs:' has a column for each argument",
        ) from missing
    except (OSError, pa.ArrowException) as error:
        raise FunctionError(
            f"function '{prepared.contract.name}': {path.name} cannot be read: {str(error).splitlines()[0]}",
            hint="'sample_inputs:' is Parquet or CSV with a column for each argument",
        ) from error
    return pa.RecordBatch.from_arrays(columns, names=[one.name for one in prepared.contract.arguments])


def made_up(prepared: PreparedFunction) -> pa.RecordBatch:
    """Words of the tokenizer, and what is odd among texts; other arguments are 0."""
    from tokenizers import Tokenizer

    spec = prepared.tokenizer
    if spec is None:
        raise ValueError("a function without texts")
    words = sorted({_plain(word) for word in Tokenizer.from_file(str(spec.path)).get_vocab()} - {""})
    most = min(spec.max_length or MOST_TOKENS, MOST_TOKENS)
    texts = {spec.argument: boundary.texts(words, most, MADE_UP, SEED)}
    if spec.pair is not None:
        first, second = boundary.pairs(words, most, MADE_UP, SEED)
        texts = {spec.argument: first, spec.pair: second}
    count = len(texts[spec.argument])
    columns = [
        from_texts(texts[one.name]) if one.name in texts else _zeros(one.data_type, count)
        for one in prepared.contract.arguments
    ]
    return pa.RecordBatch.from_arrays(columns, names=[one.name for one in prepared.contract.arguments])


def _plain(word: str) -> str:
    for mark in _PIECES:
        word = word.removeprefix(mark)
    return word


def _zeros(data_type: str, count: int) -> Any:
    kind = types.arrow_type(data_type)
    if pa.types.is_string(kind):
        return from_texts([""] * count)
    return pa.array(np.zeros(count)).cast(kind)
