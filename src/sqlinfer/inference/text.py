"""Varchar column → token tensors: encoded in parallel, sorted by length, padded to the longest of a run."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer.errors import ArtifactError, InferenceError
from sqlinfer.inference.block import Feeder, Scratch
from sqlinfer.inference.tensors import Array, dtype_of, strings
from sqlinfer.spec.function import InputBinding, TokenizerSpec

CPU_TOKENS = 256
"""Tokens in a run on a CPU: more falls out of the cache (perf.md, W6)."""
GPU_TOKENS = 16_384


@dataclass(frozen=True, slots=True)
class Ragged:
    """One token field of all rows, end to end."""

    binding: InputBinding
    flat: Array
    pad: int


@dataclass(frozen=True, slots=True)
class Tokens:
    lengths: Array
    offsets: Array
    fields: tuple[Ragged, ...]


class TextEncoder:
    def __init__(self, spec: TokenizerSpec) -> None:
        self.argument = spec.argument
        self._tokenizer = _load(spec)
        padding = self._tokenizer.padding or {}
        self._pad = {"input_ids": int(padding.get("pad_id", 0) or _pad_id(self._tokenizer))}
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=spec.max_length)

    def encode(self, column: pa.Array, bindings: Sequence[InputBinding]) -> Tokens:
        """Tokens of every row of a column without nulls, in its order."""
        encodings = self._encode(strings(column).tolist())
        lengths = np.fromiter(map(len, encodings), dtype=np.int64, count=len(encodings))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        fields = tuple(self._field(binding, encodings, int(offsets[-1])) for binding in bindings)
        return Tokens(lengths, offsets, fields)

    def _encode(self, texts: list[str]) -> Sequence[Any]:
        """Without the offsets into the text, which no field needs, where tokenizers is new enough to leave them out."""
        encode = getattr(self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch)
        encodings: Sequence[Any] = encode(texts)
        return encodings

    def _field(self, binding: InputBinding, encodings: Sequence[Any], total: int) -> Ragged:
        name, dtype = binding.token_field or binding.name, dtype_of(binding.element_type)
        if name == "attention_mask":
            flat = np.ones(total, dtype=dtype)  # zeros stand for padding only, and that comes when a run is fed
        elif name == "input_ids":
            flat = _end_to_end(encoding.ids for encoding in encodings).astype(dtype, copy=False)
        elif name == "token_type_ids":
            flat = _end_to_end(encoding.type_ids for encoding in encodings).astype(dtype, copy=False)
        else:
            raise InferenceError(f"input '{binding.name}' asks for the unknown token field '{name}'")
        return Ragged(binding, flat, self._pad.get(name, 0))


def _end_to_end(lists: Iterable[list[int]]) -> Array:
    """Lists of integers as one array; ``fromlist`` takes two thirds of the time of ``np.fromiter`` over a chain."""
    joined = array("q")
    for one in lists:
        joined.fromlist(one)
    return np.asarray(joined)


@dataclass(frozen=True, slots=True)
class TokenFeeder:
    name: str
    field: Ragged
    lengths: Array
    starts: Array
    """Lengths and starts of the rows in feeding order."""

    def feed(self, start: int, stop: int, scratch: Scratch) -> Array:
        lengths = self.lengths[start:stop]
        width = max(1, int(lengths.max()))
        column = np.arange(width)
        inside = column < lengths[:, None]
        padded = np.full((stop - start, width), self.field.pad, dtype=self.field.flat.dtype)
        padded[inside] = self.field.flat[(self.starts[start:stop, None] + column)[inside]]
        return padded


@dataclass(frozen=True, slots=True)
class TextRows:
    tokens: Tokens
    order: Array

    def feeders(self, failed: dict[int, str]) -> Sequence[Feeder]:
        lengths, starts = self.tokens.lengths[self.order], self.tokens.offsets[:-1][self.order]
        return [TokenFeeder(field.binding.name, field, lengths, starts) for field in self.tokens.fields]

    def splits(self, batch_size: int, token_budget: int | None) -> Iterator[tuple[int, int]]:
        """Runs of at most ``batch_size`` rows whose padded tokens stay within the budget."""
        lengths = np.maximum(1, self.tokens.lengths[self.order])
        start, rows = 0, len(lengths)
        while start < rows:
            stop = min(start + batch_size, rows)
            if token_budget:
                padded = lengths[start:stop] * np.arange(1, stop - start + 1)
                stop = start + max(1, int(np.searchsorted(padded, token_budget, side="right")))
            yield start, stop
            start = stop


def _pad_id(tokenizer: Any) -> int:
    for token in ("[PAD]", "<pad>", "<|endoftext|>"):
        found = tokenizer.token_to_id(token)
        if found is not None:
            return int(found)
    return 0


def _load(spec: TokenizerSpec) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise InferenceError(
            "functions over text need the package 'tokenizers'", hint="pip install 'sqlinfer[text]'"
        ) from error
    path = spec.path / "tokenizer.json" if spec.path.is_dir() else spec.path
    try:
        return Tokenizer.from_file(os.fspath(path))
    except Exception as error:  # the Rust binding raises bare Exception
        raise ArtifactError(f"the tokenizer {path.name} cannot be read: {error}") from error
