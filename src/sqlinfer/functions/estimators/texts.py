"""Bags of words: scikit-learn's own tokens, found in lower case as Python makes it.

ONNX Runtime knows no lower case beyond ASCII without a locale of the machine's. So letters beyond ASCII stay as they
are, and the words of the vocabulary are known in all their spellings.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np

from sqlinfer.functions.estimators.graph import Frame, Graph, Piece
from sqlinfer.functions.estimators.scaling import width_of
from sqlinfer.functions.sources.original import NotExact

_PATTERNS: Final = {r"(?u)\b\w\w+\b": 2, r"\b\w\w+\b": 2, r"(?u)\b\w+\b": 1, r"\b\w+\b": 1, r"\w+": 1, r"\w\w+": 2}
"""Token patterns that are known → the fewest letters of a token."""
_DOTTED: Final = "\u0130"
"""The one letter whose lower case is two code points, of which the second ends a word."""
_SIGMA: Final = "\u03a3"
"""Its lower case depends on where in a word it stands."""
_MOST_SPELLINGS: Final = 500_000


def counts(graph: Graph, step: Any, frame: Frame) -> Frame:
    """CountVectorizer."""
    _check(step)
    words = sorted({word for term in step.vocabulary_ for word in term.split(" ")})
    codes = {word: i for i, word in enumerate(words)}
    found = _word_codes(graph, step, graph.take(frame, [0])[0].tensor, codes)
    width = max(step.vocabulary_.values()) + 1
    tensor = graph.cast(graph.op("TfIdfVectorizer", found, **_grams(step, codes)), "double")
    if step.binary:
        tensor = graph.op("Min", tensor, 1.0)
    return (Piece(tensor, width, finite=True),)


def _check(step: Any) -> None:
    if type(step).__name__ == "HashingVectorizer":
        raise NotExact("HashingVectorizer: its hash is not in ONNX")
    if callable(step.analyzer) or step.analyzer != "word":
        raise NotExact(f"{type(step).__name__} with analyzer {step.analyzer!r}: words alone are known")
    if step.preprocessor is not None or step.tokenizer is not None or step.strip_accents is not None:
        raise NotExact(f"{type(step).__name__} with a preprocessor, a tokenizer or strip_accents of its own")
    if step.token_pattern not in _PATTERNS:
        raise NotExact(f"{type(step).__name__} with token_pattern {step.token_pattern!r}")
    if step.input != "content":
        raise NotExact(f"{type(step).__name__} that reads files")
    if any(not word for term in step.vocabulary_ for word in term.split(" ")):
        raise NotExact(f"{type(step).__name__} with a vocabulary that words cannot make")


def _word_codes(graph: Graph, step: Any, text: str, codes: Mapping[str, int]) -> str:
    """[N,T] int64: the number of each word, in order; as many as the vocabulary has words for all others."""
    flat = graph.op("Reshape", text, np.array([-1]))
    stops = step.get_stop_words() or frozenset()
    other, stop = len(codes), len(codes) + 1
    known = {**codes, **dict.fromkeys((word for word in stops), stop)}
    if step.lowercase:
        _refuse_sigma(graph, text, known)
        known = dict(_spelled(known))
    tokens = graph.words(flat, _expression(_PATTERNS[step.token_pattern], bool(step.lowercase)))
    nothing = np.array([[""]])
    blank = graph.op("Where", graph.op("Equal", text, nothing), nothing, nothing)
    tokens = graph.op("Concat", tokens, blank, axis=1)  # a batch without words has one column, too
    if step.lowercase:
        row = graph.op("Reshape", tokens, np.array([-1]))
        lowered = graph.op("StringNormalizer", row, case_change_action="LOWER", is_case_sensitive=1, locale="C")
        tokens = graph.op("Reshape", lowered, graph.op("Shape", tokens))
    numbers = graph.ml("LabelEncoder", tokens, keys_strings=list(known), values_int64s=list(known.values()),
                       default_int64=other)  # fmt: skip
    return _without(graph, numbers, stop, other) if stops and step.ngram_range[1] > 1 else numbers


def _without(graph: Graph, numbers: str, stop: int, other: int) -> str:
    """Stop words are taken out before neighbours are joined: the others move up, in their order."""
    gone = graph.op("Equal", numbers, np.array(stop))
    ones = graph.op("Add", graph.op("Mul", numbers, np.array(0)), np.array(1))
    place = graph.op("CumSum", ones, np.array(1))
    late = graph.op("Where", gone, graph.op("Add", place, np.array(1 << 40)), place)
    order = graph.ordered(late)
    kept = graph.op("Where", gone, np.array(other), numbers)
    return graph.op("GatherElements", kept, order, axis=1)


def _grams(step: Any, codes: Mapping[str, int]) -> dict[str, Any]:
    """Attributes of a TfIdfVectorizer over numbers of words: all n-grams, shortest first."""
    by_length: dict[int, list[tuple[list[int], int]]] = {}
    for term, column in step.vocabulary_.items():
        grams = [codes[word] for word in term.split(" ")]
        by_length.setdefault(len(grams), []).append((grams, int(column)))
    longest = max(by_length)
    pool: list[int] = []
    starts: list[int] = []
    columns: list[int] = []
    for length in range(1, longest + 1):
        starts.append(len(pool))
        for grams, column in by_length.get(length, []):
            pool += grams
            columns.append(column)
    return {
        "mode": "TF", "min_gram_length": min(by_length), "max_gram_length": longest, "max_skip_count": 0,
        "ngram_counts": starts, "ngram_indexes": columns, "pool_int64s": pool,
    }  # fmt: skip


def _refuse_sigma(graph: Graph, text: str, known: Mapping[str, int]) -> None:
    if any("\u03c3" in word or "\u03c2" in word for word in known):
        graph.refuse(graph.op("RegexFullMatch", text, pattern=f"(?s).*{_SIGMA}.*"))


def _spelled(known: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Every word in each spelling of its letters beyond ASCII whose lower case is that word."""
    count = 0
    for word, number in known.items():
        choices = [_spellings(letter) for letter in word]
        if word.endswith("i"):
            choices[-1] = (*choices[-1], _DOTTED)
        for letters in itertools.product(*choices):
            count += 1
            if count > _MOST_SPELLINGS:
                raise NotExact("a vocabulary beyond ASCII with too many spellings in upper case")
            yield "".join(letters), number


@lru_cache(maxsize=4096)
def _spellings(letter: str) -> tuple[str, ...]:
    return (letter, *_uppers().get(letter, ()))


@lru_cache(maxsize=1)
def _uppers() -> dict[str, tuple[str, ...]]:
    """Letter → those beyond ASCII that become it in lower case."""
    found: dict[str, tuple[str, ...]] = {}
    for code in range(128, sys.maxunicode + 1):
        letter = chr(code)
        low = letter.lower()
        if low != letter and letter not in (_DOTTED, _SIGMA):
            found[low] = (*found.get(low, ()), letter)
    return found


@lru_cache(maxsize=4)
def _expression(least: int, dotted: bool) -> str:
    r"""Python's ``\w`` as ranges of code points. In lower case the dotted capital I ends a word."""
    letters = _ranges(without=_DOTTED if dotted else "")
    word = f"[{letters}]" * least + f"[{letters}]*"
    if not dotted:
        return word
    shortest = f"[{letters}]" if least > 1 else ""
    return f"{word}{_DOTTED}?|{shortest}{_DOTTED}"


def _ranges(without: str) -> str:
    inside = [code for code in range(sys.maxunicode + 1) if _is_word(code) and chr(code) not in without]
    breaks = np.flatnonzero(np.diff(inside) > 1)
    firsts = [inside[0], *(inside[i + 1] for i in breaks)]
    lasts = [*(inside[i] for i in breaks), inside[-1]]
    return "".join(f"\\x{{{a:x}}}-\\x{{{b:x}}}" for a, b in zip(firsts, lasts, strict=True))


def _is_word(code: int) -> bool:
    return code == 0x5F or (not 0xD800 <= code <= 0xDFFF and chr(code).isalnum())


# -- weights -------------------------------------------------------------------------------------------------------


def weighted_counts(graph: Graph, step: Any, frame: Frame) -> Frame:
    """TfidfVectorizer."""
    return weighted(graph, step._tfidf, counts(graph, step, frame))


def weighted(graph: Graph, step: Any, frame: Frame) -> Frame:
    """TfidfTransformer."""
    x = graph.checked(frame)
    if step.sublinear_tf:
        there = graph.op("Greater", x, 0.0)
        x = graph.op("Where", there, graph.op("Add", graph.op("Log", graph.op("Where", there, x, 1.0)), 1.0), x)
    if step.use_idf:
        x = graph.op("Mul", x, np.asarray(step.idf_, np.float64).reshape(1, -1))
    if step.norm is not None:
        x = graph.op("Div", x, _norm(graph, x, step.norm))
    return (Piece(x, width_of(frame), finite=True),)


def _norm(graph: Graph, x: str, name: str) -> str:
    if name == "l2":
        norm = graph.op("Sqrt", graph.op("ReduceSum", graph.op("Mul", x, x), np.array([1]), keepdims=1))
    else:
        norm = graph.op("ReduceSum", graph.op("Abs", x), np.array([1]), keepdims=1)
    return graph.op("Where", graph.op("Equal", norm, 0.0), 1.0, norm)
