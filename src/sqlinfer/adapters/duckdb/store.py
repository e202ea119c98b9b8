"""The store: one table per function and digest in the side file, one row per distinct input (design section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.names import SIDE, STORE
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.adapters.shared.store_columns import output_columns
from sqlinfer.errors import StoreError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import store_name
from sqlinfer.spec.plan import Call
from sqlinfer.types import element_type, is_array

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


@dataclass(frozen=True, slots=True)
class StoreTable:
    contract: FunctionContract

    @property
    def name(self) -> str:
        return store_name(self.contract.name, self.contract.digest)

    @property
    def relation(self) -> Relation:
        return Relation(self.name, STORE, SIDE)

    @property
    def columns(self) -> tuple[str, ...]:
        return output_columns(self.contract)

    @property
    def is_narrow(self) -> bool:
        """Whether its results may be copied beside rows: none is a list or a blob."""
        return not any(one.data_type.endswith("]") or one.data_type == "BLOB" for one in self.contract.outputs)

    def make(self, work: DuckDBWorkspace, *, remembered: bool = False) -> None:
        """The table, unless it is there. ``remembered``: in a scratch workspace with what the side file holds."""
        if remembered and not work.has(self.relation):
            work.load_store(self.name)
        work.execute(self.create())

    def create(self) -> str:
        outputs = ", ".join(
            f"{quote(column)} {stored_type(output.data_type)}"
            for column, output in zip(self.columns, self.contract.outputs, strict=True)
        )
        return (
            f"CREATE TABLE IF NOT EXISTS {self.relation.sql()} (input_key UHUGEINT, {outputs}, error VARCHAR, "
            "scored_at TIMESTAMPTZ, run_id VARCHAR)"
        )

    def value(self, alias: str) -> str:
        """The call's result as SQL over a row of the store (all NULL where there is none)."""
        if not self.contract.is_struct:
            return _restored(f"{alias}.{quote(self.columns[0])}", self.contract.outputs[0].data_type)
        fields = ", ".join(
            f"{quote(output.name)} := {_restored(f'{alias}.{quote(column)}', output.data_type)}"
            for column, output in zip(self.columns, self.contract.outputs, strict=True)
        )
        return f"CASE WHEN {alias}.input_key IS NOT NULL AND {alias}.error IS NULL THEN struct_pack({fields}) END"

    def append(self, run_id: str, guarded: bool) -> str:
        """Insert the Arrow table ``chunk`` (input_key, outputs…, error); ``guarded``: leave known keys out."""
        names = ", ".join(quote(column) for column in self.columns)
        where = (
            f" WHERE NOT EXISTS (SELECT 1 FROM {self.relation.sql()} AS s WHERE s.input_key = c.input_key)"
            if guarded
            else ""
        )
        return (
            f"INSERT INTO {self.relation.sql()} (input_key, {names}, error, scored_at, run_id) "
            f"SELECT input_key, {names}, error, now(), '{run_id}' FROM chunk AS c{where}"
        )

    def appended(self, run_id: str) -> dict[str, object]:
        """What ``append`` has just done, for ``replay``."""
        kinds = (stored_type(output.data_type) for output in self.contract.outputs)
        columns = [list(pair) for pair in zip(self.columns, kinds, strict=True)]
        at = datetime.now(UTC).isoformat()
        return {"kind": "append", "store": self.name, "columns": columns, "run_id": run_id, "at": at}


def holds_twice(function: str, rows: int, became: int) -> StoreError:
    """A look-up made ``became`` rows of ``rows``: published, it would repeat rows."""
    return StoreError(
        f"the store of '{function}' holds a key twice: {rows} rows became {became}",
        hint="move the side file away; everything is then scored again",
    )


def stored_type(data_type: str) -> str:
    """Vectors are kept as lists: in DuckDB 2.0 an outer join whose inner side holds fixed-size arrays reads
    uninitialised memory for rows without a match ("Cannot cast list with length … to array")."""
    return f"{element_type(data_type)}[]" if is_array(data_type) else data_type


def _restored(column: str, data_type: str) -> str:
    return f"CAST({column} AS {data_type})" if stored_type(data_type) != data_type else column


def todo_sql(store: StoreTable, stage: Relation, call: Call) -> str:
    """One rowid of the stage for each distinct key that the store does not have."""
    key = quote(call.key or "")
    return (
        f"SELECT min(q.rowid) AS row_id FROM {stage.sql()} AS q "
        f"ANTI JOIN {store.relation.sql()} AS s ON s.input_key = q.{key} "  # NOT EXISTS costs three times as much here
        f"WHERE q.{key} IS NOT NULL GROUP BY q.{key}"
    )


def count(work: Statements, relation: Relation) -> int:
    return int(work.rows(f"SELECT count(*) FROM {relation.sql()}")[0][0])


def forget_errors(work: DuckDBWorkspace, contract: FunctionContract, error_class: str = "") -> int:
    """Drop remembered failures, so that this run tries those inputs again. Returns how many there were.

    ``error_class``: only those whose error starts with it.
    """
    store = StoreTable(contract)
    if not work.has(store.relation):
        return 0
    bad = f"error IS NOT NULL AND starts_with(error, {literal(error_class)})"
    failed = int(work.rows(f"SELECT count(*) FROM {store.relation.sql()} WHERE {bad}")[0][0])
    if failed:
        work.execute(f"DELETE FROM {store.relation.sql()} WHERE {bad}")
        work.journal({"kind": "forget", "store": store.name, "class": error_class})
    return failed
