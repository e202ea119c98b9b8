"""What loading yields: frozen values, names resolved, everything validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sqlinfer.errors import Location
from sqlinfer.project.secret import Concealed
from sqlinfer.project.selections import Selectors
from sqlinfer.relation import Relation
from sqlinfer.spec.constraint import Constraint, Grants, Index
from sqlinfer.spec.duckdb_path import database_name
from sqlinfer.spec.function import Argument, OnInvalid, Reuse
from sqlinfer.spec.function import ReturnField as ReturnField
from sqlinfer.spec.names import FILES
from sqlinfer.spec.prices import Prices
from sqlinfer.storage import is_url

ResourceType = Literal["model", "seed", "source", "test"]
Materialized = Literal["view", "ephemeral", "table", "incremental", "external", "seed"]
Severity = Literal["warn", "error"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One target of profiles.yml. ``config`` holds secrets: it goes to a connection and nowhere else."""

    name: str
    target: str
    type: str
    config: Mapping[str, Any] = field(repr=False)
    threads: int = 1
    path: Path | None = None
    """The profiles.yml it came from."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values to scrub from every output, longest first."""
        return self.config.values_to_mask() if isinstance(self.config, Concealed) else ()

    @property
    def schema(self) -> str:
        return str(self.config.get("schema") or self.config.get("dataset") or "main")

    @property
    def database(self) -> str | None:
        """The catalog of unqualified names; for DuckDB dbt-duckdb's rule, what its path is called."""
        named = self.config.get("database") or self.config.get("dbname") or self.config.get("catalog")
        if named or self.type != "duckdb":
            return str(named) if named else None
        path = str(self.config.get("path") or ":memory:")
        return "memory" if path == ":memory:" else database_name(path)


@dataclass(frozen=True, slots=True)
class Hook:
    """SQL that runs before or after a node, or a whole run; Jinja until ``compiler.hooks`` has rendered it."""

    sql: str
    transaction: bool = True
    """Inside the transaction that publishes the node."""
    name: str = "hook"
    """``pre_hook``, ``post_hook``, ``on-run-start``, ``on-run-end``."""
    location: Location | None = field(default=None, compare=False)

    def as_dbt(self) -> dict[str, Any]:
        return {"sql": self.sql, "transaction": self.transaction, "index": None}


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """The merged configuration of one node: project yml < properties yml < ``config()`` in the file."""

    materialized: Materialized = "table"
    unique_key: tuple[str, ...] = ()
    incremental_strategy: Literal["append", "delete+insert", "merge", "insert_overwrite"] | None = None
    """None: merge where there is a ``unique_key``, else append for slices and replace otherwise."""
    on_schema_change: Literal["ignore", "fail", "append_new_columns", "sync_all_columns"] = "ignore"
    on_missing: Literal["delete", "keep"] = "keep"
    lineage: bool = False
    enabled: bool = True
    tags: tuple[str, ...] = ()
    schema: str | None = None
    alias: str | None = None
    database: str | None = None
    location: str | None = None
    format: Literal["parquet", "csv", "json"] = "parquet"
    partition_by: tuple[str, ...] = ()
    """Columns whose values have folders of their own in an external model's folder."""
    keep: int = 3
    """Versions of an external model's folder that stay readable, the present one among them."""
    contract: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    publish_timeout: float | None = None
    """Seconds. None: the default of the runner."""
    max_error_rate: float | None = None
    decision: str | None = None
    """What is decided by a row of the table, as SQL: what ``freshness --impact`` looks at."""
    keep_inputs: bool | None = None
    """Whether a night keeps what each row was scored from, for ``freshness``. None: unless that needs another pass."""
    full_refresh: bool | None = None
    column_types: Mapping[str, str] = field(default_factory=dict)
    delimiter: str = ","
    quote_columns: bool = True
    pre_hook: tuple[Hook, ...] = ()
    post_hook: tuple[Hook, ...] = ()
    indexes: tuple[Index, ...] = ()
    unlogged: bool = False
    grants: Grants = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys of dbt that sqlinfer accepts and does not act on."""

    @property
    def is_folder(self) -> bool:
        """Whether an external model's location is a folder of versions, and not one file."""
        place = self.location if self.materialized == "external" else None
        overwrites = self.incremental_strategy == "insert_overwrite"
        return bool(place) and bool(is_url(place or "") or str(place).endswith("/") or self.partition_by or overwrites)


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    name: str
    data_type: str | None = None
    description: str = ""
    tests: tuple[DataTest, ...] = ()


@dataclass(frozen=True, slots=True)
class DataTest:
    """A generic test declared in yml, or a singular one (``kind == 'singular'``, ``sql`` is its file's text)."""

    unique_id: str
    name: str
    kind: str
    node: str | None
    """The unique_id of the node (or source) that it tests; None for singular tests."""
    column: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "error"
    where: str | None = None
    error_if: str = "!= 0"
    warn_if: str = "!= 0"
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    sql: str | None = None
    location: Location | None = None
    stored: Relation | None = None
    """Where its failing rows are kept (``store_failures``); None: nowhere."""


@dataclass(frozen=True, slots=True)
class Node:
    unique_id: str
    name: str
    resource_type: Literal["model", "seed"]
    path: Path
    raw_sql: str
    """Empty for seeds."""
    relation: Relation
    config: NodeConfig = field(default_factory=NodeConfig)
    description: str = ""
    columns: tuple[ColumnInfo, ...] = ()
    tests: tuple[DataTest, ...] = ()
    """All tests of the node, those of its columns included."""
    tags: tuple[str, ...] = ()
    fqn: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    """Names of declared functions that its SQL mentions, found by text; compiling finds them exactly."""
    patch: Location | None = None
    """Where a properties yml describes it."""
    compiled: str | None = None
    """SQL that dbt has rendered already, from its manifest; then ``raw_sql`` is never rendered here."""
    compiled_path: Path | None = None
    """The file that holds ``compiled``, for places in errors."""
    asks_incremental: bool = False
    """Of a node with ``compiled``: dbt says that it calls ``sqlinfer.is_incremental()``, in macros too."""
    constraints: tuple[Constraint, ...] = ()
    """Those of its columns included; they hold where the contract is enforced."""
    unique_key_at: Location | None = None
    """Where ``unique_key`` is configured."""

    @property
    def read_as(self) -> Relation:
        """What others read: a folder of versions is a relation of the catalog of files."""
        return replace(self.relation, catalog=FILES) if self.config.is_folder else self.relation


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the newest row of a source may be."""

    warn_after: tuple[int, str] | None = None
    """A number of ``minute``, ``hour`` or ``day``."""
    error_after: tuple[int, str] | None = None
    filter: str | None = None
    """SQL of the rows that are looked at."""
    loaded_at: str | None = None
    """SQL of the time at which a row was loaded."""
    query: str | None = None
    """A whole query for that time, in its place (``loaded_at_query``)."""


@dataclass(frozen=True, slots=True)
class Source:
    unique_id: str
    source_name: str
    name: str
    relation: Relation
    description: str = ""
    columns: tuple[ColumnInfo, ...] = ()
    tests: tuple[DataTest, ...] = ()
    tags: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    location: Location | None = None
    fqn: tuple[str, ...] = ()
    freshness: Freshness | None = None
    event_time: str | None = None
    """SQL of the column with the time of a row."""
    place: str | None = None
    """A path or URL with its rows as Parquet; ``relation`` is in the catalog ``names.FILES`` then."""


@dataclass(frozen=True, slots=True)
class MacroFile:
    path: Path
    source: str
    names: tuple[str, ...]
    package: str | None = None
    """The dbt package that it comes from; None: the project's own."""
    lines: tuple[int, ...] = ()
    """On which each macro begins, where that is known."""


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    path: Path
    """tokenizer.json, or the folder that holds it."""
    argument: str | None = None
    max_length: int | None = None
    """None: the file's own, else 512."""
    pair: str | None = None
    """The second argument of a model that reads two texts."""
    padding: Literal["longest", "max_length"] | None = None
    """None: the file's own, else to the longest of a batch."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    argument: str | None
    size: tuple[int, int] | None = None
    """Height and width. None: the graph's."""
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Literal["nchw", "nhwc"] | None = None
    """None: as the graph's axes say."""
    resize: Literal["exact", "shortest"] = "exact"
    resize_size: int | None = None
    """The shorter edge (``shortest``) or both edges (``exact``) before the crop. None: ``size``."""
    crop: Literal["center"] | None = None
    resample: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"
    rounding: Literal["nearest", "down"] = "nearest"
    """Of the half pixel that a crop may begin at."""


ArgumentSource = Literal[
    "onnx", "torch", "sklearn", "xgboost", "lightgbm", "catboost", "mlflow", "huggingface", "python"
]


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """A function as declared in functions/*.yml (design 1.1), parsed and validated; its artifact is not opened."""

    name: str
    folder: Path
    """The folder of the yml file; relative paths are relative to it."""
    location: Location
    description: str = ""
    source: ArgumentSource = "onnx"
    path: Path | None = None
    """The artifact: an ONNX file, or a folder for huggingface. Absolute; may not exist."""
    remote: str | None = None
    """A URL in the place of ``path``, until it is fetched."""
    sha256: str | None = None
    """Of what ``remote`` holds, 64 hex digits."""
    uri: str | None = None
    """``models:/name@alias`` for mlflow."""
    tracking_uri: str | None = None
    registry_uri: str | None = None
    """None: as the environment says."""
    entrypoint: str | None = None
    weights: Path | None = None
    trust: str | None = None
    """``sha256:<hex>`` or 64 hex digits."""
    sample_inputs: str | Path | None = None
    runtime: Literal["onnx", "native"] = "onnx"
    """``native``: the library itself predicts, in processes of its own."""
    expected: Path | None = None
    """Rows of arguments and the outputs that they must give, as Parquet; compared when it is prepared."""
    files: tuple[Path, ...] = ()
    """What the code of ``source: python`` reads; a folder stands for all files in it."""
    packages: tuple[str, ...] = ()
    """Distributions whose versions count for ``source: python``."""
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """ONNX input → arguments that feed it, in order. Empty: inferred."""
    arguments: tuple[Argument, ...] = ()
    """Empty: taken from the model, where its source knows them."""
    known: tuple[str, ...] = ()
    """Names of the model's arguments that are written beside it, for models that know none."""
    open_nulls: tuple[str, ...] = ()
    """Arguments that are written without ``on_null:``; a source may know better than ``null``."""
    returns: tuple[ReturnField, ...] = ()
    """Empty: taken from the graph, one output as it is, several as a struct."""
    is_struct: bool = False
    tokenizer: TokenizerConfig | None = None
    image: ImageConfig | None = None
    batch_size: int | None = None
    """None: measured (``auto``)."""
    device: str = "auto"
    reuse: Reuse = "auto"
    on_invalid: OnInvalid = "null"
    precision: str = "fp32"
    tolerance: float | None = None
    """Largest relative difference from the original. None: the source's own."""
    min_cosine: float | None = None
    """How near to fp32 ``precision: int8`` must be. None: ``functions.check.quality.MIN_COSINE``."""
    row_wise: Literal["auto", "force"] = "auto"
    isolation: Literal["auto", "thread", "process"] = "auto"
    max_error_rate: float | None = None
    cost: float | None = None
    tags: tuple[str, ...] = ()
    enabled: bool = True
    meta: Mapping[str, Any] = field(default_factory=dict)
    challenger: str | None = None
    """The function that a night scores beside this one and compares with it."""
    challenged_at: Location | None = None
    """Where ``challenger:`` stands."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """What reads the tables, as dbt has it."""

    unique_id: str
    name: str
    type: str
    depends_on: tuple[str, ...] = ()
    owner: Mapping[str, Any] = field(default_factory=dict)
    label: str | None = None
    description: str = ""
    url: str | None = None
    maturity: str | None = None
    tags: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    version: str | None
    root: Path
    profile: Profile
    vars: Mapping[str, Any] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    functions: Mapping[str, FunctionConfig] = field(default_factory=dict)
    tests: Mapping[str, DataTest] = field(default_factory=dict)
    """All data tests, those of nodes and singular ones, by unique_id."""
    exposures: Mapping[str, Exposure] = field(default_factory=dict)
    macros: tuple[MacroFile, ...] = ()
    hook_macros: tuple[MacroFile, ...] = ()
    """Of a dbt project: macros that hooks may call. dbt has rendered everything else."""
    on_run_start: tuple[Hook, ...] = ()
    on_run_end: tuple[Hook, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The environment that ``env_var`` reads; handed in, never written anywhere."""
    model_paths: tuple[Path, ...] = ()
    function_paths: tuple[Path, ...] = ()
    seed_paths: tuple[Path, ...] = ()
    macro_paths: tuple[Path, ...] = ()
    test_paths: tuple[Path, ...] = ()
    target_path: Path = Path("target")
    clean_targets: tuple[Path, ...] = ()
    disabled: tuple[str, ...] = ()
    selectors: Selectors = field(default_factory=lambda: Selectors({}))
    """Those of selectors.yml."""
    warnings: tuple[str, ...] = ()
    prices: Prices | None = None
    """What the machine costs."""

    def node(self, name: str) -> Node | None:
        """The enabled model or seed of that name."""
        return self.nodes.get(f"model.{self.name}.{name}") or self.nodes.get(f"seed.{self.name}.{name}")
