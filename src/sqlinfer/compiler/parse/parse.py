"""SQL text → one sqlglot query, in dialects whose PREDICT is an ordinary function name.

Nesting is bounded before sqlglot sees the text: its recursive descent would overflow the stack.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError as SqlglotParseError
from sqlglot.errors import SqlglotError, TokenError
from sqlglot.tokenizer_core import TokenType

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.errors import Location, ParseError, UnsupportedQuery, UsageError

MAX_DEPTH = 120
"""Nested parentheses, brackets, CASE … END and prefix operators; recursion takes about eight frames for each."""
MAX_TOKENS = 2_000_000

SPAN = "span"
"""Metadata of an expression: its place in the text, in the dialects of ``PLACED``."""
PLACED = ("postgres", "spark")
"""Dialects of warehouses that tell no parse tree."""
_PLACING = (
    "_parse_disjunction", "_parse_conjunction", "_parse_equality", "_parse_comparison", "_parse_range",
    "_parse_bitwise", "_parse_term", "_parse_factor", "_parse_exponent", "_parse_unary", "_parse_type",
    "_parse_column", "_parse_primary",
)  # fmt: skip

_OPEN = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSE = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_PREFIX = {TokenType.NOT, TokenType.DASH, TokenType.TILDE, TokenType.PLUS}


@lru_cache(maxsize=32)
def dialect_of(name: str) -> Dialect:
    """sqlglot's dialect of that name, without its own PREDICT function (at most three arguments, other spelling)."""
    base = Dialect.get_or_raise(name)
    parser = base.parser_class
    if not inspect.isfunction(parser.parse):
        raise UsageError(
            "sqlglot was imported in its compiled form, which sqlinfer cannot extend",
            hint="import sqlinfer before sqlglot, or uninstall sqlglotc",
        )

    class Parser(parser):  # type: ignore[valid-type, misc]
        FUNCTIONS = {key: value for key, value in parser.FUNCTIONS.items() if key != "PREDICT"}  # noqa: RUF012
        FUNCTION_PARSERS = parser.FUNCTION_PARSERS | {"PREDICT": _parse_predict}
        LAMBDAS = parser.LAMBDAS | {TokenType.FARROW: _parse_named}

    if name == "spark":  # CAST fails under ANSI, TRY_CAST does not: sqlglot takes both for the second
        Parser.STRICT_CAST = True
    if name in PLACED:
        for method in _PLACING:
            setattr(Parser, method, _placed(getattr(parser, method)))
    ours = type(base)()
    ours.__dict__["parser_class"] = Parser
    return ours


def _placed(method: Callable[..., exp.Expr | None]) -> Callable[..., exp.Expr | None]:
    """The method, noting where in the text the expression stands that it gives."""

    def noting(parser: Any, *args: Any, **more: Any) -> exp.Expr | None:
        first = parser._index
        node = method(parser, *args, **more)
        if node is not None and not args and more.get("this") is None and parser._index > first:
            node.meta[SPAN] = parser._tokens[first].start, parser._tokens[parser._index - 1].end + 1
        return node

    return noting


def _parse_predict(parser: Any) -> exp.Expr:
    """BigQuery's ``PREDICT(MODEL f, …)`` means the same in every dialect, any other PREDICT is an ordinary call."""
    name = parser._tokens[parser._index - 2]
    following = parser._tokens[parser._index + 1 : parser._index + 2]
    if following and following[0].token_type != TokenType.L_PAREN and parser._match_text_seq("MODEL"):
        model = parser._parse_table()
        parser._match(TokenType.COMMA)
        parser._match_text_seq("TABLE")
        rows, options = parser._parse_table(), parser._match(TokenType.COMMA) and parser._parse_bitwise()
        call: exp.Expr = exp.Predict(this=model, expression=rows, params_struct=options or None)
    else:
        call = exp.Anonymous(this=name.text, expressions=parser._parse_function_args(True))
    if parser._curr is None or parser._curr.token_type != TokenType.R_PAREN:
        parser.raise_error("Expecting )")  # sqlglot asks this only of functions that it parses itself
    return call.update_positions(name)


def _parse_named(parser: Any, names: list[exp.Expr]) -> exp.Expr:
    """``"Monthly Charges" => x``: sqlglot's own forgets the quotes."""
    name = names[0] if names[0].args.get("quoted") else exp.var(names[0].name)
    value = parser._parse_disjunction() or parser._parse_select()
    return parser.expression(exp.Kwarg(this=name, expression=value))  # type: ignore[no-any-return]


def parse(source: Source, dialect: str) -> exp.Query:
    """One query.

    Raises:
        ParseError: the text does not parse, is empty, or holds several statements.
        UnsupportedQuery: it is nested too deep, or it is no SELECT.
    """
    ours, sql = dialect_of(dialect), source.sql
    check_depth(source, dialect)
    try:
        parsed = ours.parser().parse(ours.tokenize(sql), sql)
    except SqlglotParseError as error:
        raise _translated(error, source) from error
    except RecursionError:
        raise UnsupportedQuery("the SQL is nested too deep", hint="split it into CTEs or models") from None
    except SqlglotError as error:
        raise ParseError(f"the SQL does not parse: {error}", location=Location(source.path)) from error
    # what follows the last semicolon may be a comment
    statements = [s for s in parsed if s is not None and not isinstance(s, exp.Semicolon)]
    if len(statements) != 1:
        what = "holds several statements" if statements else "is empty"
        raise ParseError(f"the SQL {what}", hint="a model is one SELECT", location=Location(source.path))
    query = statements[0]
    if isinstance(query, exp.Subquery) and not query.args.get("alias"):
        query = query.unnest()
    if isinstance(query, exp.Values):
        query = _selected(query)
    if not isinstance(query, exp.Query):
        raise UnsupportedQuery(f"a model is one SELECT, this is {query.key.upper()}", location=source.place(0, 1))
    _joins_of_the_query(query)
    return query


def known_tree(sql: str, dialect: str) -> exp.Expr | None:
    """SQL that the warehouse takes, to look into: None where sqlglot does not know it."""
    try:
        return sqlglot.parse_one(sql, dialect=dialect)
    except SqlglotError:
        return None


def _selected(values: exp.Values) -> exp.Select:
    """``values (1), (2) order by 1`` is a query, too."""
    query = exp.select("*", copy=False)
    for key in ("with_", "order", "limit", "offset"):
        query.set(key, values.args.get(key))
        values.set(key, None)
    values.set("alias", exp.TableAlias(this=exp.to_identifier("valueslist")))
    return query.from_(values, copy=False)


def _joins_of_the_query(query: exp.Query) -> None:
    """``from a join b on … select …``: sqlglot gives the joins to a, where those of a query are the SELECT's."""
    for select in query.find_all(exp.Select):
        clause = select.args.get("from_")
        if clause is None:
            continue
        for key in ("joins", "laterals"):
            if found := clause.this.args.get(key):
                clause.this.set(key, None)
                select.set(key, [*found, *(select.args.get(key) or [])])


_STATEMENTS = ("PIVOT", "PIVOT_WIDER", "UNPIVOT", "PIVOT_LONGER", "SUMMARIZE", "DESCRIBE", "SHOW")


def is_statement(sql: str, dialect: str) -> bool:
    """Whether the text as a whole is a PIVOT or UNPIVOT in its short form."""
    stream = _tokens(sql, dialect)
    return bool(stream) and stream[0].text.upper() in _STATEMENTS[:4]


def _tokens(sql: str, dialect: str) -> list[Any]:
    """Empty where the text cannot be read: what parses it says so."""
    try:
        return list(dialect_of(dialect).tokenize(sql))
    except TokenError:
        return []


def statement_after_with(sql: str, dialect: str) -> tuple[int, int] | None:
    """Where ``pivot …`` stands in ``with c as (…) pivot …``."""
    stream = [token for token in _tokens(sql, dialect) if token.token_type != TokenType.SEMICOLON]
    depth = 0
    for token in stream if stream and stream[0].token_type == TokenType.WITH else ():
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth == 0 and token.token_type in (TokenType.SELECT, TokenType.FROM, TokenType.VALUES):
            return None
        if depth == 0 and token.text.upper() in _STATEMENTS[:4]:
            return token.start, stream[-1].end + 1
    return None


def statements_in_parentheses(sql: str, dialect: str) -> list[tuple[int, int]]:
    """Where ``(pivot …)`` and the like stand, without the parentheses; the outermost ones."""
    stream = _tokens(sql, dialect)
    found: list[tuple[int, int]] = []
    for index, token in enumerate(stream[:-2]):
        opened = token.token_type == TokenType.L_PAREN and (not found or token.start >= found[-1][1])
        if not opened or stream[index + 1].text.upper() not in _STATEMENTS:
            continue
        if stream[index + 2].token_type in (TokenType.R_PAREN, TokenType.COMMA, TokenType.DOT):
            continue  # a name
        depth = 0
        for other in stream[index:]:
            depth += (other.token_type == TokenType.L_PAREN) - (other.token_type == TokenType.R_PAREN)
            if not depth:
                found.append((stream[index + 1].start, other.start))
                break
    return found


def stars_of_calls(sql: str, dialect: str) -> list[tuple[int, int]]:
    """Where ``(f(x)).*`` and ``f(x).*`` stand: what is before the dot."""
    stream = _tokens(sql, dialect)
    found: list[tuple[int, int]] = []
    for index, token in enumerate(stream[:-2]):
        ahead = [other.token_type for other in stream[index : index + 3]]
        if ahead != [TokenType.R_PAREN, TokenType.DOT, TokenType.STAR]:
            continue
        depth, start = 0, index
        for start in range(index, -1, -1):
            kind = stream[start].token_type
            depth += (kind == TokenType.R_PAREN) - (kind == TokenType.L_PAREN)
            if not depth:
                break
        if start and stream[start - 1].end + 1 == stream[start].start and stream[start - 1].text.isidentifier():
            start -= 1
        found.append((stream[start].start, token.end + 1))
    return found


def check_depth(source: Source, dialect: str) -> None:
    """
    Raises:
        ParseError: the text has no tokens.
        UnsupportedQuery: it is nested too deep for any parser that recurses.
    """
    try:
        stream = dialect_of(dialect).tokenize(source.sql)
    except TokenError as error:
        raise ParseError(
            f"the SQL does not parse: {_first_line(str(error))}", location=Location(source.path)
        ) from error
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
                location=source.place(token.start, token.end + 1),
            )


def _translated(error: SqlglotParseError, source: Source) -> ParseError:
    first = error.errors[0] if error.errors else {}
    line, column = first.get("line"), first.get("col")
    text = first.get("highlight") or ""
    lines = source.sql.splitlines(keepends=True)
    location = Location(source.path)
    if line and column and line <= len(lines):
        length = max(1, len(text.splitlines()[0])) if text else 1
        # sqlglot counts a token's column at its end
        end = sum(len(item) for item in lines[: line - 1]) + column
        location = source.place(max(0, end - length), end)
    reason = first.get("description") or _first_line(str(error))
    if "SENTINEL" in reason:
        reason = "the query ends too early"
    return ParseError(f"the SQL does not parse: {reason}", location=location)


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else text
