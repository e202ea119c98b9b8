"""Relations of a query under other names. In: the text, as it was written. Out: the text, and where its pieces went."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlinfer.relation import Relation, quote

Other = Callable[[Relation], Relation | None]
"""The other name of a relation that is spelt with its schema; None: it keeps its own."""


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


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    end: int
    relation: Relation
    is_qualifier: bool
    """Whether a column or ``*`` hangs on it."""
    has_alias: bool


def renamed(sql: str, database: str, other: Other, *, statements: bool = False) -> Text:
    """Every relation that stands with its schema, so that it cannot be a column or an alias.

    Where the last part of its name becomes another one, the old one becomes its alias.

    Args:
        statements: a list of columns may follow a relation; else what stands before a parenthesis is a function.
    """
    out: list[str] = []
    pieces, done, size = [], 0, 0
    for found in _qualified(sql, database, statements):
        new = other(found.relation)
        if new is None:
            continue
        text = _spelled(found, new)
        out += [sql[done : found.start], text]
        begin = size + found.start - done
        size, done = begin + len(text), found.end
        pieces.append((begin, size, len(text) - (found.end - found.start)))
    return Text("".join([*out, sql[done:]]), tuple(pieces))


def _spelled(found: _Found, new: Relation) -> str:
    name = quote(found.relation.name)
    if found.is_qualifier:
        return name
    alias = "" if found.has_alias or new.name == found.relation.name else f" AS {name}"
    return new.sql() + alias


def _qualified(sql: str, database: str, statements: bool) -> Iterator[_Found]:
    """``schema.name`` and ``database.schema.name``, as relations and in front of a column."""
    from sqlglot.errors import SqlglotError
    from sqlglot.tokenizer_core import TokenType

    try:
        tokens = _tokens(sql)
    except SqlglotError:  # the server says what is wrong
        return
    aliases, number = (TokenType.ALIAS, TokenType.VAR, TokenType.IDENTIFIER), 0
    while number < len(tokens):
        chain = _chain(tokens, number)
        number += max(1, 2 * len(chain) - 1)
        following = tokens[number].token_type if number < len(tokens) else None
        names = [_folded(token) for token in chain if token.token_type != TokenType.STAR]
        count = 3 if len(names) > 2 and names[0] == database else 2
        if len(names) < count or (len(chain) == count and following == TokenType.L_PAREN and not statements):
            continue  # a column alone, or a function
        relation = Relation(*reversed(names[:count]))
        yield _Found(chain[0].start, chain[count - 1].end + 1, relation, len(chain) > count, following in aliases)


def _tokens(sql: str) -> list[Any]:
    from sqlglot.dialects.postgres import Postgres

    return list(Postgres().tokenize(sql))


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
    word = token.text.replace("_", "a").replace("$", "a")
    return token.token_type not in (TokenType.STRING, TokenType.NUMBER) and word.isalnum() and not word[0].isdigit()


def _folded(token: Any) -> str:
    """As PostgreSQL reads it: a name without quotes in lower case."""
    from sqlglot.tokenizer_core import TokenType

    return str(token.text) if token.token_type == TokenType.IDENTIFIER else str(token.text).lower()
