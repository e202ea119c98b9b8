"""SQL and identifiers: each query is refused with one message at its place, or is compiled; nothing crashes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sqlinfer.catalog import ProjectCompiler
from sqlinfer.errors import CompileError, Location, SqlinferError

P = "predict('score', x, y)"


@dataclass(frozen=True)
class Wrong:
    id: str
    sql: str
    message: str
    line: int | None = 1
    under: str | None = None
    hint: str | None = None


CASES = [
    # functions and their arguments
    Wrong("unknown function", "select predict('scroe', x, y) from customers", "unknown function 'scroe'", 1,
          "predict('scroe', x, y)", "score"),
    Wrong("function by another case and dash", "select predict('my-score', x, y) from customers", "unknown function"),
    Wrong("function of another schema", "select predict('main.score', x, y) from customers", "unknown function"),
    Wrong("empty function name", "select predict('', x, y) from customers", "unknown function"),
    Wrong("function name with a quote", "select predict('sc''ore', x, y) from customers", "unknown function 'sc'ore'"),
    Wrong("function name with SQL in it", "select predict('score'';drop table customers;--', x, y) from customers",
          "unknown function"),
    Wrong("function name as a homoglyph", "select predict('sc\u043ere', x, y) from customers", "unknown function", 1, None,
          "score"),
    Wrong("function name as a column", "select predict(name, x, y) from customers", "unknown function 'name'"),
    Wrong("function name as an expression", "select predict('sco' || 're', x, y) from customers", "function's name as a string"),
    Wrong("function name as a number", "select predict(1, x, y) from customers", "function's name as a string"),
    Wrong("no function name", "select predict() from customers", "name of a function"),
    Wrong("too few arguments", "select predict('score', x) from customers", "takes 2 arguments, 1 given", 1),
    Wrong("too many arguments", "select\n  predict('score', x, y, x) from customers", "takes 2 arguments, 3 given", 2),
    Wrong("too few arguments of a direct call", "select score(x) from customers", "takes 2 arguments, 1 given", 1, "score(x)"),
    Wrong("unknown named argument", "select predict('score', x => x, yy => y) from customers", "no argument 'yy'", 1),
    Wrong("unknown argument with :=", "select predict('score', x := x, q := y) from customers", "no argument 'q'", 1),
    Wrong("argument twice", "select predict('score', x => x, X => y) from customers", "given twice"),
    Wrong("star without the columns", "select predict('score', t.*) from (select x from customers) t", "unknown column 'y'", None),
    Wrong("star of an unknown table", "select predict('score', u.*) from customers t", "u"),
    Wrong("window on predict", f"select {P} over () from customers", "over"),
    Wrong("filter on predict", f"select {P} filter (where x > 1) from customers", "filter"),
    Wrong("distinct inside predict", "select predict('score', distinct x, y) from customers", ""),
    Wrong("a field that a scalar has not", "select predict('score', x, y).label from customers", "label"),
    # types
    Wrong("date for a number", "select predict('score', x, date '2026-01-01') from customers", "is date"),
    Wrong("timestamp for a number", "select predict('score', x, timestamp '2026-01-01 00:00:00') from customers", "timestamp"),
    Wrong("interval for a number", "select predict('score', x, interval 1 day) from customers", "interval"),
    Wrong("blob for a number", "select predict('score', x, 'a'::blob) from customers", "blob"),
    Wrong("list for a number", "select predict('score', x, [y]) from customers", "[]"),
    Wrong("struct for a number", "select predict('score', x, {'a': y}) from customers", "struct"),
    Wrong("map for a number", "select predict('score', x, map {'a': y}) from customers", "map"),
    # columns and tables
    Wrong("unknown column", "select id,\n  predict('score', x, tenure) from customers", "unknown column 'tenure'", 2, "tenure"),
    Wrong("nearly a column", "select nme, predict('score', x, y) from customers", "unknown column 'nme'", 1, "nme", "name"),
    Wrong("unknown column in where", f"select {P} from customers where agee > 3", "unknown column 'agee'", 1, "agee"),
    Wrong("unknown column in order by", f"select {P} as s from customers order by agee", "agee", 1),
    Wrong("unknown column in group by", f"select {P} as s from customers group by agee", "agee", 1),
    Wrong("unknown qualifier", f"select c.id, {P} from customers d", "c", 1),
    Wrong("ambiguous column", "select predict('score', a.x, y) from customers a join customers b on a.id = b.id", "ambiguous",
          1, "y"),
    Wrong("unknown table", f"select {P} from custmers", "relation 'custmers' does not exist", 1, "custmers", "customers"),
    Wrong("unknown schema", f"select {P} from nowhere.customers", "nowhere", 1),
    Wrong("unknown catalog", f"select {P} from lab.main.customers", "lab", 1),
    Wrong("unknown table in a subquery", f"select {P} from customers where id in (select id from gone)", "gone", 1),
    Wrong("unknown table in a CTE", f"with c as (select * from gone) select {P} from c", "gone", 1),
    Wrong("unknown column of a CTE", "with c as (select id from customers)\nselect predict('score', x, id) from c", "'x'", 2),
    Wrong("unknown file", f"select {P} from 'nowhere.parquet'", "nowhere.parquet", None),
    Wrong("unknown table, plain", "select id\nfrom custmers", "custmers", 2, "custmers"),
    Wrong("unknown column, plain", "select id,\n  agee\nfrom customers", "agee", 2, "agee"),
    Wrong("unknown function, plain", "select id,\n  scroe(x, y)\nfrom customers", "scroe", 2, "scroe", "score"),
    # positions
    Wrong("in a lambda", "select list_transform([x], v -> predict('score', v, v)) from customers", "lambda"),
    Wrong("in a list comprehension", "select [predict('score', v, v) for v in [x]] from customers", "list comprehension"),
    Wrong("in a recursive CTE", "with recursive r as (select 1.0 as x union all select predict('score', x, x) from r "
          "where x < 9) select * from r", "recursive"),
    Wrong("aggregate inside where", f"select {P} from customers where sum(x) > 1", "aggregates", 1),
    Wrong("aggregate of an aggregate", "select sum(sum(predict('score', x, y))) from customers", "nested", 1),
    Wrong("predict of an aggregate beside a column", "select id, predict('score', sum(x), 1.0) from customers", "id", 1),
    # text that is no query
    Wrong("does not parse", f"select {P} frm customers c", "does not parse", 1),
    Wrong("missing comma", "select predict('score', x y) from customers", "does not parse", 1, "y"),
    Wrong("missing parenthesis", "select predict('score', x, y from customers", "does not parse", 1),
    Wrong("one parenthesis too many", f"select {P}) from customers", "does not parse", 1),
    Wrong("missing from", f"select {P} customers c where", "", 1),
    Wrong("unclosed quote", "select predict('score, x, y) from customers", "does not parse", None),
    Wrong("unclosed identifier", f'select "id, {P} from customers', "does not parse", None),
    Wrong("unclosed comment", f"select {P} /* from customers", "", None),
    Wrong("unclosed dollar quote", f"select $$a, {P} from customers", "does not parse", None),
    Wrong("a backslash", f"select \\ {P} from customers", "", None),
    Wrong("two statements", f"select {P} from customers; select 1", "several statements", None),
    Wrong("statement behind a comment", f"select {P} from customers; -- x\ndrop table customers", "several statements", None),
    Wrong("drop", "drop table customers", "", None),
    Wrong("drop behind a semicolon, plain", "select 1; drop table customers", "", None),
    Wrong("insert", f"insert into customers select id, {P}, 1, 'a' from customers", "one SELECT", 1),
    Wrong("update", f"update customers set x = {P}", "one SELECT", 1),
    Wrong("delete", f"delete from customers where {P} > 1", "one SELECT", 1),
    Wrong("create", f"create table t as select {P} from customers", "one SELECT", 1),
    Wrong("attach", f"attach 'other.duckdb'; select {P} from customers", "several statements", None),
    Wrong("copy", f"copy (select {P} from customers) to 'stolen.csv'", "one SELECT", 1),
    Wrong("set", f"set threads = {P}", "one SELECT", 1),
    Wrong("pragma", "pragma database_list", "", None),
    Wrong("delete inside a CTE", f"with d as (delete from customers returning *) select {P} from d", "", 1),
    Wrong("only a comment", "-- predict('score', x, y)", "is empty", None),
    Wrong("only a semicolon", ";", "", None),
    Wrong("only blanks", " \n\t", "is empty", None),
    Wrong("values that do not agree", f"select {P} from (values (1, 2), (3)) t(x, y)", "", None),
    Wrong("union that does not agree", f"select {P} from customers union all select 1, 2", "", None),
    # depth and size
    Wrong("200 parentheses", f"select {'(' * 200}{P}{')' * 200} from customers", "nested more than"),
    Wrong("20,000 parentheses", f"select {'(' * 20_000}{P}{')' * 20_000} from customers", "nested more than"),
    Wrong("20,000 subqueries", f"{'select * from (' * 20_000}select {P} from customers{')' * 20_000}", "nested more than"),
    Wrong("20,000 brackets", f"select {'[' * 20_000}{P}{']' * 20_000} from customers", "nested more than"),
    Wrong("20,000 cases", f"select {'case when x > 1 then ' * 20_000}{P}{' end' * 20_000} from customers", "nested more than"),
    Wrong("20,000 minus signs", f"select {'- ' * 20_000}{P} from customers", "nested more than"),
    Wrong("20,000 nots", f"select {'not ' * 20_000}{P} > 1 from customers", "nested more than"),
    Wrong("2,000 predicts inside each other", "select "
          + "predict('score', x, " * 2_000 + "y" + ")" * 2_000 + " from customers", "nested more than"),
    Wrong("20,000 parentheses, plain", f"select {'(' * 20_000}1{')' * 20_000}", "DuckDB: ", None),
    Wrong("20,000 subqueries, plain", f"{'select * from (' * 20_000}select 1{')' * 20_000}", "DuckDB: ", None),
]  # fmt: skip


def place(error: SqlinferError) -> Location:
    assert error.location is not None, str(error)
    return error.location


@pytest.mark.parametrize("wrong", CASES, ids=lambda wrong: wrong.id)
def test_a_query_is_refused_at_its_place(wrong: Wrong, compiler: ProjectCompiler) -> None:
    with pytest.raises(SqlinferError) as caught:
        compiler.inline(wrong.sql)
    error = caught.value
    assert isinstance(error, CompileError), error
    assert wrong.message.casefold() in error.message.casefold(), error
    if wrong.line is not None:
        assert place(error).line == wrong.line, error
    if wrong.under is not None:
        where = place(error)
        assert where.text is not None
        assert where.column is not None
        assert where.text[where.column - 1 : where.column - 1 + where.length] == wrong.under, error
    if wrong.hint is not None:
        assert wrong.hint in (error.hint or ""), error
    assert len(str(error)) < 2_000


FINE = [
    ("reserved words, quoted", f'select {P} as "select", id as "from" from customers'),
    ("a quote in a name", f'select {P} as "a""b" from customers'),
    ("a semicolon in a name", f'select {P} as "a; drop table customers; --" from customers'),
    ("emoji", f'select {P} as "🙂" from customers'),
    ("right to left", f'select {P} as "שלום" from customers'),
    ("a name of 300 letters", f'select {P} as {"a" * 300} from customers'),
    ("names that differ in case only", f'select {P} as "S", id as "s2" from customers'),
    ("a comment in the call", "select predict('score', /* the first */ x, -- the second\n y) from customers"),
    ("a semicolon at the end", f"select {P} from customers;"),
    ("predict in a string", "select 'predict(''nothing'', x)' as s, id from customers"),
    ("a literal of 1 MB", f"select {P} as s, '{'a' * 1_000_000}' as big from customers"),
    ("200 columns", f"select {P} as s, " + ", ".join(f"x + {i} as c{i}" for i in range(200)) + " from customers"),
    ("a chain of 300 additions", f"select {' + '.join([P] * 2)} + {' + '.join(['x'] * 300)} as s from customers"),
    ("100 parentheses", f"select {'(' * 100}{P}{')' * 100} as s from customers"),
    ("dollar quotes", f"select {P} as s, $$it's$$ as t from customers"),
    ("Windows line ends", f"select {P} as s\r\nfrom customers\r\n"),
    ("unicode blanks in strings", f"select {P} as s, '\u00a0\u200b\u2028' as t from customers"),
]  # fmt: skip


@pytest.mark.parametrize("sql", [sql for _, sql in FINE], ids=[name for name, _ in FINE])
def test_odd_but_right_queries_compile(sql: str, compiler: ProjectCompiler) -> None:
    assert compiler.inline(sql).columns
