"""The keys that each yml file may hold, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def switch(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number"]})]
TextList = Annotated[list[str], BeforeValidator(_listed), WithJsonSchema(_TEXTS)]
PerChannel = Annotated[
    list[float],
    BeforeValidator(lambda v: [v] if isinstance(v, int | float) and not isinstance(v, bool) else v),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}),
]
"""A number for each channel of an image, or one for all."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

ColumnName = Annotated[
    str, BeforeValidator(_text), Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
]
"""Whatever a table may call a column, as long as it can be seen."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=False, defer_build=True)


class ProjectFile(Strict):
    name: Name
    version: Text | None = None
    profile: str | None = None
    model_paths: TextList = Field(["models"], alias="model-paths")
    function_paths: TextList = Field(["functions"], alias="function-paths")
    seed_paths: TextList = Field(["seeds"], alias="seed-paths")
    macro_paths: TextList = Field(["macros"], alias="macro-paths")
    test_paths: TextList = Field(["tests"], alias="test-paths")
    analysis_paths: TextList = Field([], alias="analysis-paths")
    target_path: str = Field("target", alias="target-path")
    clean_targets: TextList | None = Field(None, alias="clean-targets")
    config_version: Text | None = Field(None, alias="config-version")
    require_version: Any = Field(None, alias="require-sqlinfer-version")
    require_dbt_version: Any = Field(None, alias="require-dbt-version")
    flags: Any = None
    query_comment: Any = Field(None, alias="query-comment")
    snapshot_paths: Any = Field(None, alias="snapshot-paths")
    docs_paths: Any = Field(None, alias="docs-paths")
    asset_paths: Any = Field(None, alias="asset-paths")
    log_path: Any = Field(None, alias="log-path")
    vars: dict[str, Any] | None = None
    prices: Any = None
    models: dict[str, Any] | None = None
    seeds: dict[str, Any] | None = None
    tests: dict[str, Any] | None = None
    data_tests: dict[str, Any] | None = None
    on_run_start: Any = Field(None, alias="on-run-start")
    on_run_end: Any = Field(None, alias="on-run-end")


class PricesProps(Strict):
    """Amounts are numbers in ``currency``, or texts such as ``1.20 USD``."""

    currency: Annotated[str, Field(pattern=r"^([^\W\d_]{1,12}|[$€£¥])$")] | None = None
    device_hour: Any = None
    endpoint_month: Any = None


IGNORED_PROJECT_KEYS = (
    "query-comment", "flags", "require-dbt-version", "snapshot-paths", "docs-paths", "asset-paths", "log-path",
)  # fmt: skip

NodeKind = Literal["view", "ephemeral", "table", "incremental", "external", "seed"]


class Contract(Strict):
    enforced: bool = False
    alias_types: bool = True


class Quoting(Strict):
    """Names are always quoted, so that no other answer is one."""

    database: Literal[True] | None = None
    schema_: Literal[True] | None = Field(None, alias="schema")
    identifier: Literal[True] | None = None


class IndexProps(Strict):
    columns: TextList
    unique: bool = False
    type: Annotated[str, Field(pattern=r"^[a-z]\w*$")] = "btree"


class ConfigKeys(Strict):
    """What ``config()``, ``config:`` and the ``+keys`` of the project file may hold."""

    materialized: NodeKind | None = None
    unique_key: TextList | None = None
    incremental_strategy: Literal["append", "delete+insert", "merge", "insert_overwrite"] | None = None
    on_schema_change: Literal["ignore", "fail", "append_new_columns", "sync_all_columns"] | None = None
    on_missing: Literal["delete", "keep"] | None = None
    lineage: bool | None = None
    enabled: bool | None = None
    tags: TextList | None = None
    schema_: str | None = Field(None, alias="schema")
    alias: str | None = None
    database: str | None = None
    location: str | None = None
    format: Literal["parquet", "csv", "json"] | None = None
    partition_by: TextList | None = None
    keep: Annotated[int, Field(ge=1, le=1000)] | None = None
    contract: Contract | None = None
    meta: dict[str, Any] | None = None
    publish_timeout: Annotated[float, Field(ge=0)] | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    decision: Text | None = None
    keep_inputs: bool | None = None
    full_refresh: bool | None = None
    column_types: dict[str, str] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quote_columns: bool | None = None
    pre_hook: Any = None
    post_hook: Any = None
    indexes: list[IndexProps] | None = None
    unlogged: bool | None = None
    grants: dict[Annotated[str, Field(pattern=r"^[A-Za-z ]+$")], TextList] | None = None
    # dbt's keys that change nothing here
    docs: Any = None
    persist_docs: Any = None
    group: Any = None
    access: Any = None
    description: Any = None
    quoting: Quoting | None = None
    event_time: Any = None


EXTRA_KEYS = ("docs", "persist_docs", "group", "access", "description", "quoting", "event_time")
REFUSED = {
    "sql_header": "write a pre_hook with transaction: false",
    "options": "partition_by and keep stand by themselves; other options of files are dbt's",
    "incremental_predicates": "write the condition into the query",
    "merge_update_columns": "merging updates the columns of the query and leaves others alone: select fewer",
    "merge_exclude_columns": "merging updates the columns of the query and leaves others alone: select fewer",
}
"""Configurations of dbt's that would change the table and cannot be done → the way out."""
OF_POSTGRES = {
    "grants": 'grant in a post_hook: "grant select on {{ this }} to reporter"',
    "indexes": "create them in a post_hook",
    "unlogged": "leave it out",
}
"""Configurations that PostgreSQL alone has → the way out elsewhere."""
HOOKS = {"pre_hook": "pre_hook", "post_hook": "post_hook", "pre-hook": "pre_hook", "post-hook": "post_hook"}
"""Both spellings of dbt → ours."""


class ColumnProps(Strict):
    name: str
    data_type: str | None = None
    description: str = ""
    tests: list[Any] | None = None
    data_tests: list[Any] | None = None
    meta: dict[str, Any] | None = None
    tags: TextList | None = None
    quote: bool | None = None
    constraints: Any = None
    config: Any = None


class ModelProps(Strict):
    name: str
    description: str = ""
    config: dict[str, Any] | None = None
    columns: list[ColumnProps] | None = None
    tests: list[Any] | None = None
    data_tests: list[Any] | None = None
    meta: dict[str, Any] | None = None
    docs: Any = None
    access: Any = None
    group: Any = None
    constraints: Any = None


class Threshold(Strict):
    count: Annotated[int, Field(ge=0)]
    period: Literal["minute", "hour", "day"]


class FreshnessProps(Strict):
    warn_after: Threshold | None = None
    error_after: Threshold | None = None
    filter: str | None = None


class SourceConfigProps(Strict):
    enabled: bool = True
    external_location: str | None = None
    freshness: FreshnessProps | None = None
    loaded_at_field: str | None = None
    loaded_at_query: str | None = None
    event_time: Any = None
    tags: TextList | None = None
    meta: dict[str, Any] | None = None


class TableProps(Strict):
    name: str
    identifier: str | None = None
    description: str = ""
    columns: list[ColumnProps] | None = None
    tests: list[Any] | None = None
    data_tests: list[Any] | None = None
    tags: TextList | None = None
    meta: dict[str, Any] | None = None
    config: SourceConfigProps | None = None
    loaded_at_field: str | None = None
    loaded_at_query: str | None = None
    freshness: FreshnessProps | None = None
    quoting: Any = None
    external: Any = None


class SourceProps(Strict):
    name: str
    database: str | None = None
    schema_: str | None = Field(None, alias="schema")
    description: str = ""
    tables: list[TableProps] = []
    tags: TextList | None = None
    meta: dict[str, Any] | None = None
    config: SourceConfigProps | None = None
    loader: Any = None
    loaded_at_field: str | None = None
    loaded_at_query: str | None = None
    freshness: FreshnessProps | None = None
    quoting: Any = None


class OwnerProps(BaseModel):
    """dbt takes more than these two."""

    model_config = ConfigDict(extra="allow")

    name: str | None = None
    email: str | list[str] | None = None


class ExposureConfigProps(Strict):
    enabled: bool = True
    tags: TextList | None = None
    meta: dict[str, Any] | None = None


class ExposureProps(Strict):
    name: str
    type: Literal["dashboard", "notebook", "analysis", "ml", "application"]
    owner: OwnerProps
    depends_on: list[str] = []
    label: str | None = None
    description: str = ""
    url: str | None = None
    maturity: Literal["high", "medium", "low"] | None = None
    tags: TextList = []
    meta: dict[str, Any] | None = None
    enabled: bool = True
    config: ExposureConfigProps | None = None


class PropertiesFile(Strict):
    version: Any = None
    models: list[ModelProps] | None = None
    seeds: list[ModelProps] | None = None
    sources: list[SourceProps] | None = None
    macros: Any = None
    exposures: list[ExposureProps] | None = None
    data_tests: Any = None
    groups: Any = None
    analyses: Any = None


IGNORED_PROPERTIES = ("macros", "groups", "analyses", "data_tests")
