"""All or nothing without transactions: what is written lies beside until the end, and then is shown by single changes
of the catalog, the tables first and the record of the run last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.spark.catalog import drop_any, kind_of, version_name
from sqlinfer.adapters.spark.published import RUN, Standing, versions
from sqlinfer.adapters.spark.session import SparkSqlSession, properties_sql, table_name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.adapters.spark.tables import named_like
from sqlinfer.errors import AdapterError
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation

RECORD = "sqlinfer.record"
"""A property of a version: the record of its run, which a kill may have kept from being written."""
_PIECE = 3000


@dataclass(slots=True)
class Pending:
    """What a publication will show."""

    session: SparkSqlSession
    settings: SparkSettings
    run_id: str
    early: list[Callable[[], None]] = field(default_factory=list)
    """Error records, which say nothing of a table that is not there yet."""
    shows: list[Callable[[], None]] = field(default_factory=list)
    late: list[Callable[[], None]] = field(default_factory=list)
    """Records of runs and notes."""
    made: list[tuple[str, Relation]] = field(default_factory=list)
    """Tables and views that go where the publication fails."""
    back: list[Callable[[], None]] = field(default_factory=list)
    """What shows the rows of before again, where a later part of the publication fails."""
    versions: dict[Relation, Relation] = field(default_factory=dict)
    """Published table → its next rows."""
    records: list[tuple[str, Relation, Mapping[str, object]]] = field(default_factory=list)
    """Of runs, not written yet: the name of their table, the target, and columns by name."""

    def new_name(self, target: Relation) -> Relation:
        """Never one that was used before, since its folder may hold what a killed driver left."""
        taken = set(named_like(self.session, target.schema or "", f"{target.name}__v_*"))
        base = version_name(target.name.casefold(), self.run_id)
        names = [base, *(f"{base}_{n}" for n in range(2, len(taken) + 3))]
        return replace(target, name=next(one for one in names if one not in taken))

    def show_table(self, how: Materialization, target: Relation, there: Standing | None, version: Relation) -> None:
        self.versions[target] = version
        self.session.renamed[table_name(target)] = table_name(version)
        self.show_view(how, target, there, f"SELECT * FROM {table_name(version)}")

    def show_view(self, how: Materialization, target: Relation, there: Standing | None, sql: str) -> None:
        self.shows.append(lambda: self._show(how, target, there, sql))

    def keep_record(self, target: Relation, row: Mapping[str, object]) -> None:
        """With the rows, before they are shown."""
        for shown, version in self.versions.items():
            if shown == target:
                said = json.dumps(dict(row), default=str)
                pieces = {f"{RECORD}.{n}": said[at : at + _PIECE] for n, at in enumerate(range(0, len(said), _PIECE))}
                given = properties_sql({**pieces, f"{RECORD}.pieces": str(len(pieces))})
                self.session.execute(f"ALTER TABLE {table_name(version)} SET TBLPROPERTIES ({given})")

    def commit(self) -> None:
        _all(self.early)
        _all(self.shows)
        self.made.clear()
        self.back.clear()
        fail_point("after_swap")
        _all(self.late)

    def undo(self) -> None:
        """A table is dropped only once no view shows it: where that fails, the new rows stay."""
        for again in reversed(self.back):
            again()
        for kind, relation in reversed(self.made):
            with suppress(AdapterError):
                self.session.execute(f"DROP {kind} IF EXISTS {table_name(relation)}")

    def vacuum(self, target: Relation, there: Standing | None) -> None:
        """The version that is shown stays for readers that have begun; older ones, and those of killed runs, go."""
        gathered = versions(self.session, replace(target, schema=self.settings.side_schema))
        shown = there.query.casefold() if there is not None else ""
        gone = [one for one in versions(self.session, target) if f"`{one.name}`".casefold() not in shown]
        rest = [_before(target)] if there is not None and there.is_view else []
        for one in (*gathered, *gone, *rest):
            with suppress(AdapterError):
                drop_any(self.session, self.settings, one)

    def _show(self, how: Materialization, target: Relation, there: Standing | None, sql: str) -> None:
        """One change of the catalog where a view stands; a table has to make room first."""
        view, before = table_name(target), table_name(_before(target))
        if there is not None and there.is_view:
            self._run(f"ALTER VIEW {view} AS ", sql)
            self.back.append(lambda: self._run(f"ALTER VIEW {view} AS ", there.query))
        else:
            if there is not None:
                self.session.execute(f"DROP TABLE IF EXISTS {before}")
                self.session.execute(f"ALTER TABLE {view} RENAME TO {before}")
                self.back.append(lambda: self.session.execute(f"ALTER TABLE {before} RENAME TO {view}"))
                self.late.append(lambda: self.session.execute(f"DROP TABLE IF EXISTS {before}"))
                fail_point("between_rename_and_view")
            self._run(f"CREATE VIEW {view} AS ", sql)
            self.back.append(lambda: self.session.execute(f"DROP VIEW IF EXISTS {view}"))
        said = {RUN: self.run_id} | ({"comment": how.description} if how.description else {})
        self.session.execute(f"ALTER VIEW {view} SET TBLPROPERTIES ({properties_sql(said)})")

    def _run(self, lead: str, sql: str) -> None:
        self.session.execute(f"{lead}{sql}", lead)


def recorded(session: SparkSqlSession, version: Relation) -> dict[str, object] | None:
    """The record of the run that wrote a version."""
    known = session.properties(version)
    if f"{RECORD}.pieces" not in known:
        return None
    found: dict[str, object] = json.loads(
        "".join(known[f"{RECORD}.{n}"] for n in range(int(known[f"{RECORD}.pieces"])))
    )
    return found


def restore(session: SparkSqlSession, settings: SparkSettings, target: Relation) -> None:
    """A table of others that was renamed to make room, where a kill came before the view."""
    before = _before(target)
    if kind_of(session, settings, target) is None and kind_of(session, settings, before) == "table":
        session.execute(f"ALTER TABLE {table_name(before)} RENAME TO {table_name(target)}")


def _before(target: Relation) -> Relation:
    return replace(target, name=f"{target.name.casefold()}__before_sqlinfer")


def _all(actions: Iterable[Callable[[], None]]) -> None:
    for action in actions:
        action()
