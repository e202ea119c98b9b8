"""Functions as vectorised UDFs of a DuckDB connection. In: prepared functions. Out: names that any SQL can call.

A batch of at most DuckDB's vector size goes through the same session that a run uses, after the same casts, so the
results are the same; a run is faster because it batches as the model likes and scores each distinct input once.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from sqlinfer.adapters.duckdb.macros import create_macro, has_function
from sqlinfer.compiler.calls.casts import cast_argument, status
from sqlinfer.compiler.calls.fits import never
from sqlinfer.relation import literal, quote
from sqlinfer.spec.function import Argument, FunctionContract, PreparedFunction
from sqlinfer.spec.outcome import Outcome, Reason, said_of
from sqlinfer.spec.plan import NULL_INPUT, Counts

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.inference.passes import Passes

_ROW = "_sqlinfer_row"
_LOG = logging.getLogger("sqlinfer")


class Registered(tuple[str, ...]):
    """The names of the functions that were registered; ``outcomes`` is what became of their inputs so far."""

    _tallies: Mapping[str, Tally]

    @classmethod
    def of(cls, tallies: Mapping[str, Tally]) -> Registered:
        names = cls(tallies)
        names._tallies = tallies
        return names

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Name of a function → its inputs since it was registered, those without a prediction and why."""
        return {name: tally.outcome for name, tally in self._tallies.items()}


class Tally:
    """Counts the inputs of one function; DuckDB calls from several threads."""

    def __init__(self, function: str) -> None:
        self.function = function
        self._inputs = self._nulls = 0
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    @property
    def outcome(self) -> Outcome:
        with self._lock:
            reasons = tuple(Reason(self.function, *said, count) for said, count in self._reasons.most_common())
            errors = self._reasons.total()
            scored = self._inputs - self._nulls - errors
            counts = Counts(self._inputs, scored, null_inputs=self._nulls, errors=errors)
        return Outcome.of(counts, reasons)

    def add(self, inputs: int, nulls: int, failed: Mapping[tuple[str, str], int]) -> None:
        with self._lock:
            is_first = bool(failed) and not self._reasons
            self._inputs += inputs
            self._nulls += nulls
            self._reasons.update(failed)
        if is_first:
            found = Counts(inputs, null_inputs=nulls, errors=sum(failed.values()))
            reasons = (Reason(self.function, *said, count) for said, count in failed.items())
            _LOG.warning("in the first rows that failed: %s", Outcome.of(found, reasons))


def register_function(connection: Any, prepared: PreparedFunction, session: Passes) -> Tally:
    """Make ``prepared`` callable by its name on a ``duckdb.DuckDBPyConnection``; registering again replaces it.

    DuckDB casts the arguments of a UDF by rules of its own, so a temporary macro of the function's name casts them.
    """
    contract = prepared.contract
    inner, tally = inner_name(contract), Tally(contract.name)
    if has_function(connection, inner):
        connection.remove_function(inner)
    connection.create_function(
        inner,
        _scorer(prepared, session, tally),
        [*(connection.type(argument.data_type) for argument in contract.arguments), "VARCHAR"],
        connection.type(contract.return_type),
        type="arrow",
        null_handling="special",
        side_effects=False,
    )
    connection.execute(macro(contract, inner))
    return tally


def inner_name(contract: FunctionContract) -> str:
    """The UDF that the macro calls."""
    return f"_sqlinfer_{contract.name}"


def macro(contract: FunctionContract, inner: str) -> str:
    """The function's own name. Its arguments stand in it once, as a struct: they may be long, or ``random()``."""
    names = [quote(argument.name) for argument in contract.arguments]
    packed = ", ".join(f"{_field(position)} := {name}" for position, name in enumerate(names))
    casts, state = cast_row(contract, [f"{_ROW}.{_field(position)}" for position in range(len(names))])
    refused = [_refused(contract, argument, f"{_ROW}.{_field(at)}") for at, argument in enumerate(contract.arguments)]
    checked = f"CASE {' '.join(refused)} ELSE {state} END"
    call = f"{quote(inner)}({', '.join((*casts, checked))})"
    body = f"list_transform([struct_pack({packed})], lambda {_ROW}: {call})[1]"
    return create_macro(contract.name, names, body)


def _refused(contract: FunctionContract, argument: Argument, raw: str) -> str:
    """A type that never fits ends the query, as where a query is compiled. DuckDB folds the condition away."""
    kind = f"regexp_extract(typeof({raw}), '^\\w+')"
    alone, items = (_is_in(kind, names) for names in never(argument.data_type))
    said = f"argument '{argument.name}' of {contract.name} is {argument.data_type.lower()}, it is given "
    condition = f"CASE WHEN ends_with(typeof({raw}), ']') THEN {items} ELSE {alone} END"
    return f"WHEN {condition} THEN error({literal(said)} || lower(typeof({raw})))"


def _is_in(value: str, names: tuple[str, ...]) -> str:
    return f"{value} IN ({', '.join(map(literal, names))})" if names else "FALSE"


def cast_row(contract: FunctionContract, raw: Iterable[str]) -> tuple[list[str], str]:
    """SQL of the cast arguments and of their status, as a stage has them; ``raw`` is SQL of any type."""
    casts = [(a, cast_argument(exp.Var(this=sql), a, None)) for a, sql in zip(contract.arguments, raw, strict=True)]
    state = status([(argument, cast, cast.value) for argument, cast in casts], None)
    return [_sql(cast.value) for _, cast in casts], _sql(state) if state is not None else "NULL::VARCHAR"


def _field(position: int) -> str:
    return f"a{position}"


def _sql(node: exp.Expr) -> str:
    return node.sql(dialect="duckdb")


def _scorer(prepared: PreparedFunction, session: Passes, tally: Tally) -> Callable[..., pa.Array]:
    """Columns and their status in, one column out."""
    import pyarrow as pa

    contract = prepared.contract
    names = [argument.name for argument in contract.arguments]

    def score(*columns: Any) -> pa.Array:
        arrays = [_one_array(column) for column in columns]
        result = session.run_batch(pa.record_batch(arrays[:-1], names=names), names)
        count(tally, result, arrays[-1])
        return result_column(contract, result, session)

    # DuckDB counts parameters and evaluates annotations.
    places = [inspect.Parameter(f"p{place}", inspect.Parameter.POSITIONAL_ONLY) for place in range(len(names) + 1)]
    score.__annotations__, vars(score)["__signature__"] = {}, inspect.Signature(places)
    return score


def result_column(contract: FunctionContract, result: Any, session: Passes) -> pa.Array:
    """The outputs of a batch as the one column that a call returns."""
    import pyarrow as pa

    from sqlinfer.arrays import from_numpy

    if not contract.is_struct:
        return result.arrays[0]
    mask = from_numpy(result.missing) if result.missing is not None else None
    kinds = session.output_fields(None)
    fields = [pa.field(output.name, kind.type) for output, kind in zip(contract.outputs, kinds, strict=True)]
    return pa.StructArray.from_arrays(list(result.arrays), fields=fields, mask=mask)


def count(tally: Tally, result: Any, statuses: pa.Array) -> None:
    """Add a batch to the tally. A row with an error status has a NULL argument."""
    failed: Counter[tuple[str, str]] = Counter()
    early = 0
    if statuses.null_count < len(statuses):
        for entry in statuses.value_counts().to_pylist():
            if entry["values"] not in (None, NULL_INPUT):
                failed[said_of(entry["values"])] += entry["counts"]
                early += entry["counts"]
    if result.failed:
        for entry in result.errors.value_counts().to_pylist():
            if entry["values"] is not None:
                failed[entry["values"].partition(": ")[0], entry["values"]] += entry["counts"]
    tally.add(len(statuses), max(0, result.null_inputs - early), failed)


def _one_array(column: Any) -> pa.Array:
    """DuckDB hands over chunked arrays."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
