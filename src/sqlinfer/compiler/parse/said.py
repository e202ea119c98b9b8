"""What sqlglot and the warehouse said about a query, in the user's words and at the user's place."""

from __future__ import annotations

import re

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.errors import ColumnError, CompileError, Location, UnsupportedQuery

_QUOTED = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"|\b(\w+)\(|(?<=: )(\w+)$|Positional reference (?P<number>\d+)")


def in_our_words(message: str, source: Source) -> CompileError:
    """sqlglot's message about a query that it parsed and could not resolve.

    >>> in_our_words("Unknown table: u", Source("select u.* from t")).message
    'no relation is called u here'
    """
    for pattern, kind, words, hint in _KNOWN:
        found = re.search(pattern, message)
        if found is not None:
            groups = [group.strip("\"'") for group in found.groups()]
            place = mentioned(f"'{groups[0]}'" if groups else "", source)
            return kind(words.format(*groups), hint=hint, location=place)
    return UnsupportedQuery(
        "this form of SQL cannot be resolved in a query with predict()",
        hint="put what holds no predict() into a model, a CTE or a subquery of its own",
        location=mentioned(message, source),
    )


_KNOWN: tuple[tuple[str, type[CompileError], str, str | None], ...] = (
    (r"Cannot automatically join: (\S+)", ColumnError, "column '{0}' of USING is not on both sides of the join", None),
    (r"Unknown table: (\S+)", ColumnError, "no relation is called {0} here", None),
    (r"Alias already used: (\S+)", CompileError, "two relations are called {0}", "give each an alias of its own"),
    (
        r"Invalid set operation due to column mismatch",
        CompileError,
        "the two sides of a set operation have different numbers of columns",
        None,
    ),
    (r"Scope requires a FROM|Expected .*FROM", CompileError, "the query reads no relation", None),
)


def mentioned(message: str, source: Source) -> Location:
    """Where the query holds the first word that the message names; else the query's first line."""
    for match in _QUOTED.finditer(message):
        word = next(group for group in match.groups() if group)
        word = f"#{word}" if match["number"] else word.split("(")[0] or word
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", source.sql, re.IGNORECASE)
        if found:
            return source.place(*found.span())
    lead = len(source.sql) - len(source.sql.lstrip())
    return source.place(lead, len(source.sql)) if source.sql.strip() else Location(source.path)
