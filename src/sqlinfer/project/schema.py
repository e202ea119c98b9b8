"""The keys that each yml file may hold, as shapes; what is wrong becomes a ProjectError at the offending key."""

# Annotations are read when the first file is checked: as objects they cost nothing, as text each would be compiled.

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from sqlinfer.errors import ProjectError, did_you_mean
from sqlinfer.project.shapes import Between, OneCharacter, Problem, Shape, ShapeError, fields_of
from sqlinfer.project.yamlfile import YamlFile


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _switch(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


Text = Annotated[str, _text]
TextList = Annotated[Sequence[str], _listed]
Name = Annotated[str, re.compile(r"[A-Za-z_][A-Za-z0-9_]*")]


class ProjectFile(Shape):
    name: Name
    version: Text | None = None
    profile: str | None = None
    model_paths: TextList = ("models",)
    function_paths: TextList = ("functions",)
    seed_paths: TextList = ("seeds",)
    macro_paths: TextList = ("macros",)
    test_paths: TextList = ("tests",)
    analysis_paths: TextList = ()
    target_path: str = "target"
    clean_targets: TextList | None = None
    config_version: Text | None = None
    require_sqlinfer_version: Any = None
    require_dbt_version: Any = None
    flags: Any = None
    query_comment: Any = None
    snapshot_paths: Any = None
    docs_paths: Any = None
    asset_paths: Any = None
    log_path: Any = None
    vars: dict[str, Any] | None = None
    models: dict[str, Any] | None = None
    seeds: dict[str, Any] | None = None
    tests: dict[str, Any] | None = None
    data_tests: dict[str, Any] | None = None

    @staticmethod
    def spelled(attribute: str) -> str:
        """dbt's spelling: dashes, but in one key."""
        return attribute if attribute == "data_tests" else attribute.replace("_", "-")


IGNORED_PROJECT_KEYS = (
    "query-comment", "flags", "require-dbt-version", "snapshot-paths", "docs-paths", "asset-paths", "log-path",
)  # fmt: skip

NodeKind = Literal["view", "ephemeral", "table", "incremental", "external", "seed"]


class Contract(Shape):
    enforced: bool = False
    alias_types: bool = True


class ConfigKeys(Shape):
    """What ``config()``, ``config:`` and the ``+keys`` of the project file may hold."""

    materialized: NodeKind | None = None
    unique_key: TextList | None = None
    incremental_strategy: Literal["append", "delete+insert", "merge"] | None = None
    on_schema_change: Literal["ignore", "fail", "append_new_columns", "sync_all_columns"] | None = None
    on_missing: Literal["delete", "keep"] | None = None
    lineage: bool | None = None
    enabled: bool | None = None
    tags: TextList | None = None
    schema: str | None = None
    alias: str | None = None
    database: str | None = None
    location: str | None = None
    format: Literal["parquet", "csv", "json"] | None = None
    contract: Contract | None = None
    meta: dict[str, Any] | None = None
    publish_timeout: Annotated[float, Between(0)] | None = None
    max_error_rate: Annotated[float, Between(0, 1)] | None = None
    full_refresh: bool | None = None
    column_types: dict[str, str] | None = None
    delimiter: Annotated[str, OneCharacter()] | None = None
    quote_columns: bool | None = None
    # dbt's keys that change nothing here
    docs: Any = None
    persist_docs: Any = None
    group: Any = None
    access: Any = None
    description: Any = None
    quoting: Any = None
    event_time: Any = None
    options: Any = None
    grants: Any = None


EXTRA_KEYS = ("docs", "persist_docs", "group", "access", "description", "quoting", "event_time", "options", "grants")
HOOKS = ("pre_hook", "post_hook", "pre-hook", "post-hook", "sql_header")


class ColumnProps(Shape):
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


class ModelProps(Shape):
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


class TableProps(Shape):
    name: str
    identifier: str | None = None
    description: str = ""
    columns: list[ColumnProps] | None = None
    tests: list[Any] | None = None
    data_tests: list[Any] | None = None
    tags: TextList | None = None
    meta: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    loaded_at_field: Any = None
    freshness: Any = None
    quoting: Any = None
    external: Any = None


class SourceProps(Shape):
    name: str
    database: str | None = None
    schema: str | None = None
    description: str = ""
    tables: Sequence[TableProps] = ()
    tags: TextList | None = None
    meta: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    loader: Any = None
    loaded_at_field: Any = None
    freshness: Any = None
    quoting: Any = None


class PropertiesFile(Shape):
    version: Any = None
    models: list[ModelProps] | None = None
    seeds: list[ModelProps] | None = None
    sources: list[SourceProps] | None = None
    macros: Any = None
    exposures: Any = None
    data_tests: Any = None
    groups: Any = None
    analyses: Any = None


IGNORED_PROPERTIES = ("macros", "exposures", "groups", "analyses", "data_tests")


class ReturnProps(Shape):
    data_type: str | None = None
    output: str | None = None
    index: int | None = None
    key: str | int | None = None
    labels: list[Text] | None = None
    activation: Literal["softmax", "sigmoid"] | None = None
    pooling: Literal["mean", "cls"] | None = None
    normalize: bool = False
    argmax: bool = False


class FieldProps(ReturnProps):
    name: str
    description: str = ""


class ReturnsProps(ReturnProps):
    fields: list[FieldProps] | None = None
    description: str = ""


class OnNullDefault(Shape):
    default: float | int | str | bool


class ArgumentProps(Shape):
    name: Name
    data_type: str
    description: str = ""
    on_null: Any = None
    on_cast_error: Literal["error", "null"] | None = None


class TokenizerProps(Shape):
    path: str
    argument: str | None = None
    max_length: Annotated[int, Between(1, 1_000_000)] = 512


class ImageProps(Shape):
    argument: str | None = None
    size: int | list[int]
    mean: list[float] | None = None
    std: list[float] | None = None
    layout: Literal["nchw", "nhwc"] = "nchw"


class ModelSource(Shape):
    source: Literal["onnx", "torch", "sklearn", "mlflow", "huggingface"] = "onnx"
    path: str | None = None
    uri: str | None = None
    entrypoint: str | None = None
    weights: str | None = None
    trust: str | None = None
    sample_inputs: str | None = None
    inputs: dict[str, TextList] | None = None
    tokenizer: TokenizerProps | None = None
    image: ImageProps | None = None


class FunctionConfigProps(Shape):
    batch_size: Literal["auto"] | Annotated[int, Between(1)] = "auto"
    device: Annotated[str, re.compile(r"auto|cpu|cuda(:\d+)?|tensorrt(:\d+)?")] = "auto"
    reuse: Annotated[Literal["auto", "true", "false"], _switch] = "auto"
    on_invalid: Literal["null", "error", "allow"] | None = "null"
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    row_wise: Annotated[Literal["auto", "force"], _switch] = "auto"
    isolation: Literal["auto", "thread", "process"] = "auto"
    max_error_rate: Annotated[float, Between(0, 1)] | None = None
    cost: Annotated[float, Between(0)] | None = None
    tags: TextList = ()
    enabled: bool = True
    meta: dict[str, Any] = {}  # noqa: RUF012


class FunctionProps(Shape):
    name: Name
    description: str = ""
    model: ModelSource
    arguments: Sequence[ArgumentProps] = ()
    returns: ReturnsProps
    tokenizer: TokenizerProps | None = None
    image: ImageProps | None = None
    config: FunctionConfigProps = FunctionConfigProps()
    tags: TextList = ()
    meta: dict[str, Any] | None = None
    docs: Any = None


class FunctionsFile(Shape):
    version: Any = None
    functions: list[FunctionProps] | None = None


Model = TypeVar("Model", bound=Shape)


def validate(model: type[Model], file: YamlFile, data: Any, keys: Sequence[str | int] = (),
             kind: type[ProjectError] = ProjectError) -> Model:  # fmt: skip
    """Check ``data``, which stands under ``keys`` of the file. Raises ``kind`` for the first offending key."""
    what = "a mapping of keys to values"
    if not isinstance(data, dict):
        raise file.error(f"expected {what}, found {describe(data)}", keys, value=True, kind=kind)
    try:
        return model.of(data)
    except ShapeError as error:
        # a misspelt required key is better named as unknown than as missing
        first = min(error.problems, key=lambda problem: problem.code != "unknown")
        raise _translate(first, model, file, data, tuple(keys), kind) from error


def describe(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def _translate(problem: Problem, model: type[Shape], file: YamlFile, data: Any, keys: tuple[str | int, ...],
               kind: type[ProjectError]) -> ProjectError:  # fmt: skip
    path, parent, owner = _walk(problem.loc, data, model)
    last = problem.loc[-1] if problem.loc else ""
    if problem.code == "unknown":
        hint = did_you_mean(str(last), known_keys(owner))
        return file.error(f"unknown key '{last}'", (*keys, *path), hint=hint, kind=kind)
    if problem.code == "missing":
        what = f" in {describe_owner(parent)}" if parent else ""
        return file.error(f"'{last}' is missing{what}", (*keys, *path), kind=kind)
    name = next((str(part) for part in reversed(path) if isinstance(part, str)), str(last))
    found = f", found {describe(problem.value)}" if problem.code == "type" else ""
    hint = did_you_mean(str(problem.value), problem.choices) if problem.choices else None
    return file.error(f"{name}: {problem.message}{found}", (*keys, *path), value=True, hint=hint, kind=kind)


def describe_owner(parent: Any) -> str:
    return f"'{parent['name']}'" if isinstance(parent, dict) and isinstance(parent.get("name"), str) else "this entry"


def _walk(loc: Sequence[str | int], data: Any, model: type[Shape]) -> tuple[list[str | int], Any, Any]:
    """The part of a location that exists in the data, the innermost mapping, and the shape it is of."""
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


def _child(owner: type[Shape], key: str | int) -> type[Shape]:
    """The shape of a nested key, found in the annotation."""
    field = fields_of(owner).get(str(key))
    return (_inner(field[1]) if field else None) or owner


def _inner(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _inner(part)
        if found is not None:
            return found
    return None


def known_keys(model: type[Shape]) -> list[str]:
    return list(fields_of(model))
