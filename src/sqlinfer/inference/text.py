"""Varchar column(s) → token tensors: encoded in parallel, sorted by length, padded run by run as the tokenizer says."""

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
from sqlinfer.inference.unchanged import unchanged
from sqlinfer.spec.function import InputBinding, TokenizerSpec

CPU_TOKENS = 256
"""Tokens in a run on a CPU: more falls out of the cache (perf.md, W6)."""
GPU_TOKENS = 16_384
DEFAULT_TOKENS = 512
"""Most tokens of a text where neither the declaration nor the tokenizer says it."""
_TOKEN, _SHORTEST = 32, 16_384
"""A text is cut to so many characters for each token, and at least so many, before it is tokenised …"""
_LONGEST = 4 * 1024 * 1024
"""… and to twice as many while that gives too few tokens, up to here: 50 MB of text take 4 GB to tokenise whole."""

Text = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Padding:
    """How a run is made rectangular."""

    to: int | None = None
    """At least so many tokens."""
    multiple: int | None = None
    left: bool = False

    def width(self, longest: int) -> int:
        wanted = max(1, longest, self.to or 0)
        return -(-wanted // self.multiple) * self.multiple if self.multiple else wanted


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
    padding: Padding = Padding()


class TextEncoder:
    def __init__(self, spec: TokenizerSpec) -> None:
        self.arguments = (spec.argument,) if spec.pair is None else (spec.argument, spec.pair)
        self._tokenizer = self._load(spec)
        padding, truncation = self._tokenizer.padding or {}, self._tokenizer.truncation or {}
        most = spec.max_length or truncation.get("max_length") or DEFAULT_TOKENS
        self._most = most if spec.width is None else min(most, spec.width)
        self._padding = _padding(spec, padding, self._most)
        pad_id = int(padding.get("pad_id", 0) or _pad_id(self._tokenizer))
        self._pad = {"input_ids": pad_id, "token_type_ids": int(padding.get("pad_type_id", 0))}
        self._tokenizer.no_padding()
        self._left = truncation.get("direction") == "left"
        self._tokenizer.enable_truncation(
            max_length=self._most,
            strategy=truncation.get("strategy", "longest_first"),
            direction=truncation.get("direction", "right"),
        )

    @staticmethod
    def _load(spec: TokenizerSpec) -> Any:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise InferenceError(
                "functions over text need the package 'tokenizers'", hint="pip install 'sqlinfer[text]'"
            ) from error
        path = spec.path / "tokenizer.json" if spec.path.is_dir() else spec.path
        data = None if spec.sha256 is None else unchanged(path, spec.sha256)
        try:
            return Tokenizer.from_file(os.fspath(path)) if data is None else Tokenizer.from_buffer(data)
        except Exception as error:  # the Rust binding raises bare Exception
            raise ArtifactError(f"the tokenizer {path.name} cannot be read: {error}") from error

    def encode(
        self, columns: Sequence[pa.Array], bindings: Sequence[InputBinding], failed: dict[int, str] | None = None
    ) -> Tokens:
        """Tokens of every row of columns without nulls, in their order.

        Args:
            columns: the texts; a second column makes pairs.
            failed: row → error, filled for texts that the tokenizer refuses; they get no tokens.
        """
        texts: list[Text] = strings(columns[0]).tolist()
        if len(columns) > 1:
            texts = list(zip(texts, strings(columns[1]).tolist(), strict=True))  # type: ignore[arg-type]
        encodings = self._encode_all(texts, {} if failed is None else failed)
        lengths = np.fromiter(map(len, encodings), dtype=np.int64, count=len(encodings))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        fields = tuple(self._field(binding, encodings, int(offsets[-1])) for binding in bindings)
        return Tokens(lengths, offsets, fields, self._padding)

    def _encode_all(self, texts: list[Text], failed: dict[int, str]) -> Sequence[Any]:
        """Long texts one by one, the others together."""
        bound = max(_SHORTEST, _TOKEN * self._most)
        long = [row for row, text in enumerate(texts) if _length(text) > bound]
        for row in long:
            texts[row] = self._shortened(texts[row], bound)
        return self._encode(texts, failed, 0)

    def _shortened(self, text: Text, bound: int) -> Text:
        """As much of a text as gives all the tokens that are kept."""
        while bound < min(_length(text), _LONGEST):
            part = self._cut(text, bound)
            found = self._encode([part], {}, 0)[0]
            if len(found) >= self._most:
                return part
            bound *= 2
        return self._cut(text, _LONGEST)

    def _cut(self, text: Text, bound: int) -> Text:
        if isinstance(text, tuple):
            return _cut(text[0], bound, self._left), _cut(text[1], bound, self._left)
        return _cut(text, bound, self._left)

    def _encode(self, texts: list[Text], failed: dict[int, str], first: int) -> Sequence[Any]:
        """Without the offsets into the text, which no field needs, where tokenizers is new enough to leave them out.

        Texts that make the tokenizer fail are found by halves, as rows that make a graph fail are.
        """
        encode = getattr(self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch)
        try:
            encodings: Sequence[Any] = encode(texts)
            return encodings
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a panic of the Rust library is no Exception
            if len(texts) == 1:
                failed[first] = _why(error)
                return [()]
        middle = len(texts) // 2
        return [
            *self._encode(texts[:middle], failed, first),
            *self._encode(texts[middle:], failed, first + middle),
        ]

    def _field(self, binding: InputBinding, encodings: Sequence[Any], total: int) -> Ragged:
        name, dtype = binding.token_field or binding.name, dtype_of(binding.element_type)
        whole = [encoding for encoding in encodings if encoding]  # a text that failed has none
        if name == "attention_mask":
            flat = np.ones(total, dtype=dtype)  # zeros stand for padding only, and that comes when a run is fed
        elif name == "input_ids":
            flat = _end_to_end(encoding.ids for encoding in whole).astype(dtype, copy=False)
        elif name == "token_type_ids":
            flat = _end_to_end(encoding.type_ids for encoding in whole).astype(dtype, copy=False)
        else:
            raise InferenceError(f"input '{binding.name}' asks for the unknown token field '{name}'")
        return Ragged(binding, flat, self._pad.get(name, 0))


def _padding(spec: TokenizerSpec, declared: dict[str, Any], most: int) -> Padding:
    """The graph's fixed length first, then the declaration's word, then the file's. The side is always the file's."""
    left, to, multiple = declared.get("direction") == "left", declared.get("length"), declared.get("pad_to_multiple_of")
    if spec.width is not None:
        return Padding(spec.width, None, left)
    if spec.padding is not None:
        return Padding(most if spec.padding == "max_length" else None, None, left)
    return Padding(to, multiple, left)


def _length(text: Text) -> int:
    return len(text) if isinstance(text, str) else max(map(len, text))


def _cut(text: str, bound: int, left: bool) -> str:
    """The beginning of a text (its end, where the tokenizer cuts from the left), up to a space where there is one."""
    if len(text) <= bound:
        return text
    if left:
        start = len(text) - bound
        space = text.find(" ", start, start + bound // 2)
        return text[start if space < 0 else space :]
    space = text.rfind(" ", bound // 2, bound)
    return text[: bound if space < 0 else space]


def _why(error: BaseException) -> str:
    """The row's error. The library's own words may hold the text."""
    if "unk" in str(error).casefold():
        return "tokenize: a word is unknown, and the tokenizer has no token for unknown words"
    return "tokenize: the tokenizer refuses the text"


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
    padding: Padding = Padding()

    def feed(self, start: int, stop: int, scratch: Scratch) -> Array:
        lengths = self.lengths[start:stop]
        width = self.padding.width(int(lengths.max()))
        column = np.arange(width)
        place = column - (width - lengths)[:, None] if self.padding.left else column
        inside = place >= 0 if self.padding.left else place < lengths[:, None]
        padded = np.full((stop - start, width), self.field.pad, dtype=self.field.flat.dtype)
        padded[inside] = self.field.flat[(self.starts[start:stop, None] + place)[inside]]
        return padded


@dataclass(frozen=True, slots=True)
class TextRows:
    tokens: Tokens
    order: Array

    def feeders(self, failed: dict[int, str]) -> Sequence[Feeder]:
        lengths, starts = self.tokens.lengths[self.order], self.tokens.offsets[:-1][self.order]
        padding = self.tokens.padding
        return [TokenFeeder(field.binding.name, field, lengths, starts, padding) for field in self.tokens.fields]

    def splits(self, batch_size: int, token_budget: int | None) -> Iterator[tuple[int, int]]:
        """Runs of at most ``batch_size`` rows whose padded tokens stay within the budget."""
        lengths = np.maximum(self.tokens.padding.to or 1, self.tokens.lengths[self.order])
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
