"""The keys that each yml file may hold, as pydantic models; errors become ProjectErrors at the offending key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from sqlinfer.errors import ProjectError, did_you_mean
from sqlinfer.project.yamlfile import YamlFile


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _switch(value: Any) -> Any:
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


class ReturnProps(Strict):
    data_type: str | None = None
    output: str | None = None
    index: int | None = None
    key: str | int | None = None
    labels: Literal[True] | list[Text] | None = None
    """``true``: the labels that the library's own ``predict`` gives."""
    activation: Literal["softmax", "sigmoid"] | None = None
    pooling: Literal["mean", "cls"] | None = None
    normalize: bool = False
    argmax: bool = False


class FieldProps(ReturnProps):
    name: ColumnName
    description: str = ""


class ReturnsProps(ReturnProps):
    fields: list[FieldProps] | None = None
    description: str = ""


class OnNullDefault(Strict):
    default: float | int | str | bool


class ArgumentProps(Strict):
    name: ColumnName
    data_type: str
    description: str = ""
    on_null: Any = None
    on_cast_error: Literal["error", "null"] | None = None


class TokenizerProps(Strict):
    path: str
    argument: Text | None = None
    arguments: Annotated[TextList, Field(min_length=1, max_length=2)] | None = None
    max_length: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    padding: Literal["longest", "max_length"] | None = None


class ImageProps(Strict):
    argument: Text | None = None
    size: int | list[int] | None = None
    mean: PerChannel | None = None
    std: PerChannel | None = None
    layout: Literal["nchw", "nhwc"] | None = None
    resize: Literal["exact", "shortest"] = "exact"
    resize_size: Annotated[int, Field(ge=1, le=16_384)] | None = None
    crop: Literal["center"] | None = None
    resample: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"


SourceName = Literal["onnx", "torch", "sklearn", "xgboost", "lightgbm", "catboost", "mlflow", "huggingface", "python"]


class ModelSource(Strict):
    source: SourceName = "onnx"
    runtime: Literal["onnx", "native"] | None = None
    path: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    expected: str | None = None
    uri: str | None = None
    tracking_uri: str | None = None
    registry_uri: str | None = None
    entrypoint: str | None = None
    weights: str | None = None
    trust: str | None = None
    sample_inputs: str | None = None
    files: TextList = []
    packages: TextList = []
    inputs: dict[str, TextList] | None = None
    tokenizer: TokenizerProps | None = None
    image: ImageProps | None = None


class FunctionConfigProps(Strict):
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]{1,4})?|tensorrt(:[0-9]{1,4})?)$")] = "auto"
    reuse: Annotated[
        Literal["auto", "true", "false"], BeforeValidator(_switch), WithJsonSchema({"enum": ["auto", True, False]})
    ] = "auto"
    on_invalid: Literal["null", "error", "allow"] | None = "null"
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    runtime: Literal["onnx", "native"] | None = None
    tracking_uri: str | None = None
    registry_uri: str | None = None
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    min_cosine: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    row_wise: Annotated[Literal["auto", "force"], BeforeValidator(_switch)] = "auto"
    isolation: Literal["auto", "thread", "process"] = "auto"
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    cost: Annotated[float, Field(ge=0)] | None = None
    tags: TextList = []
    enabled: bool = True
    meta: dict[str, Any] = {}
    challenger: str | None = None


class FunctionProps(Strict):
    name: Name
    challenger: str | None = None
    description: str = ""
    model: ModelSource
    arguments: list[ArgumentProps] = []
    returns: ReturnsProps | None = None
    tokenizer: TokenizerProps | None = None
    image: ImageProps | None = None
    config: FunctionConfigProps = FunctionConfigProps()
    tags: TextList = []
    meta: dict[str, Any] | None = None
    docs: Any = None


class FunctionsFile(Strict):
    version: Any = None
    functions: list[FunctionProps] | None = None


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], file: YamlFile, data: Any, keys: Sequence[str | int] = (),
             kind: type[ProjectError] = ProjectError) -> Model:  # fmt: skip
    """Check ``data``, which stands under ``keys`` of the file. Raises ``kind`` for the first offending key."""
    what = "a mapping of keys to values"
    if not isinstance(data, dict):
        raise file.error(f"expected {what}, found {describe(data)}", keys, value=True, kind=kind)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=lambda e: _rank(e["type"]))
        raise _translate(first, model, file, data, tuple(keys), kind) from error


def _rank(code: str) -> int:
    """Unknown keys first: a misspelt required key is better named as unknown than as missing."""
    return 0 if code == "extra_forbidden" else 1


def describe(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def _translate(error: Any, model: type[BaseModel], file: YamlFile, data: Any, keys: tuple[str | int, ...],
               kind: type[ProjectError]) -> ProjectError:  # fmt: skip
    path, parent, owner = _walk(error["loc"], data, model)
    last = error["loc"][-1] if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(str(last), known_keys(owner))
        return file.error(f"unknown key '{last}'", (*keys, *path), hint=hint, kind=kind)
    if error["type"] == "missing":
        what = f" in {describe_owner(parent)}" if parent else ""
        return file.error(f"'{last}' is missing{what}", (*keys, *path), kind=kind)
    name = next((str(part) for part in reversed(path) if isinstance(part, str)), str(last))
    found = f", found {describe(error['input'])}" if "type" in error["type"] or error["type"] == "none_required" else ""
    message = error["msg"][:1].lower() + error["msg"][1:]
    if error["type"] == "string_pattern_mismatch":
        message = f"'{error['input']}' is not allowed here"
    elif error["type"] == "literal_error":
        message = f"'{error['input']}' is not one of {error['ctx']['expected'].replace(' or ', ', ')}"
        expected = [part.strip(" '") for part in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        hint = did_you_mean(str(error["input"]), expected)
        return file.error(f"{name}: {message}", (*keys, *path), value=True, hint=hint, kind=kind)
    return file.error(f"{name}: {message}{found}", (*keys, *path), value=True, kind=kind)


def describe_owner(parent: Any) -> str:
    return f"'{parent['name']}'" if isinstance(parent, dict) and isinstance(parent.get("name"), str) else "this entry"


def _walk(loc: Sequence[str | int], data: Any, model: type[BaseModel]) -> tuple[list[str | int], Any, Any]:
    """The part of pydantic's location that exists in the data, the innermost mapping, and the model it is of."""
    path: list[str | int] = []
    current, parent, owner = data, data, model
    for part in loc:
        if isinstance(current, dict) and part in current:
            owner = _child(owner, part) if isinstance(current[part], dict | list) else owner
            current = current[part]
        elif isinstance(current, list) and isinstance(part, int) and part < len(current):
            current = current[part]
        else:
            continue
        path.append(part)
        parent = current if isinstance(current, dict) else parent
    return path, parent, owner


def _child(owner: Any, key: str | int) -> Any:
    """The pydantic model of a nested key, found in the annotation."""
    if not (isinstance(owner, type) and issubclass(owner, BaseModel)):
        return owner
    for name, field in owner.model_fields.items():
        if key in (name, field.alias):
            return _inner(field.annotation) or owner
    return owner


def _inner(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _inner(part)
        if found is not None:
            return found
    return None


def known_keys(model: Any) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
