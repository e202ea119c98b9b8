"""The keys that a yml file of functions may hold, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from sqlinfer.project.schema import ColumnName, Name, PerChannel, Strict, Text, TextList, switch


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
        Literal["auto", "true", "false"], BeforeValidator(switch), WithJsonSchema({"enum": ["auto", True, False]})
    ] = "auto"
    on_invalid: Literal["null", "error", "allow"] | None = "null"
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    runtime: Literal["onnx", "native"] | None = None
    tracking_uri: str | None = None
    registry_uri: str | None = None
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    min_cosine: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    row_wise: Annotated[Literal["auto", "force"], BeforeValidator(switch)] = "auto"
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
