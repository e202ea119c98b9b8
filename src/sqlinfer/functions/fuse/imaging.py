"""A declared image and the graph input that takes it → an ImageSpec, or one error that names both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from sqlinfer.errors import FunctionError
from sqlinfer.functions.graph import Dim, Port
from sqlinfer.project.values import ImageConfig
from sqlinfer.spec.function import ImageSpec

CHANNELS = (1, 3, 4)
_NUMBERS = ("float", "double", "float16", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
Layout = Literal["nchw", "nhwc"]
Refusal = Callable[[str, str | None], FunctionError]


def image_spec(argument: str, config: ImageConfig, port: Port, error: Refusal) -> ImageSpec:
    """What of the image is given by the declaration, what by the graph, and that both agree.

    Args:
        error: makes an error of a message and a hint.

    Raises:
        FunctionError: size, channels, mean, std or element type do not fit.
    """
    if port.rank not in (4, None):
        raise error(f"graph input '{port}' takes no image", "an image needs [N,C,H,W] or [N,H,W,C]")
    if port.element_type not in _NUMBERS:
        raise error(f"graph input '{port}' takes {port.element_type}, an image is numbers", None)
    layout = config.layout or _layout(port)
    height, width, channels = _axes(port, layout)
    size = config.size or _whole(height, width)
    if size is None:
        raise error(f"graph input '{port}' takes images of any size, and 'image:' names none",
                    "add 'size: [height, width]' under 'image:'")  # fmt: skip
    if any(isinstance(axis, int) and axis != pixels for axis, pixels in zip((height, width), size, strict=True)):
        raise error(
            f"'size: [{size[0]}, {size[1]}]' with 'layout: {layout}' does not fit graph input '{port}'",
            _other_layout(port, layout, size) or f"the graph takes [{_named(height)}, {_named(width)}]",
        )
    if config.resize_size is not None and config.resize_size < max(size):
        raise error(
            f"'resize_size: {config.resize_size}' is less than the {max(size)} pixels that graph input '{port}' takes",
            None,
        )
    if isinstance(channels, int) and channels not in CHANNELS:
        raise error(
            f"graph input '{port}' takes {channels} channels with 'layout: {layout}'; an image has 1, 3 or 4",
            _other_layout(port, layout, size),
        )
    found = channels if isinstance(channels, int) else _declared_channels(config)
    _check_scaling(config, port, found, error)
    return ImageSpec(
        argument, size, config.mean, config.std, layout, found, config.resize, config.resize_size, config.resample,
        rounding=config.rounding,
    )  # fmt: skip


def _axes(port: Port, layout: Layout) -> tuple[Dim, Dim, Dim]:
    """Height, width and channels."""
    _, second, third, fourth = port.shape or (None,) * 4
    return (third, fourth, second) if layout == "nchw" else (second, third, fourth)


def _layout(port: Port) -> Layout:
    """Channels last where only that axis can be channels."""
    _, second, _, last = port.shape or (None,) * 4
    return "nhwc" if last in CHANNELS and second not in CHANNELS else "nchw"


def _other_layout(port: Port, layout: Layout, size: tuple[int, int]) -> str | None:
    other: Layout = "nhwc" if layout == "nchw" else "nchw"
    height, width, channels = _axes(port, other)
    fits = height in (size[0], None) and width in (size[1], None) and channels in (*CHANNELS, None)
    return f"with 'layout: {other}' it fits" if fits and port.shape is not None else None


def _whole(height: Dim, width: Dim) -> tuple[int, int] | None:
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _named(axis: Dim) -> str:
    return str(axis) if isinstance(axis, int) else "any"


def _declared_channels(config: ImageConfig) -> int:
    counts = {len(config.mean), len(config.std)} - {1}
    return counts.pop() if len(counts) == 1 and counts <= set(CHANNELS) else 3


def _check_scaling(config: ImageConfig, port: Port, channels: int, error: Refusal) -> None:
    for name, values in (("mean", config.mean), ("std", config.std)):
        if len(values) not in (1, channels):
            raise error(
                f"'{name}:' has {len(values)} numbers, graph input '{port}' takes {channels} "
                f"channel{'s' if channels != 1 else ''}",
                "one number for all channels, or one for each",
            )
    plain = set(config.mean) == {0.0} and set(config.std) == {1.0}
    if not plain and "int" in port.element_type:
        raise error(
            f"graph input '{port}' takes whole numbers from 0 to 255, 'mean:' and 'std:' make fractions of them",
            "leave both out, or export the model with a float input",
        )
