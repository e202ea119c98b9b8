"""Relations of a query by the names of temporary views. In: the text as it was written. Out: the text, and where its
pieces went."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlinfer.adapters.spark.session import name
from sqlinfer.errors import Location
from sqlinfer.relation import Relation


@dataclass(frozen=True, slots=True)
class Text:
    sql: str
    pieces: tuple[tuple[int, int, int], ...] = ()
    """Of each renamed relation: where it begins and ends in ``sql``, and by how much it is longer than before."""

    def before(self, at: int) -> int:
        """The place in the original text."""
        number = bisect_right([start for start, _, _ in self.pieces], at) - 1
        if number < 0:
            return at
        start, end, more = self.pieces[number]
        grown = sum(longer for _, _, longer in self.pieces[:number])
        return start - grown if at < end else at - grown - more

    def original(self, place: Location | None, sql: str) -> Location | None:
        if place is None or place.line is None or place.column is None:
            return place
        lines = self.sql.splitlines(keepends=True)[: place.line - 1]
        at = sum(map(len, lines)) + place.column - 1
        start, end = self.before(at), self.before(at + place.length)
        return Location.in_source(sql, start, max(end, start + 1))


def renamed(sql: str, other: Callable[[Relation], str | None]) -> Text:
    """Every relation that stands with its schema: ``schema.name`` and ``spark_catalog.schema.name``.

    ``other``: the name of the view; None: the relation keeps its own.
    """
    out: list[str] = []
    pieces, done, size = [], 0, 0
    for start, end, relation, is_qualifier, has_alias in _qualified(sql):
        new = other(relation)
        if new is None:
            continue
        alias = "" if is_qualifier or has_alias or new.casefold() == relation.name.casefold() else (
            f" AS {name(relation.name)}")  # fmt: skip
        written = (name(relation.name) if is_qualifier else name(new)) + alias
        out += [sql[done:start], written]
        begin = size + start - done
        size, done = begin + len(written), end
        pieces.append((begin, size, len(written) - (end - start)))
    return Text("".join([*out, sql[done:]]), tuple(pieces))


def _qualified(sql: str) -> Iterator[tuple[int, int, Relation, bool, bool]]:
    """Where each begins and ends, whether a column or ``*`` hangs on it, and whether an alias follows."""
    from sqlglot.dialects.spark import Spark
    from sqlglot.errors import SqlglotError
    from sqlglot.tokenizer_core import TokenType

    try:
        tokens = list(Spark().tokenize(sql))
    except SqlglotError:  # Spark says what is wrong
        return
    number = 0
    while number < len(tokens):
        chain = _chain(tokens, number)
        number += max(1, 2 * len(chain) - 1)
        following = tokens[number].token_type if number < len(tokens) else None
        names = [str(token.text) for token in chain if token.token_type != TokenType.STAR]
        count = 3 if len(names) > 2 and names[0].casefold() == "spark_catalog" else 2
        if len(names) < count or (len(chain) == count and following == TokenType.L_PAREN):
            continue  # a column alone, or a function
        relation = Relation(*reversed(names[:count]))
        aliases = (TokenType.ALIAS, TokenType.VAR, TokenType.IDENTIFIER)
        yield chain[0].start, chain[count - 1].end + 1, relation, len(chain) > count, following in aliases


def _chain(tokens: list[Any], number: int) -> list[Any]:
    """Tokens of ``a.b.c`` or ``a.*`` that begin here, without their dots; empty where no name does."""
    from sqlglot.tokenizer_core import TokenType

    if not _is_name(tokens[number]):
        return []
    chain = [tokens[number]]
    while number + 2 < len(tokens) and tokens[number + 1].token_type == TokenType.DOT:
        number += 2
        chain.append(tokens[number])
        if not _is_name(tokens[number]):
            break
    return chain


def _is_name(token: Any) -> bool:
    """A keyword may be one, too."""
    from sqlglot.tokenizer_core import TokenType

    if token.token_type in (TokenType.IDENTIFIER, TokenType.VAR):
        return True
    word = token.text.replace("_", "a")
    return token.token_type not in (TokenType.STRING, TokenType.NUMBER) and word.isalnum() and not word[0].isdigit()
