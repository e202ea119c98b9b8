"""Image classifiers: the steps of their image processor, and what the pipeline 'image-classification' gives first."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pyarrow as pa

from sqlinfer.functions import graph as g
from sqlinfer.functions.check import artifact
from sqlinfer.functions.huggingface import boundary, loading
from sqlinfer.functions.huggingface.export import exported
from sqlinfer.functions.huggingface.heads import Head
from sqlinfer.functions.huggingface.metadata import Metadata
from sqlinfer.functions.huggingface.texts import (
    activation_of,
    automatic_config,
    classes_of,
    classified,
    save,
    session_of,
)
from sqlinfer.functions.sources.original import Refused, Results, Suggested

Array = np.ndarray[Any, Any]
IMAGE_FILE: Final = "image.json"
_RESAMPLE: Final = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_BATCH: Final = 8
_WARPED: Final = 384
"""Edge from which ConvNeXT's processor resizes without a crop."""


class ImageClassifier:
    def __init__(self, meta: Metadata, request: Mapping[str, Any]) -> None:
        self.meta, self.root, self.folder = meta, request.get("root"), Path(request["folder"])
        self.made_with: Mapping[str, str] = meta.made_with
        self.module = loading.model(meta, "AutoModelForImageClassification") if meta.has_weights else None
        self.config = self.module.config if self.module is not None else automatic_config(meta)
        self.processor = _processor(meta)
        self.steps = steps_of(self.processor)
        self.by_path = _declared(request["arguments"]) != "BLOB"
        self.arguments: tuple[Suggested, ...] = (Suggested("image", "TEXT" if self.by_path else "BLOB"),)
        self.activation = activation_of(self.config)
        self.results = Results("text_classes", classes_of(self.config))
        self._session: Any = None

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, Array]:
        given = rows.column(0).to_pylist()
        parts = [self._logits(given[start : start + _BATCH]) for start in range(0, len(given), _BATCH)]
        empty = np.empty((0, len(self.results.classes or ())), np.float32)
        if not parts:
            return {"label": np.empty(0, np.int64), "score": np.empty(0, np.float32), "probabilities": empty}
        return classified(np.concatenate(parts), self.activation)

    def _logits(self, given: list[bytes | str]) -> Array:
        import torch

        pixels = self.processor(images=[self._opened(one) for one in given], return_tensors="pt")[
            "pixel_values"
        ].float()
        if self.module is None:
            return self._by_graph(pixels.numpy())
        with torch.inference_mode():
            found: Array = self.module(pixel_values=pixels)["logits"].float().numpy()
        return found

    def _by_graph(self, pixels: Array) -> Array:
        if self._session is None:
            self._session = session_of(self.meta)
        found: Array = self._session.run(None, {self._session.get_inputs()[0].name: pixels})[0]
        return found.astype(np.float32)

    def _opened(self, given: bytes | str) -> Any:
        from PIL import Image
        from transformers.image_utils import load_image

        place = io.BytesIO(given) if isinstance(given, bytes) else Path(self.root or ".") / given
        with Image.open(place) as image:
            return load_image(image)

    def convert(self, target: Path) -> None:
        graph = self._graph(target.parent)
        head = Head(graph)
        names = [one.name for one in head.model.graph.output]
        output = "logits" if "logits" in names else names[0]
        if self.steps["flipped"]:
            _flip(head)
        save(head.classified(output, self.activation, len(self.results.classes or ())), target)
        (target.parent / IMAGE_FILE).write_text(json.dumps(self.steps))

    def _graph(self, folder: Path) -> onnx.ModelProto:
        if self.meta.graph is not None:
            scratch = folder / "external"
            scratch.mkdir()
            return artifact.load(self.meta.graph, scratch).model
        import torch

        pixels = torch.zeros(2, 3, *self.steps["size"])
        return exported(self.module, "logits", {"pixel_values": pixels}, 1, folder)

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        made = boundary.images(seed)[:limit]
        if not self.by_path:
            return pa.RecordBatch.from_pydict({"image": pa.array(made, pa.binary())})
        places = [self.folder / f"image-{number}" for number in range(len(made))]
        for place, data in zip(places, made, strict=True):
            place.write_bytes(data)
        return pa.RecordBatch.from_pydict({"image": [str(place) for place in places]})


def _declared(arguments: list[Any]) -> str:
    """Type of the first argument."""
    if not arguments:
        return "BLOB"
    first = arguments[0]
    return str(first["data_type"] if isinstance(first, Mapping) else first[1])


def _processor(meta: Metadata) -> Any:
    import transformers

    if not (meta.base / "preprocessor_config.json").is_file():
        raise Refused("the folder has no preprocessor_config.json", "save the image processor beside the model")
    major = int(transformers.__version__.split(".")[0])
    pillow: dict[str, Any] = {"backend": "pil"} if major >= 5 else {"use_fast": False}
    return loading.quietly(
        lambda: transformers.AutoImageProcessor.from_pretrained(str(meta.base), **loading.LOCAL, **pillow),
        "its image processor is not read",
    )


def steps_of(processor: Any) -> dict[str, Any]:
    """The processor's steps as those of an ImageSpec.

    Raises:
        NotExact: it does what an ImageSpec does not.
    """
    found = {"flipped": bool(getattr(processor, "do_flip_channel_order", False)), "rounding": "down"}
    if not getattr(processor, "do_resize", False):
        raise Refused("its image processor resizes nothing, and a graph takes one size", "set 'do_resize: true'")
    if getattr(processor, "do_pad", False):
        raise Refused("its image processor pads images, which has no counterpart here", "'do_pad: false'")
    resample = getattr(processor, "resample", 2)
    found["resample"] = _RESAMPLE.get(int(2 if resample is None else resample), "bilinear")
    return found | _geometry(processor) | _scaling(processor)


def _geometry(processor: Any) -> dict[str, Any]:
    size, crop = _pairs(processor.size), None
    if getattr(processor, "do_center_crop", False):
        said = _pairs(processor.crop_size)
        crop = (said["height"], said["width"])
    shortest = size.get("shortest_edge")
    if shortest and type(processor).__name__.startswith("ConvNext"):
        if shortest >= _WARPED:
            return {"size": [shortest, shortest], "resize": "exact", "resize_size": None}
        edge = int(shortest / processor.crop_pct)
        return {"size": [shortest, shortest], "resize": "shortest", "resize_size": edge}
    if shortest and not size.get("longest_edge") and crop is not None:
        return {"size": list(crop), "resize": "shortest", "resize_size": _enlarged(processor, shortest)}
    if size.get("height") and size.get("width") and not size.get("shortest_edge"):
        whole = (size["height"], size["width"])
        if crop is None or crop == whole:
            return {"size": list(whole), "resize": "exact", "resize_size": None}
        if whole[0] == whole[1] and whole[0] >= max(crop):
            return {"size": list(crop), "resize": "exact", "resize_size": whole[0]}
    raise Refused(f"its image processor gives images of a size of their own (size {size}, crop {crop})",
                  "a fixed height and width, or a shortest edge and a crop, are known")  # fmt: skip


def _enlarged(processor: Any, edge: int) -> int:
    """Two processors resize to more than they say, and crop."""
    kind = type(processor).__name__
    if kind.startswith("Levit"):
        return int(256 / 224 * edge)
    if kind.startswith("PoolFormer") and processor.crop_pct is not None:
        return int(edge / processor.crop_pct)
    return edge


def _scaling(processor: Any) -> dict[str, Any]:
    """``(p·factor - mean) / std`` as ``(p/255 - m) / s``."""
    factor = float(processor.rescale_factor) if getattr(processor, "do_rescale", False) else 1.0
    mean, std = [0.0], [1.0]
    if getattr(processor, "do_normalize", False):
        mean, std = _listed(processor.image_mean), _listed(processor.image_std)
        if getattr(processor, "include_top", False):  # EfficientNet divides twice
            std = [one * one for one in std]
    if getattr(processor, "rescale_offset", False):
        mean = [one + 1.0 for one in mean]
    if not factor > 0 or not all(one > 0 for one in std) or not all(np.isfinite([factor, *mean, *std])):
        raise Refused("preprocessor_config.json scales by nothing: its factor and image_std are above 0", None)
    whole = 255.0 * factor
    return {"mean": [one / whole for one in mean], "std": [one / whole for one in std]}


def _listed(value: Any) -> list[float]:
    return [float(one) for one in value] if isinstance(value, (list, tuple)) else [float(value)]


def _pairs(size: Any) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size, "width": size}
    names = ("height", "width", "shortest_edge", "longest_edge")
    found = {name: size.get(name) if isinstance(size, Mapping) else getattr(size, name, None) for name in names}
    pairs = {name: int(one) for name, one in found.items() if one is not None}
    if not all(0 < one <= 1 << 13 for one in pairs.values()):
        raise Refused(f"preprocessor_config.json asks for images of size {pairs}", "sizes go from 1 to 8192 pixels")
    return pairs


def _flip(head: Head) -> None:
    """Blue first, before anything else sees the pixels."""
    graph = head.model.graph
    name = graph.input[0].name
    order = head.constant([2, 1, 0], np.int64)
    flipped = g.fresh_name(graph, "pixels_flipped")
    for node in graph.node:
        for place, one in enumerate(node.input):
            if one == name:
                node.input[place] = flipped
    graph.node.insert(0, onnx.helper.make_node("Gather", [name, order], [flipped], name=flipped, axis=1))
