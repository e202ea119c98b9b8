"""Calls with very many arguments: the work grows as the columns do. Calls of functions are counted, not seconds."""

from __future__ import annotations

import sys
import threading
from typing import Any

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query
from sqlinfer.compiler.plan.column_lineage import column_lineage
from sqlinfer.compiler.plan.predictions import predicted_columns
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog, Column, Table
from sqlinfer.spec.function import Argument, FunctionContract, Output


def work(columns: int) -> int:
    """How many functions are called until a query with so many columns is planned."""
    names = [f"c{i}" for i in range(columns)]
    contract = FunctionContract(
        "f", "f" * 64, tuple(Argument(f"a{i}", "DOUBLE") for i in range(columns)), (Output("value", "DOUBLE"),)
    )
    relation = Relation("t", "main", "memory")
    table = Table(relation, tuple(Column(name, "FLOAT") for name in ("id", *names)))
    catalog = Catalog("duckdb", Relation("", "main", "memory"), {relation: table}, {"f": contract})
    source = Source(
        f"select id, f({', '.join(names)}) as p from (select * from (select id, {', '.join(names)} from t))"
    )
    counted = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    threading.setprofile(count)  # a query is planned in a thread of its own
    sys.setprofile(count)
    try:
        plan = compile_query(source, catalog, node="n")
        lineage = column_lineage(plan, {"f": contract})
        predicted = predicted_columns(plan)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    assert predicted == ("p",)
    (found,) = next(one for one in lineage if one.column == "p").calls
    assert [origins[0].column for _, origins in found.arguments] == names
    return counted


def test_four_times_the_columns_are_four_times_the_work() -> None:
    work(10)  # what is imported and remembered once
    assert work(200) < 5 * work(50)
