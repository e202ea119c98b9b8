"""All or nothing without transactions: what is written lies beside until the end, and then is shown by single changes
of the catalog, the tables first and the record of the run last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.spark.catalog import kind_of, named_like, version_name
from sqlinfer.adapters.spark.published import RUN, Standing, standings, versions
from sqlinfer.adapters.spark.session import SparkSqlSession, properties_sql, table_name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import AdapterError
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation
from sqlinfer.spec.records import ERRORS, RUNS, PastRun

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
    adopted: set[Relation] = field(default_factory=set)
    """Versions that scoring has written already."""
    records: list[tuple[str, Relation, Mapping[str, object]]] = field(default_factory=list)
    """Of runs, not written yet: the name of their table, the target, and columns by name."""
    redone: set[Relation] = field(default_factory=set)
    """Targets whose last record is known to be written."""
    latest: dict[tuple[Relation, str], PastRun | None] = field(default_factory=dict)
    """Table of records, node → its last run."""
    started: dict[str, str] = field(default_factory=dict)
    """Run → when it started, as far as versions tell."""
    _standing: dict[Relation, Standing | None] = field(default_factory=dict)
    names: dict[Relation, set[str]] = field(default_factory=dict)
    """Target → names of its versions, and of the table that made room for it."""

    def standing(self, target: Relation) -> Standing | None:
        """Asked once: nothing is shown before the end."""
        if target not in self._standing:
            family = [one for one in _family(target) if one not in self._standing]
            found = standings(self.session, self.settings, family)
            self.taken(target)  # of the whole family, as above
            for one in family:
                self._standing[one] = found[one] if one in found else self._restored(one)
        return self._standing[target]

    def _restored(self, target: Relation) -> Standing | None:
        """A table of others that was renamed to make room, where a kill came before the view."""
        before = _before(target)
        if before.name not in self.taken(target) or kind_of(self.session, self.settings, before) != "table":
            return None
        self.session.execute(f"ALTER TABLE {table_name(before)} RENAME TO {table_name(target)}")
        self.taken(target).discard(before.name)
        return standings(self.session, self.settings, (target,)).get(target)

    def changed(self, target: Relation) -> None:
        """It is to be asked for again."""
        self._standing.pop(target, None)
        self.latest = {key: last for key, last in self.latest.items() if key[0] != target}

    def taken(self, target: Relation) -> set[str]:
        if target not in self.names:
            family = [one for one in _family(target) if one not in self.names]
            leads = {one: (f"{one.name.casefold()}__v_", _before(one).name) for one in family}
            pattern = "|".join(f"{versions}*|{before}" for versions, before in leads.values())
            found = named_like(self.session, target.schema or "", pattern)
            for one, (lead, before) in leads.items():
                self.names[one] = {name for name in found if name.startswith(lead) or name == before}
        return self.names[target]

    def new_name(self, target: Relation) -> Relation:
        """Never one that was used before, since its folder may hold what a killed driver left."""
        taken = self.taken(target)
        base = version_name(target.name.casefold(), self.run_id)
        names = [base, *(f"{base}_{n}" for n in range(2, len(taken) + 3))]
        found = next(one for one in names if one not in taken)
        taken.add(found)
        return replace(target, name=found)

    def show_table(self, how: Materialization, target: Relation, there: Standing | None, version: Relation) -> None:
        self.versions[target] = version
        self.session.renamed[table_name(target)] = table_name(version)
        self.show_view(how, target, there, f"SELECT * FROM {table_name(version)}")

    def show_view(self, how: Materialization, target: Relation, there: Standing | None, sql: str) -> None:
        said = {RUN: self.run_id} | ({"comment": how.description} if how.description else {})
        self.shows.append(lambda: self.show(target, there, sql, said))

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
        shown = there.query.casefold() if there is not None else ""
        names, before = self.taken(target), _before(target)
        gone = [one for one in versions(names, target) if f"`{one.name}`".casefold() not in shown]
        if before.name in names and there is not None and there.is_view:
            gone.append(before)
        for one in gone:
            if one not in self.adopted:
                drop(self.session, one)
                names.discard(one.name)

    def vacuum_gathered(self, target: Relation) -> None:
        """What a merge that was killed has gathered."""
        beside = replace(target, schema=self.settings.side_schema)
        for one in versions(named_like(self.session, beside.schema or "", f"{target.name}__v_*"), beside):
            drop(self.session, one)

    def show(self, target: Relation, there: Standing | None, sql: str, said: Mapping[str, str]) -> None:
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
        if said:
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


def drop(session: SparkSqlSession, version: Relation) -> None:
    """A table, or the view of a trial; one that cannot be dropped stays for the next night."""
    try:
        session.execute(f"DROP TABLE IF EXISTS {table_name(version)}")
    except AdapterError:
        with suppress(AdapterError):
            session.execute(f"DROP VIEW IF EXISTS {table_name(version)}")


def _family(target: Relation) -> tuple[Relation, ...]:
    """What a publication of the target changes: asked for together."""
    return tuple(dict.fromkeys((target, *(replace(target, name=kind.table) for kind in (RUNS, ERRORS)))))


def _before(target: Relation) -> Relation:
    return replace(target, name=f"{target.name.casefold()}__before_sqlinfer")


def _all(actions: Iterable[Callable[[], None]]) -> None:
    for action in actions:
        action()
