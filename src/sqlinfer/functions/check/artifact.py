"""An untrusted ONNX file → a checked, self-contained ModelProto. Everything dangerous is refused here."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from sqlinfer.errors import ArtifactError
from sqlinfer.functions import graph as g
from sqlinfer.functions.check.containment import copied, read_regular
from sqlinfer.functions.fuse.normal_form import all_nodes, inlined, name_attribute_types, shapes_filled

MAX_PROTOBUF = 2**31 - 1
_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".pt2", ".ckpt", ".bin", ".npy", ".npz"})
_MAGIC = (
    (b"PK\x03\x04", "a zip archive (a PyTorch, joblib or Keras file?)"),
    (b"\x1f\x8b", "a gzip archive (a compressed pickle?)"),
    (b"BZh", "a bzip2 archive (a compressed pickle?)"),
    (b"\xfd7zXZ", "an xz archive (a compressed pickle?)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a numpy file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
_PACKED = frozenset(
    value for name, value in TensorProto.DataType.items() if name.endswith(("INT4", "INT2", "FLOAT4E2M1"))
)
"""Several values share a byte."""
_TRUST_HINT = "export it to ONNX, or declare its source (torch, sklearn) with 'trust: <sha256>'"


@dataclass(frozen=True, slots=True)
class Loaded:
    model: onnx.ModelProto
    """External data and local functions inlined; nothing refers to a file."""
    sha256: str
    external: tuple[str, ...]
    """Files of external data, relative to the artifact's folder."""


def load(path: Path, scratch: Path, hashes: Mapping[str, str] | None = None) -> Loaded:
    """Read and check an ONNX file.

    Args:
        scratch: where external data is copied to before it is looked at, so that it is one thing throughout.
        hashes: sha256 of the file (``model``) and of its external data (``data:<location>``), where they are known.

    Raises:
        ArtifactError: missing, not a regular file, not ONNX, damaged, too new, reaching out of its folder, or another
            file than the one that was hashed.
    """
    data = read_regular(path)
    sha256 = hashlib.sha256(data).hexdigest()
    _same(path, "model", sha256, hashes)
    refuse_pickle(path, data[:32])
    model = _parse(path, data)
    name_attribute_types(model)
    _check_domains(path, model)
    external = tuple(sorted({_location(t) for t in tensors(model) if _is_external(t)}))
    for number, location in enumerate(external):
        copy = scratch / f"external-{number}"
        _same(path, f"data:{location}", copied(path, location, copy), hashes)
        for tensor in tensors(model):
            if _is_external(tensor) and _location(tensor) == location:
                _inline(path, tensor, copy)
        copy.unlink()
    for tensor in tensors(model):
        _check_tensor(path, tensor)
    model = inlined(model)
    _check_domains(path, model)  # again: a call of a local function that is not there
    _check_structure(path, model)
    return Loaded(model, sha256, external)


def _same(path: Path, name: str, sha256: str, hashes: Mapping[str, str] | None) -> None:
    if hashes is not None and hashes.get(name) != sha256:
        raise ArtifactError(f"artifact {path} changed while it was read", hint="run again")


def external_files(path: Path, sha256: str) -> tuple[str, ...]:
    """Locations of external data that an ONNX file of that hash names, not yet checked."""
    data = read_regular(path)
    _same(path, "model", hashlib.sha256(data).hexdigest(), {"model": sha256})
    refuse_pickle(path, data[:32])
    return tuple(sorted({_location(t) for t in tensors(_parse(path, data)) if _is_external(t)}))


def refuse_pickle(path: Path, head: bytes) -> None:
    """Refuse what unpickling or unzipping would be needed for, by content and by extension."""
    what = next((text for magic, text in _MAGIC if head.startswith(magic)), None)
    if what is None and len(head) > 1 and head[0] == 0x80 and head[1] <= 5:
        what = "a Python pickle"
    if what is None and path.suffix.lower() in _PICKLE_SUFFIXES:
        what = f"a {path.suffix} file"
    if what is not None:
        raise ArtifactError(f"artifact {path} is {what}, not ONNX; it is not loaded", hint=_TRUST_HINT)


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, TypeError) as error:
        if "alloc failed" in str(error):  # protobuf says a limit of memory in the words of a damaged file
            raise MemoryError(str(error)) from error
        raise _damaged(path, "it does not parse as ONNX") from error
    if not model.HasField("graph") or not model.ir_version or not model.opset_import:
        raise _damaged(path, "it has no graph")
    if not model.graph.node or not model.graph.output:
        raise _damaged(path, "its graph has no nodes or no outputs")
    if model.ir_version > onnx.IR_VERSION:
        raise _too_new(path, f"IR version {model.ir_version}", onnx.IR_VERSION)
    return model


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(
        f"artifact {path} is not an ONNX model, or it is truncated: {why}",
        hint="export it again, and check that the whole file was copied",
    )


def _too_new(path: Path, what: str, newest: int) -> ArtifactError:
    return ArtifactError(
        f"artifact {path} has {what}, newer than the installed onnx knows ({newest})",
        hint="export it with an older opset, or upgrade onnx and onnxruntime",
    )


def _check_domains(path: Path, model: onnx.ModelProto) -> None:
    own = {f.domain for f in model.functions}
    foreign = (node for node in all_nodes(model) if node.domain not in _KNOWN_DOMAINS | own)
    node = min(foreign, key=lambda found: found.domain, default=None)
    if node is not None:
        raise ArtifactError(
            f"artifact {path} needs custom operators of domain '{node.domain}' ({node.op_type}); their libraries are "
            "never loaded from a model",
            hint="export it with operators of ai.onnx, ai.onnx.ml or com.microsoft only",
        )
    newest = onnx.defs.onnx_opset_version()
    if g.opset(model) > newest:
        raise _too_new(path, f"opset {g.opset(model)}", newest)
    if g.opset(model, "ai.onnx.ml") > onnx.defs.onnx_ml_opset_version():
        raise _too_new(path, f"ai.onnx.ml opset {g.opset(model, 'ai.onnx.ml')}", onnx.defs.onnx_ml_opset_version())


def _check_tensor(path: Path, tensor: TensorProto) -> None:
    """Dimensions and content must agree: later stages, and ONNX Runtime, rely on it."""
    try:
        field, per_element = _storage(tensor)
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged(path, f"tensor '{tensor.name}' has no known element type") from error
    count = math.prod(tensor.dims)
    stored = len(getattr(tensor, field))
    if tensor.data_type in _PACKED:
        return
    if any(dim < 0 for dim in tensor.dims) or stored != count * per_element:
        raise _damaged(path, f"tensor '{tensor.name}' of shape {list(tensor.dims)} holds {stored} {field}")


def _storage(tensor: TensorProto) -> tuple[str, int]:
    """The field that holds the values, and how many of its entries one value takes."""
    if tensor.HasField("raw_data"):
        return "raw_data", int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
    complex_numbers = tensor.data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128)
    return field, 2 if complex_numbers else 1


def _check_structure(path: Path, model: onnx.ModelProto) -> None:
    if model.ByteSize() > MAX_PROTOBUF:
        return
    try:
        with shapes_filled(model) as filled:
            onnx.checker.check_model(filled)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _damaged(path, f"ONNX's checker says: {first}") from error


def tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every tensor of the model: initialisers and attributes, nested graphs and local functions included."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for item in node.attribute:
        if item.HasField("t"):
            yield item.t
        yield from item.tensors
        if item.HasField("sparse_tensor"):
            yield from (item.sparse_tensor.values, item.sparse_tensor.indices)
    for inner in g.subgraphs(node):
        yield from _graph_tensors(inner)


def _is_external(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data))


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _location(tensor: TensorProto) -> str:
    return _entries(tensor).get("location", "")


def _inline(path: Path, tensor: TensorProto, file: Path) -> None:
    size = file.stat().st_size
    entries = _entries(tensor)
    try:
        offset = _whole_number(entries.get("offset", "0"))
        length = _whole_number(entries.get("length", str(max(0, size - offset))))
    except ValueError as error:
        raise _outside(path, tensor, "its offset or length is no number") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise _outside(
            path, tensor, f"bytes {offset} to {offset + length} are not inside {_location(tensor)} ({size} bytes)"
        )
    with file.open("rb") as handle:
        handle.seek(offset)
        tensor.raw_data = handle.read(length)
    tensor.ClearField("external_data")
    tensor.data_location = TensorProto.DEFAULT


def _outside(path: Path, tensor: TensorProto, why: str) -> ArtifactError:
    return ArtifactError(
        f"artifact {path}: external data of tensor '{tensor.name}' is damaged: {why}",
        hint="copy the .onnx file and its data file together",
    )


def _whole_number(text: str) -> int:
    """ASCII digits alone: Python would take those of every script, and ONNX Runtime reads none of them."""
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise ValueError(f"'{text[:20]}' is no number of bytes")
    return int(text)
