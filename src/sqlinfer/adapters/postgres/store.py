"""The store: a logged table per function and digest in the schema of ours, one row per distinct input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.postgres import side
from sqlinfer.adapters.postgres.catalog import kind_of
from sqlinfer.adapters.postgres.session import RUN_ID, PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.types import spelled
from sqlinfer.adapters.shared.store_columns import output_columns, store_rows
from sqlinfer.errors import StoreError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import store_name

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace


@dataclass(frozen=True, slots=True)
class StoreTable:
    settings: PostgresSettings
    contract: FunctionContract

    @property
    def relation(self) -> Relation:
        return store_relation(self.settings, self.contract.name, self.contract.digest)

    @property
    def columns(self) -> tuple[str, ...]:
        return output_columns(self.contract)

    def make(self, session: PostgresSession) -> None:
        """The table, unless it is there. No index: look-ups read all of it."""
        outputs = ", ".join(
            f"{quote(column)} {spelled(output.data_type)}"
            for column, output in zip(self.columns, self.contract.outputs, strict=True)
        )
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {self.relation.sql()} (input_key uuid NOT NULL, {outputs}, error text, "
            f"scored_at timestamptz NOT NULL DEFAULT now(), run_id text DEFAULT current_setting('{RUN_ID}', true))"
        )

    def values(self, alias: str) -> tuple[str, ...]:
        """The call's outputs as SQL over a row of the store (all NULL where there is none)."""
        return tuple(f"{alias}.{quote(column)}" for column in self.columns)

    def rows(self, chunk: pa.Table, result: str) -> pa.Table:
        """A scored chunk, its key first, as rows of the table."""
        return fitting(store_rows(chunk, result, self.contract))


def store_relation(settings: PostgresSettings, function: str, digest: str) -> Relation:
    return side.relation(settings, store_name(function, digest))


def fitting(rows: pa.Table) -> pa.Table:
    """PostgreSQL has no unsigned integers: the driver would write those of 64 bits as bigint."""
    import pyarrow as pa

    for number, field in enumerate(rows.schema):
        if pa.types.is_uint64(field.type):
            rows = rows.set_column(number, field.name, rows.column(number).cast(pa.decimal128(20, 0)))
    return rows


def holds_twice(function: str, rows: int, became: int) -> StoreError:
    """A look-up made ``became`` rows of ``rows``: published, it would repeat rows."""
    return StoreError(
        f"the store of '{function}' holds a key twice: {rows} rows became {became}",
        hint="drop its table in the schema of sqlinfer; everything is then scored again",
    )


def forget_errors(work: PostgresWorkspace, contract: FunctionContract, error_class: str = "") -> int:
    """Drop remembered failures, so that this run tries those inputs again. Returns how many there were.

    ``error_class``: only those whose error starts with it.
    """
    store = StoreTable(work.settings, contract).relation
    if kind_of(work.session, work.settings, store) is None:
        return 0
    return work.session.execute(
        f"DELETE FROM {store.sql()} WHERE error IS NOT NULL AND starts_with(error, {literal(error_class)})"
    )
