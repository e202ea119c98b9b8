"""SQL text → one sqlglot query, in dialects whose PREDICT is an ordinary function name.

Nesting is bounded before sqlglot sees the text: its recursive descent would overflow the stack.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlglot import exp, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError as SqlglotParseError
from sqlglot.errors import SqlglotError, TokenError

from sqlinfer.errors import Location, ParseError, UnsupportedQuery

MAX_DEPTH = 120
"""Nested parentheses, brackets, CASE … END and prefix operators; recursion takes about eight frames for each."""
MAX_TOKENS = 2_000_000

_OPEN = {tokens.TokenType.L_PAREN, tokens.TokenType.L_BRACKET, tokens.TokenType.L_BRACE, tokens.TokenType.CASE}
_CLOSE = {tokens.TokenType.R_PAREN, tokens.TokenType.R_BRACKET, tokens.TokenType.R_BRACE, tokens.TokenType.END}
_PREFIX = {tokens.TokenType.NOT, tokens.TokenType.DASH, tokens.TokenType.TILDE, tokens.TokenType.PLUS}


@lru_cache(maxsize=32)
def dialect_of(name: str) -> Dialect:
    """sqlglot's dialect of that name, without its own PREDICT function (at most three arguments, other spelling)."""
    base = Dialect.get_or_raise(name)
    parser = base.parser_class

    class Parser(parser):  # type: ignore[valid-type, misc]
        FUNCTIONS = {key: value for key, value in parser.FUNCTIONS.items() if key != "PREDICT"}  # noqa: RUF012
        FUNCTION_PARSERS = parser.FUNCTION_PARSERS | (  # noqa: RUF012
            {"PREDICT": _parse_predict} if "PREDICT" in parser.FUNCTION_PARSERS else {}
        )

    ours = type(base)()
    ours.__dict__["parser_class"] = Parser
    return ours


def _parse_predict(parser: Any) -> exp.Expr:
    """BigQuery: ``PREDICT(MODEL f, …)`` is its own, any other PREDICT is ours."""
    if parser._match_text_seq("MODEL", advance=False):
        return parser._parse_ml(exp.Predict)  # type: ignore[no-any-return]
    return exp.Anonymous(this="predict", expressions=parser._parse_csv(parser._parse_lambda))


def parse(sql: str, dialect: str, *, path: Path | None = None) -> exp.Query:
    """One query.

    Raises:
        ParseError: the text does not parse, is empty, or holds several statements.
        UnsupportedQuery: it is nested too deep, or it is no SELECT.
    """
    ours = dialect_of(dialect)
    _check_depth(sql, ours, path)
    try:
        statements = [s for s in ours.parser().parse(ours.tokenize(sql), sql) if s is not None]
    except SqlglotParseError as error:
        raise _translated(error, sql, path) from error
    except RecursionError:
        raise UnsupportedQuery("the SQL is nested too deep", hint="split it into CTEs or models") from None
    except SqlglotError as error:
        raise ParseError(f"the SQL does not parse: {error}", location=Location(path)) from error
    if len(statements) != 1:
        what = "holds several statements" if statements else "is empty"
        raise ParseError(f"the SQL {what}", hint="a model is one SELECT", location=Location(path))
    query = statements[0]
    if isinstance(query, exp.Subquery) and not query.args.get("alias"):
        query = query.unnest()
    if not isinstance(query, exp.Query):
        raise UnsupportedQuery(
            f"a model is one SELECT, this is {query.key.upper()}", location=Location.in_source(sql, 0, 1, path)
        )
    return query


def _check_depth(sql: str, dialect: Dialect, path: Path | None) -> None:
    try:
        stream = dialect.tokenize(sql)
    except TokenError as error:
        raise ParseError(f"the SQL does not parse: {_first_line(str(error))}", location=Location(path)) from error
    if len(stream) > MAX_TOKENS:
        raise UnsupportedQuery(f"the SQL has more than {MAX_TOKENS} tokens")
    depth = prefix = 0
    for token in stream:
        kind = token.token_type
        prefix = prefix + 1 if kind in _PREFIX else 0
        depth += (kind in _OPEN) - (kind in _CLOSE)
        if depth + prefix > MAX_DEPTH:
            raise UnsupportedQuery(
                f"the SQL is nested more than {MAX_DEPTH} levels deep",
                hint="split it into CTEs or models",
                location=Location.in_source(sql, token.start, token.end + 1, path),
            )


def _translated(error: SqlglotParseError, sql: str, path: Path | None) -> ParseError:
    first = error.errors[0] if error.errors else {}
    line, column = first.get("line"), first.get("col")
    text = first.get("highlight") or ""
    lines = sql.splitlines()
    location = Location(path)
    if line and column and line <= len(lines):
        length = max(1, len(text.splitlines()[0])) if text else 1
        # sqlglot counts a token's column at its end
        begin = max(1, column - length + 1)
        location = Location(path, line, begin, length, lines[line - 1])
    reason = first.get("description") or _first_line(str(error))
    if "SENTINEL" in reason:
        reason = "the query ends too early"
    return ParseError(f"the SQL does not parse: {reason}", location=location)


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else text
