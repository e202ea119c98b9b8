"""What SQL and the sessions know of a function: its contract and its prepared artifact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sqlinfer.errors import Location

OnNull = Literal["null", "error", "nan", "default"]
OnCastError = Literal["error", "null"]
OnInvalid = Literal["null", "error", "allow"]
Reuse = Literal["auto", "true", "false"]
Strategy = Literal["store", "stream"]
Layout = Literal["vector", "column", "packed", "array", "tokens", "image"]
"""How arguments become an ONNX input: vector [N], column [N,1], packed [N,F] (F numeric arguments),
array [N,K] (one list argument), tokens [N,T] (from the tokenizer), image [N,C,H,W] or [N,H,W,C]."""


FILE_STAMP = "sqlinfer_file_stamp"
"""SQL function of a warehouse's connection: path → text that changes when the file does."""


FILE_MISSING = "image_missing"
"""Error class of a row whose file is not there or cannot be read; not remembered."""


MISSING_TEXT: Final = "\ufdd0"
"""What a NULL text becomes under ``on_null: nan``: no text of a user's own holds this noncharacter of Unicode.
Converters of models that take missing texts give it the place of a missing value."""


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    data_type: str
    """Canonical DuckDB spelling (``types.canonical``), e.g. ``DOUBLE``, ``TEXT``, ``REAL[4]``."""
    on_null: OnNull = "null"
    default: float | int | str | bool | None = None
    """The value for ``on_null: {default: v}``."""
    on_cast_error: OnCastError = "error"


@dataclass(frozen=True, slots=True)
class Output:
    """One column that scoring produces. A scalar function has exactly one, named ``value``."""

    name: str
    data_type: str


@dataclass(frozen=True, slots=True)
class ReturnField:
    """One output as declared: which tensor, and what to do with it. ``name`` is ``value`` for scalar functions."""

    name: str
    data_type: str | None = None
    """Canonical; None: taken from the graph."""
    output: str | None = None
    index: int | None = None
    key: str | int | None = None
    labels: tuple[str, ...] | None = None
    own_labels: bool = False
    """``labels: true``: those that the library's own ``predict`` gives."""
    activation: Literal["softmax", "sigmoid"] | None = None
    pooling: Literal["mean", "cls"] | None = None
    normalize: bool = False
    argmax: bool = False
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class FunctionContract:
    """All that compiling needs to know of a function; read from a cache without loading a session."""

    name: str
    digest: str
    """64 hex digits over everything that can change a result (design section 2)."""
    arguments: tuple[Argument, ...]
    outputs: tuple[Output, ...]
    is_struct: bool = False
    """True where the call returns ``STRUCT(fields…)``; then ``outputs`` are its fields."""
    strategy: Strategy = "store"
    strategy_reason: str = ""
    cost_per_row: float = 0.0
    """Static estimate of the graph's work for one row, in floating-point operations."""
    on_invalid: OnInvalid = "null"
    row_wise: bool = True
    """False where the graph mixes rows and ``row_wise: force`` makes us score one row at a time."""
    device: str = "auto"
    batch_size: int | None = None
    """None: measured."""
    max_error_rate: float | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    file_argument: str | None = None
    """The argument whose values name files; such a file counts as an input, too."""
    is_native: bool = False
    """Whether a library or code predicts, in processes of its own; there is no graph."""

    @property
    def return_type(self) -> str:
        """The SQL type of the call, in DuckDB's spelling."""
        if not self.is_struct:
            return self.outputs[0].data_type
        names = (o.name.replace('"', '""') for o in self.outputs)  # sessions need a type, but no sqlglot to quote it
        fields = ", ".join(f'"{name}" {o.data_type}' for name, o in zip(names, self.outputs, strict=True))
        return f"STRUCT({fields})"

    @property
    def streams_by_cost(self) -> bool:
        """Whether every row is scored because ``reuse: auto`` finds that cheaper, and not because it was asked for."""
        return self.strategy == "stream" and not self.strategy_reason.startswith("reuse:")

    @property
    def short_digest(self) -> str:
        return self.digest[:12]


@dataclass(frozen=True, slots=True)
class InputBinding:
    """One ONNX input and the arguments that feed it."""

    name: str
    layout: Layout
    element_type: str
    """ONNX Runtime's name without the wrapper: ``float``, ``int64``, ``string``, …"""
    arguments: tuple[str, ...]
    width: int | None = None
    """F or K where it is fixed."""
    token_field: str | None = None
    """``input_ids`` | ``attention_mask`` | ``token_type_ids`` for layout ``tokens``."""


@dataclass(frozen=True, slots=True)
class OutputBinding:
    """Where the value of one ``Output`` comes from in the prepared graph.

    ``name`` is an output of shape [N] (scalar) or [N,K] (vector), unless the graph could not express the selection:
    then ``index`` picks a column of [N,K], ``key`` picks a map entry of a ZipMap sequence, and ``labels`` maps an
    integer to a string, all done by the session.
    """

    field: str
    name: str
    index: int | None = None
    key: str | int | None = None
    labels: tuple[str, ...] | None = None
    nan: str | None = None
    """An output [N] of the graph, above 0 where the scores that this label was taken from hold NaN."""


@dataclass(frozen=True, slots=True)
class TokenizerSpec:
    path: Path
    argument: str
    max_length: int | None = None
    """Most tokens of a text. None: what the file says, else 512; never more than ``width``."""
    pair: str | None = None
    """The argument with the second text of each row."""
    padding: Literal["longest", "max_length"] | None = None
    """How far a batch is padded. None: as the file says, else to its longest text."""
    width: int | None = None
    """T of the graph's inputs [N,T] where it is fixed."""
    sha256: str | None = None
    """Of the file, which is checked when it is loaded."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    argument: str
    size: tuple[int, int]
    """Height and width in pixels."""
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: int = 3
    """1 (grey), 3 (RGB) or 4 (RGBA)."""
    resize: Literal["exact", "shortest"] = "exact"
    """To ``size`` whatever the shape, or so that the shorter edge fits; what is too long is cropped."""
    resize_size: int | None = None
    """The edge before the crop, where it is not ``size``."""
    resample: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"
    root: Path | None = None
    """Paths in rows are relative to it."""
    rounding: Literal["nearest", "down"] = "nearest"
    """Of the half pixel that a crop may begin at: torchvision's way, or that of transformers."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What comparing a prepared function with its original found, worst over all outputs."""

    against: str
    """For example ``scikit-learn 1.9.1`` or ``expected.parquet``."""
    rows: int
    absolute: float
    relative: float
    """Relative to the size of the original's value (``functions.check.parity``)."""
    over: int = 0
    """Rows above the tolerance, changed labels among them."""
    labels: int = 0
    """Rows whose label changed."""
    refused: int = 0
    """Rows for which the original raises; they are not compared."""
    allowed: float = 0.0
    """Labels may have changed where the original's two best classes are no farther apart."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What ``precision: int8`` was seen to change, against fp32 on the same texts; worst over all outputs."""

    texts: int
    origin: str
    """For example ``made-up texts`` or ``texts of reviews.parquet``."""
    cosine: float | None = None
    """The smallest of a vector with its fp32 form; of numbers, of the whole column."""
    neighbours: float | None = None
    """The share of texts whose nearest other text, by cosine, is the same."""
    labels: float | None = None
    """The share of texts with the same label."""

    @property
    def worst(self) -> float:
        """What the bound is for: the cosine, or where there are labels alone, their share."""
        return next((one for one in (self.cosine, self.labels) if one is not None), 1.0)


@dataclass(frozen=True, slots=True)
class NativeModel:
    """What scores where no graph does: a library's own prediction, loaded in worker processes."""

    module: str
    """A module of ours: ``load_scorer(request)`` gives a callable, batch of the arguments → one array per output."""
    request: str
    """JSON, for that module alone: where the model lies, and the hashes that it must have."""
    origin: str = "the library"
    """Who returned the values, in messages."""
    is_project_code: bool = False
    """Whether the project's own code runs, which may read its environment."""


@dataclass(frozen=True, slots=True)
class PreparedFunction:
    """A contract plus the artifact that a session loads. Everything lies under ``folder``, named by digest."""

    contract: FunctionContract
    folder: Path
    graph: Path
    """The prepared ONNX file, post-processing fused in where the graph can express it. With ``native`` there is none:
    the file that names the model."""
    inputs: tuple[InputBinding, ...]
    outputs: tuple[OutputBinding, ...]
    tokenizer: TokenizerSpec | None = None
    image: ImageSpec | None = None
    precision: str = "fp32"
    source: str = "onnx"
    warnings: tuple[str, ...] = field(default=())
    origins: tuple[str, ...] = ()
    """Outputs of the graph as it was given, one for each of ``outputs``."""
    files: tuple[tuple[str, str], ...] = ()
    """Name and sha256 of each file in ``folder``, which are checked when they are loaded."""
    runtime: Literal["onnx", "native"] = "onnx"
    verified: Verified | None = None
    """None: there was nothing to compare with."""
    quality: Quality | None = None
    """Of ``precision: int8``."""
    native: NativeModel | None = None
    resolved: str | None = None
    """Which version a name of a registry stood for, for people."""
    returns: tuple[ReturnField, ...] = ()
    """One for each of ``outputs``, with what was left out; empty where the graph's own are taken."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """What a run of the graph is asked for: one for each of ``outputs``, then those that say where NaN was."""
        return (*(one.name for one in self.outputs), *nan_names(self.outputs))


def nan_names(outputs: Iterable[OutputBinding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.nan for one in outputs if one.nan))
