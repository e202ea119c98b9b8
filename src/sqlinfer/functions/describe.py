"""What ``sqlinfer functions describe`` shows, as data."""

from __future__ import annotations

from dataclasses import dataclass

from sqlinfer.functions.check.quality import said
from sqlinfer.functions.snippet import snippet
from sqlinfer.spec.function import Argument, ImageSpec, InputBinding, OutputBinding, PreparedFunction, Verified


@dataclass(frozen=True, slots=True)
class ArgumentRow:
    name: str
    data_type: str
    on_null: str
    on_cast_error: str
    feeds: str
    """The graph input with its shape and element type, e.g. ``features[2] float [N,4]``."""


@dataclass(frozen=True, slots=True)
class OutputRow:
    name: str
    data_type: str
    comes_from: str


@dataclass(frozen=True, slots=True)
class Description:
    name: str
    description: str
    source: str
    digest: str
    arguments: tuple[ArgumentRow, ...]
    outputs: tuple[OutputRow, ...]
    returns: str
    strategy: str
    strategy_reason: str
    cost_per_row: float
    device: str
    batch_size: str
    on_invalid: str
    precision: str
    runtime: str
    verified: str
    """Against what, with which difference, or ``not verified``."""
    row_wise: bool
    artifact: str
    resolved: str
    """Which version a name of a registry stood for."""
    warnings: tuple[str, ...]
    yml: str
    """The arguments and results as they can stand in the declaration."""


def proof(found: Verified | None, runtime: str = "onnx") -> str:
    """In words what comparing it with its original found."""
    if found is None:
        return "predicted by the library itself" if runtime == "native" else "not verified"
    rows = f"{found.rows:,} row{'' if found.rows == 1 else 's'}"
    labels = f", {found.labels:,} with another label" if found.labels else ""
    return (
        f"verified against {found.against} on {rows}: largest difference {found.absolute:.2g}, "
        f"{found.relative:.2g} relative{labels}"
    )


def describe(prepared: PreparedFunction) -> Description:
    """A prepared function as rows of text."""
    contract = prepared.contract
    data_types = {o.name: o.data_type for o in contract.outputs}
    return Description(
        name=contract.name,
        description=contract.description,
        source=prepared.source,
        digest=contract.digest,
        arguments=tuple(_argument(a, prepared) for a in contract.arguments),
        outputs=tuple(
            OutputRow(o.field, data_types[o.field], _origin(o, given))
            for o, given in zip(prepared.outputs, prepared.origins, strict=True)
        ),
        returns=contract.return_type,
        strategy=contract.strategy,
        strategy_reason=contract.strategy_reason,
        cost_per_row=contract.cost_per_row,
        device=contract.device,
        batch_size="measured at the first run" if contract.batch_size is None else str(contract.batch_size),
        on_invalid=contract.on_invalid,
        precision=_precision(prepared),
        runtime=prepared.runtime,
        verified=proof(prepared.verified, prepared.runtime),
        row_wise=contract.row_wise,
        artifact=str(prepared.graph),
        resolved=prepared.resolved or "",
        warnings=prepared.warnings,
        yml=snippet(prepared),
    )


def _precision(prepared: PreparedFunction) -> str:
    if prepared.runtime != "onnx":
        return prepared.runtime
    if prepared.quality is None:
        return prepared.precision
    return (
        f"{prepared.precision}, against fp32 on {said(prepared.quality)}; a result depends on the other texts of its "
        "run by a rounding"
    )


def _argument(argument: Argument, prepared: PreparedFunction) -> ArgumentRow:
    bound = [_feeds(argument.name, b, prepared.image) for b in prepared.inputs if argument.name in b.arguments]
    feeds = f"a column of {prepared.native.origin}'s batch" if prepared.native else ", ".join(bound)
    policy = f"default {argument.default!r}" if argument.on_null == "default" else argument.on_null
    return ArgumentRow(argument.name, argument.data_type, policy, argument.on_cast_error, feeds)


def _feeds(name: str, binding: InputBinding, image: ImageSpec | None) -> str:
    width = "?" if binding.width is None else str(binding.width)
    match binding.layout:
        case "vector":
            return f"{binding.name} {binding.element_type}[N]"
        case "column":
            return f"{binding.name} {binding.element_type}[N,1]"
        case "packed":
            return f"{binding.name}[:, {binding.arguments.index(name)}] {binding.element_type}[N,{width}]"
        case "array":
            return f"{binding.name} {binding.element_type}[N,{width}]"
        case "tokens":
            return f"{binding.name} {binding.element_type}[N,{binding.width or 'T'}] (tokens)"
        case "image":
            axes = "" if image is None else "[N," + ",".join(map(str, _axes(image))) + "]"
            return f"{binding.name} {binding.element_type}{axes} (decoded image)"


def _axes(image: ImageSpec) -> tuple[int, ...]:
    return (image.channels, *image.size) if image.layout == "nchw" else (*image.size, image.channels)


def _origin(binding: OutputBinding, given: str) -> str:
    """``given``: the graph's own output, before anything was appended to it."""
    if binding.labels is None:
        return given
    shown = ", ".join(binding.labels[:4]) + (", …" if len(binding.labels) > 4 else "")
    return f"{given} (labels {shown})"
