"""Texts as categories: where a graph takes codes instead of strings, the warehouse reads them as an ENUM.

Then one byte a value crosses over instead of a text, and nobody hashes texts again (measured for eight columns of
thirteen categories: a fifth of the CPU seconds that everything but the graph takes).
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.scratch import make_scratch, scratch_type
from sqlinfer.relation import literal, quote

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

MOST = 10_000
"""Categories of one ENUM."""


def as_enums(
    work: DuckDBWorkspace, categories: Mapping[str, Sequence[str]], carried: Container[str] = ()
) -> dict[str, str]:
    """Argument column → SQL of the same name that reads it as an ENUM. ``carried`` columns are needed as they are.

    Each list of words becomes a type with a name until the node is done: spelled out in the query, they would take
    longer to plan than the query takes to read them.

    Args:
        categories: those of an ``OpenScorer``.
    """
    wanted = {name: words for name, words in categories.items() if len(words) <= MOST and name not in carried}
    if wanted:
        make_scratch(work)
    return {name: _read_as(work, quote(name), words) for name, words in wanted.items()}


def select(names: Iterable[str], enums: Mapping[str, str]) -> str:
    return ", ".join(f"{enums[name]} AS {quote(name)}" if name in enums else quote(name) for name in names)


def _read_as(work: DuckDBWorkspace, column: str, words: Sequence[str]) -> str:
    other = "other"
    while other in words:
        other += "_"
    spelled = ", ".join(literal(word) for word in (*words, other))
    kind = scratch_type(hashlib.sha256(spelled.encode(errors="surrogatepass")).hexdigest()[:32]).sql()
    work.execute(f"CREATE TYPE IF NOT EXISTS {kind} AS ENUM ({spelled})")
    return (
        f"CASE WHEN {column} IS NOT NULL "
        f"THEN coalesce(TRY_CAST({column} AS {kind}), CAST({literal(other)} AS {kind})) END"
    )
