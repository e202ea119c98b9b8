"""What the runner and the catalog builder need of a warehouse. SQL goes in, rows come out as Arrow.

An ``Adapter`` is cheap and holds no connection. Work happens in a ``Workspace``: the side catalog where stages,
stores and errors live, plus the warehouse itself, attached only inside ``warehouse()`` or ``publishing()``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column, Macro, Table
from sqlinfer.spec.constraint import Constraint, Grants, Index
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.names import NoteKind
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Call, Counts, Owner, Plan, Stage
from sqlinfer.spec.records import PastRun, RecordKind
from sqlinfer.spec.scorer import Scorer, Tally, Watch
from sqlinfer.spec.session import READ_ROWS

if TYPE_CHECKING:
    import pyarrow as pa


IncrementalStrategy = Literal["append", "delete+insert", "merge"]
SchemaChange = Literal["ignore", "fail", "append_new_columns", "sync_all_columns"]


@dataclass(frozen=True, slots=True)
class Materialization:
    """How a staged relation becomes a published one. Written inside ``Workspace.publishing()``."""

    target: Relation
    kind: Literal["table", "view", "incremental"] = "table"
    unique_key: tuple[str, ...] = ()
    strategy: IncrementalStrategy | None = None
    """None: merge where there is a unique key; without one append, or replace where ``on_missing`` is delete."""
    is_slice: bool = False
    """The query is a part of the desired state (it used ``is_incremental()``), so nothing is removed."""
    on_missing: Literal["delete", "keep"] = "delete"
    """What becomes of published rows that a query of the whole state does not return. (A node's default is keep.)"""
    on_schema_change: SchemaChange = "ignore"
    predictions: tuple[str, ...] = ()
    """Columns of the query that hold what a function returned."""
    uncompared: tuple[str, ...] = ()
    """Columns that do not count when a row is compared with its published version."""
    stable: bool = False
    """Reading the query again is sure to give the same rows, and costs little."""
    full_refresh: bool = False
    description: str = ""
    column_descriptions: tuple[tuple[str, str], ...] = ()
    constraints: tuple[Constraint, ...] = ()
    """What the table enforces."""
    indexes: tuple[Index, ...] = ()
    unlogged: bool = False
    """Quick to write, empty after a crash of the server."""
    grants: Grants = ()
    """All rights that others have on the relation; empty: those that they have stay."""

    @property
    def adds(self) -> bool:
        """Whether rows of the published table stay beside those of the query."""
        if self.strategy != "append" and not self.is_slice and self.on_missing == "delete":
            return False
        return self.merges

    @property
    def merges(self) -> bool:
        """Whether a published table stays and takes the rows in, rather than being replaced."""
        if self.kind != "incremental" or self.full_refresh:
            return False
        return bool(self.unique_key) or self.is_slice or self.strategy == "append" or self.on_missing == "keep"


@dataclass(frozen=True, slots=True)
class Written:
    rows: int
    """Rows that the query gave."""
    left: int = 0
    """Rows that are in the table, and that the query for its whole state did not return."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A relation whose rows are Parquet at a path or in a bucket."""

    relation: Relation
    place: str
    of_model: str | None = None
    """The external model that writes it."""


@dataclass(frozen=True, slots=True)
class Reads:
    """Files that the project's own SQL reads; a warehouse that reads files by itself opens no others."""

    files: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    urls: tuple[str, ...] = ()
    """Those that a variable made; what is needed for them, the profile loads."""
    anything: bool = False
    """URLs that the SQL spells out, and names that are only known while it runs."""
    places: tuple[Filed, ...] = ()
    """Relations of the catalog ``names.FILES``."""


ANYTHING = Reads(anything=True)


@dataclass(frozen=True, slots=True)
class PinOptions:
    """What a run wants of its stages."""

    contracts: Mapping[str, FunctionContract] = field(default_factory=dict)
    """Functions of the plan by name; empty where nothing is scored and the stages alone are looked at."""
    shown: Identity = field(default_factory=Identity)
    """What error records show of a row."""
    lineage: bool = False
    """The scored relations have columns ``names.SCORED_BY`` and ``SCORED_AT`` for every result that was looked up."""
    remembered: bool = False
    """In a scratch workspace: predictions that durable stores hold are read, too."""
    unread_bytes: int | None = None
    """From so many bytes of its rows on, a plan that is one stream may read the warehouse while it is scored. None:
    never."""
    keyed_rows: int | None = None
    """From so many rows on, a stage may leave out what the rest of the query does not need of known inputs."""
    chunk_rows: int | None = None
    """From so many inputs on, what is scored is committed piece by piece. None: as the warehouse likes."""
    into: Materialization | None = None
    """What becomes of the plan's result, where a table takes it as it is: rows may be written there at once, unseen."""


class Pinned(Protocol):
    """A stage whose rows stand still: written down, or sure to be read once. What else it holds is the warehouse's."""

    @property
    def stage(self) -> Stage: ...

    @property
    def groups(self) -> tuple[tuple[Call, ...], ...]:
        """Calls of the stage in the order in which they are to be scored. Those of a group go together through
        ``find``, ``score`` and ``look_up``: calls of one function with a store, or calls that are streamed."""


class Todo(Protocol):
    """What is to be scored of a group: inputs that the store lacks, each once, or all rows of a stage."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """As the scorer has to take them: arguments and outputs are columns of what is read. One for a group with a
        store, which has its inputs together; the group's own for streams."""

    @property
    def wanted(self) -> int | None:
        """Rows to score; None: not known before they are read."""

    @property
    def progress(self) -> int:
        """How far the work is, in a unit that grows with each commit (rows of the store; 0 for a stream). The same
        number in two runs that died means that they died at the same chunk."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Rows of a call before anything is scored."""

    inputs: int
    """Rows for which SQL evaluates the call."""
    distinct: int
    """Different ones among those that can be scored."""
    known: int
    """Of these, in the store."""
    null_inputs: int
    errors: int


@dataclass(frozen=True, slots=True)
class Held:
    """A node's result, before it is published."""

    relation: Relation
    lasts: bool
    """Whether it outlives the process."""


class ScoringVerbs(Protocol):
    """From a plan to scored relations: ``pin``, then ``find``, ``score`` and ``look_up`` for each group of calls.

    A stage's scored relation is there when ``look_up`` was called for each of its groups. Nothing that has been
    committed is scored again by the next run.
    """

    def pin(self, plan: Plan, stages: Sequence[Stage], options: PinOptions) -> Mapping[str, Pinned]:
        """Make stages stand still, all from one snapshot of the warehouse, which is attached where one reads it.

        By name of the stage. ``stages`` are some of the plan's, in order; what they read of other stages is there.
        """

    def find(self, pinned: Pinned, calls: Sequence[Call]) -> Todo:
        """What is to be scored of a group of the stage: distinct inputs that the store lacks, or all rows."""

    def score(self, todo: Todo, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
        """All of ``todo`` through the scorer, in commits that outlive this process; a tally for each of its calls.

        Results of a stream go into the stage's scored relation and their errors into the error records, others into
        the store.

        Raises:
            Cancelled: ``watch.cancel`` was set; what was committed stays.
            RunError: rows were lost on the way.
        """

    def look_up(self, pinned: Pinned, calls: Sequence[Call]) -> tuple[Counts, ...]:
        """What the store knows, put beside the rows of the stage; error records of the rows that failed.

        Counts for each call of the group, those that were scored just now counted as reused. Empty for streams.

        Raises:
            StoreError: a key is twice in the store.
            RunError: an input has no result (it is never published as NULL).
        """

    def error_records(self, owner: Owner) -> Relation:
        """Where error records of a node's run are gathered until they are published."""

    def error_classes(self, owner: Owner, function: str) -> tuple[tuple[str, int], ...]:
        """The most frequent error classes of a function in this run, with their number."""

    def reasons(self, owner: Owner) -> tuple[Reason, ...]:
        """The most frequent errors of this run, by function, class and message."""

    def forget_errors(self, contract: FunctionContract, error_class: str = "") -> int:
        """Drop remembered failures, so that this run tries those inputs again. Returns how many there were.

        ``error_class``: only those whose error starts with it.
        """

    def unscored(self, pinned: Pinned, calls: Sequence[Call]) -> int:
        """How many inputs scoring would take for calls of one function with a store, or for one that is streamed.

        Nothing is made, and nothing but the stage and the store is read.
        """

    def forecast(self, pinned: Pinned, call: Call) -> Forecast:
        """Count what scoring would find. Writes nothing."""


class KeepingVerbs(Protocol):
    """What is kept between scoring and publishing, and between runs."""

    def hold(self, plan: Plan, sql: str, *, again: bool, tested: bool) -> Held:
        """A node's result, named ``names.result_name(plan.owner.side)``: a view where it is read once.

        Args:
            again: it is read more than once, and must give the same rows each time.
            tested: data tests are among its readers.
        """

    def keep(self, held: Held) -> Held:
        """The same rows in a table that outlives the process and what it was made of.

        Raises:
            AdapterError: there is no room for it; ``held`` is as it was.
        """

    def load(self, name: str, table: pa.Table, types: Mapping[str, str]) -> Relation:
        """Rows of a seed's file. ``types``: column → type to cast it to, where that is declared."""

    def compact(self, plan: Plan, *, is_slice: bool) -> None:
        """Drop store keys that no node refers to any more. Hygiene only: results never depend on it.

        ``is_slice``: the plan has read only some of its rows, which says nothing of the others.
        """

    def clear(self, owner: Owner) -> None:
        """Stages, scored relations, results, seeds and gathered error records of the owner go, whichever run left them.

        Before a run begins and when it is done. A publication that waits stays where its name is another's.
        """

    def release(self) -> None:
        """What is kept in memory for a node goes, however the node has ended."""


class RememberingVerbs(Protocol):
    """Which inputs published rows were scored from, kept between runs (``adapters.shared.inputs``)."""

    def keep_inputs(self, name: str, sql: str) -> None:
        """The rows of a query in a table of that name, in the place of the one that was there."""

    def drop_inputs(self, name: str) -> None:
        """The table goes, if it is there."""

    def kept_inputs(self, name: str) -> Relation | None:
        """The table; None where there is none. A scratch workspace may copy it, and waits for a run to leave.

        Raises:
            StoreError: a run is at work and keeps it.
        """

    def scoring_times(self, call: Call) -> Relation | None:
        """In a scratch workspace: ``input`` (``adapters.shared.inputs.short``) and ``scored_at`` of the call's store.

        Raises:
            StoreError: a run is at work and keeps it.
        """

    def scoring_span(self, call: Call) -> tuple[float, float] | None:
        """In a scratch workspace: the first and the last of these times, in seconds since 1970.

        Raises:
            StoreError: a run is at work and keeps it.
        """


class Workspace(ScoringVerbs, KeepingVerbs, RememberingVerbs, Protocol):
    """One exclusive working place. Statements run on one writer connection; each reader has its own."""

    run_id: str
    dialect: str
    """Of the SQL that it takes."""
    persistent: bool
    """False for a scratch workspace, whose side catalog lives in memory and is forgotten."""
    warnings: list[str]
    """What was found wrong at opening and repaired, e.g. a damaged side file moved aside."""

    cancel: threading.Event | None
    """When it is set, waiting for the warehouse ends."""
    namespace: Relation
    """Where stages live (``name`` is empty)."""
    place: str
    """Where the side catalog lies, for people: a file name."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Of a query: one of a plan, of a data test, or built in ``adapters.shared``."""

    def sample(self, sql: str, columns: Sequence[str], rows: int) -> list[tuple[Any, ...]]:
        """So many of a query's rows, at random, or all that there are; a failure leaves the transaction around it as it
        was, where the warehouse can do that."""

    def reader(
        self, sql: str, rows: int = READ_ROWS, *, plain: bool = False
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        """Stream a query on a connection of its own. Closed on exit, also after an error.

        Values come back exactly as they are in the warehouse (128-bit keys included), some in Arrow extension types;
        ``plain`` gives the ordinary Arrow types that other programs read.
        """

    def warehouse(self, *, brief: bool = False) -> AbstractContextManager[None]:
        """The warehouse attached read-only, unqualified names resolve to it. Re-entrant.

        ``brief``: for a moment only, so that what a publication has left open (``linger()``) may be used.
        """

    def see_files(self, sql: str) -> None:
        """Before ``publishing``: SQL inside of it will name these relations of the catalog ``names.FILES``.

        Raises:
            StorageError: files are not there.
        """

    def publishing(self, timeout: float, into: Relation | None = None) -> AbstractContextManager[None]:
        """The warehouse open for writing, one transaction: committed on a clean exit, else rolled back.

        ``into``: what is written, where a warehouse has several databases; None: something of the target's own.

        Raises:
            DatabaseLocked: somebody held it for all of ``timeout`` seconds.
            StoreError: this run no longer owns the target.
        """

    def writing(self, timeout: float, into: Relation | None = None) -> AbstractContextManager[None]:
        """The warehouse open for writing without a transaction: each statement commits by itself.

        Arguments and errors as those of ``publishing()``.
        """

    def linger(self, allowed: bool) -> None:
        """Whether the warehouse may stay open for a moment between publications that follow each other at once."""

    def run_statement(self, sql: str) -> None:
        """A statement of the user's own (a hook), inside ``publishing()`` or ``writing()``."""

    def note(self, kind: NoteKind, name: str, payload: Mapping[str, Any] | None) -> None:
        """Keep a note (JSON values) until it is replaced, or dropped by None. A part of the transaction around it."""

    def notes(self, kind: NoteKind) -> dict[str, dict[str, Any]]:
        """Notes by name, the one that was written last at the end."""

    def materialize(self, how: Materialization, sql: str) -> Written:
        """Publish the rows of ``sql`` inside ``publishing()``.

        Raises:
            PublicationError: duplicate keys, a change of columns that the node does not allow, a value that the
                published column cannot hold.
        """

    def make_place(self, target: Relation) -> None:
        """The schema that a relation is to stand in, where it is not there yet. Inside ``publishing()``."""

    def record(self, kind: RecordKind, target: Relation, rows: Sequence[Mapping[str, object]]) -> None:
        """Add records beside the target, their table made or brought up to date first. Inside ``publishing()``.

        A column that a row leaves out is NULL.
        """

    def record_errors(self, how: Materialization, sql: str, owner: Owner, *, failed: bool) -> None:
        """Error records of this run go beside the target, those of rows that ``sql`` has replaced go away.

        ``failed``: the run has error records of the owner.
        """

    def last_run(self, target: Relation, node: str, *, since: datetime | None = None) -> PastRun | None:
        """Of the runs that are recorded beside the target for a node (unique id), the one that started last.

        ``since``: among those that started then or later.
        """

    def check_place(self, how: Materialization) -> None:
        """Before anything is read, and without opening the warehouse.

        Raises:
            PublicationError: the target cannot be written (another database, a read-only file).
        """

    def check_target(self, how: Materialization, columns: Sequence[Column], records: Sequence[str]) -> None:
        """Before scoring, inside ``warehouse()``. ``columns``: those of the query. ``records``: our own tables there.

        Raises:
            PublicationError: columns, constraints or what stands there now are sure to make ``materialize`` fail.
        """

    def outcome(self, how: Materialization, sql: str) -> str | None:
        """SQL of the rows that the target will hold, inside ``warehouse()``; None where they are those of ``sql``."""

    def describe(self, sql: str) -> tuple[Column, ...]:
        """Columns of a query, types in the warehouse's own spelling."""

    def header(self, sql: str) -> tuple[str, ...]:
        """Names of the columns as a result of the query has them; describing may spell one another way."""

    def has(self, relation: Relation) -> bool:
        """Whether there is such a table or view; names compare as the warehouse compares them."""

    def estimate(self, sql: str) -> int | None:
        """The warehouse's own guess of the rows of a query, None where it has none."""


class Claim(Protocol):
    """The right to work on a target. A context manager."""

    @property
    def path(self) -> Path | None:
        """The lock file on this machine; None where the warehouse itself holds the lock."""


class ShadowDatabase(Protocol):
    """Empty tables of the right types, to find the columns of relations that are not built yet."""

    version: tuple[int, ...]
    """Of the server, where emitted SQL depends on it: (15, 4). Empty elsewhere."""
    macros: tuple[Macro, ...]
    """Those of the warehouse, for ``define``."""

    def define(self, macro: Macro) -> None:
        """Make a macro known, after the relations that it reads. One that cannot be copied fails where it is used."""

    def tree(self, sql: str) -> str | None:
        """The parse tree as JSON with spans (``compiler.tree``); None: this warehouse tells none."""

    def text_of(self, tree: str) -> str:
        """SQL of such a tree. Raises AdapterError."""

    def remember(self, name: str, columns: tuple[Column, ...]) -> None:
        """Let queries that are described find a relation of that name."""

    def add_table(self, relation: Relation, columns: Iterable[Column]) -> None: ...

    def add_view_as(self, relation: Relation, sql: str) -> tuple[Column, ...]: ...

    def describe(self, sql: str) -> tuple[Column, ...]:
        """Columns of a query.

        Raises:
            AdapterError: with the warehouse's own message; ``location`` has the place where it named one.
        """

    def result_names(self, sql: str) -> Mapping[int, tuple[tuple[int, tuple[str | None, ...]], ...]]:
        """What it would call the result columns that have no alias: offset of a column or function in the text → for
        each SELECT list around it, innermost first, its place in the list and the names of the list (None: it has an
        alias). Needs no relation to exist; empty where the warehouse cannot tell."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a run needs, tried by ``sqlinfer debug``."""

    name: str
    ok: bool
    detail: str = ""


class Adapter(Protocol):
    type: str
    dialect: str
    default: Relation
    """Database and schema for unqualified names (``name`` is empty)."""
    namespace: Relation
    """Where its workspaces keep stages (``name`` is empty)."""

    def stamp(self) -> object:
        """Another value whenever what the warehouse holds may be another. None: readers keep no writer out, so that
        there is no reason to keep a copy."""

    def limited_to(self, reads: Reads) -> Adapter:
        """The same warehouse with no more access to files than this; one that reads none is returned as it is."""

    def checks(self) -> Iterator[Check]:
        """What a run needs of the warehouse beside a connection that reads. Nothing is changed.

        Raises:
            AdapterError: it cannot be reached.
        """

    def list_relations(self) -> tuple[Table, ...]:
        """Every table and view with its kind; ``columns`` is left empty."""

    def columns(self, relations: Iterable[Relation]) -> Mapping[Relation, tuple[Column, ...]]:
        """Columns of existing relations in one query. Keys are as given; missing relations are left out."""

    def visit(self) -> AbstractContextManager[None]:
        """Questions asked inside share one connection to the warehouse, where that makes them cheaper."""

    def describe(self, sql: str) -> tuple[Column, ...]: ...

    def query(self, sql: str) -> pa.Table: ...

    def shadow(self) -> AbstractContextManager[ShadowDatabase]: ...

    def claim(self, run_id: str) -> AbstractContextManager[Claim]:
        """The right to work on this target, for a whole run. Cheap: it reads nothing.

        Raises:
            StoreError: another run holds it; the message names the holder.
        """

    def workspace(self, run_id: str, claim: Any = None) -> AbstractContextManager[Workspace]:
        """The durable workspace of this target, under a claim of this run or one of its own.

        Raises:
            StoreError: another run holds it, or the store was written by a newer version.
        """

    def scratch(self) -> AbstractContextManager[Workspace]:
        """A workspace that leaves nothing behind, for preview."""
