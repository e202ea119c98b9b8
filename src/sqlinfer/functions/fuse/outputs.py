"""Declared returns + graph outputs → nodes fused into the graph, Outputs and OutputBindings (design 1.1)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import TensorProto, helper

from sqlinfer import types
from sqlinfer.errors import FunctionError, Location, did_you_mean
from sqlinfer.functions import graph as g
from sqlinfer.functions.binding import fits
from sqlinfer.functions.fuse.deciders import nan_output
from sqlinfer.functions.graph import Port
from sqlinfer.functions.graph_outputs import FLOATS, output_ports, strip_zipmaps
from sqlinfer.project.values import ReturnField
from sqlinfer.spec.function import Output, OutputBinding

SCALAR = "value"
"""The name of the one output of a function that returns no struct."""


@dataclass(frozen=True, slots=True)
class Returns:
    """What the declaration says about the outputs."""

    function: str
    fields: tuple[ReturnField, ...]
    """Empty: every output of the graph is taken."""
    labels: tuple[str, ...] | None = None
    """From the source (``id2label``), where the declaration gives none."""
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Fused:
    outputs: tuple[Output, ...]
    bindings: tuple[OutputBinding, ...]
    origins: tuple[str, ...]
    """Outputs of the graph that they are made of."""


def fuse(model: onnx.ModelProto, returns: Returns) -> Fused:
    """Strip ZipMaps, append the post-processing, and leave only the needed outputs (edits ``model``).

    Raises:
        FunctionError: an output is unknown, must be spelled, or does not fit the declared type.
    """
    zipped = strip_zipmaps(model.graph)
    ports = output_ports(model, zipped)
    declared = returns.fields or _undeclared(ports)
    fields = [_Field(model, replace(returns, fields=declared), ports, item) for item in declared]
    origins = tuple(item.port.name for item in fields)
    results = [item.run() for item in fields]
    final = {item.port.name: item.port for item in fields}
    nans = {name: nan_output(model, name) for name in final}
    bindings = tuple(replace(binding, nan=nans[binding.name]) for _, binding in results)
    final |= {name: Port(name, "float", ("N",)) for name in nans.values() if name}
    _set_outputs(model.graph, tuple(final.values()))
    g.prune(model.graph, tuple(final))
    return Fused(tuple(o for o, _ in results), bindings, origins)


def _undeclared(ports: Sequence[Port]) -> tuple[ReturnField, ...]:
    """The one output of a graph as a scalar function, several as a struct with fields named like them."""
    if len(ports) == 1:
        return (ReturnField(SCALAR, output=ports[0].name),)
    fields: list[ReturnField] = []
    for port in ports:
        stem = name = re.sub(r"\W+", "_", port.name).strip("_") or "output"
        taken = {field.name.casefold() for field in fields}
        while name.casefold() in taken:
            name = f"{stem}_{len(taken)}"
        fields.append(ReturnField(name, output=port.name))
    return tuple(fields)


class _Field:
    """One declared output: chooses its tensor, then appends one node after another."""

    def __init__(self, model: onnx.ModelProto, returns: Returns, ports: Sequence[Port], declared: ReturnField) -> None:
        self.model, self.returns, self.ports, self.declared = model, returns, ports, declared
        self.port = self._choose()
        self.labels: tuple[str, ...] | None = None

    def run(self) -> tuple[Output, OutputBinding]:
        self._flatten()
        self._check_rank()
        declared = self.declared
        self._pool()
        if declared.activation == "softmax":
            self._append("Softmax", axis=-1)
        elif declared.activation == "sigmoid":
            self._append("Sigmoid")
        if declared.argmax:
            self._argmax()
        elif declared.index is not None or declared.key is not None:
            self._pick()
        if declared.normalize:
            self._normalize()
        self._flatten_column()
        self._labels()
        if self.port.element_type in ("float16", "bfloat16"):
            self._append("Cast", element_type="float", to=TensorProto.FLOAT)
        output = Output(declared.name, self._data_type())
        return output, OutputBinding(declared.name, self.port.name, labels=self.labels)

    # -- choosing ---------------------------------------------------------------------------------------------------

    def _choose(self) -> Port:
        name = self.declared.output
        if name is not None:
            return self._by_name(name)
        if len(self.ports) == 1:
            return self.ports[0]
        if len(self.returns.fields) > 1:
            same = [p for p in self.ports if p.name.casefold() == self.declared.name.casefold()]
            if len(same) == 1:
                return same[0]
        fitting = [p for p in self.ports if (_is_label(p) if self.declared.own_labels else self._could_be(p))]
        if len(fitting) == 1:
            return fitting[0]
        raise self._error(
            "which output?" if self.declared.data_type is None else f"no single output fits {self.declared.data_type}",
            f"spell 'output:' (one of {', '.join(p.name for p in self.ports)}), with 'index:' where it has columns",
        )

    def _by_name(self, name: str) -> Port:
        exact = [p for p in self.ports if p.name == name]
        folded = [p for p in self.ports if p.name.casefold() == name.casefold()]
        if len(found := exact or folded) == 1:
            return found[0]
        hint = did_you_mean(name, [p.name for p in self.ports])
        raise self._error(f"the graph has no output '{name}'", hint)

    def _could_be(self, port: Port) -> bool:
        """Whether the declared type alone names this output."""
        declared = self.declared.data_type
        if declared is None or not port.is_tensor:
            return False
        if self.declared.pooling:
            return port.rank == 3
        port = replace(port, shape=_without_ones(port.shape))
        columns = port.rank == 2 and port.width != 1
        picks = self.declared.index is not None or self.declared.key is not None or self.declared.argmax
        if types.is_array(declared) or picks:
            return columns and port.element_type in FLOATS
        if columns:
            return False
        if types.is_float(declared) or types.is_decimal(declared):
            return port.element_type in FLOATS
        return _represents(port.element_type, declared)

    def _check_rank(self) -> None:
        port = self.port
        if not port.is_tensor:
            raise self._error(f"output '{port.name}' is a {port.element_type}, not a tensor", "name another output")
        if port.rank == 0:
            raise self._error(f"output '{port.name}' is a scalar: it has no batch axis", "one value per row is needed")
        if port.rank is not None and port.rank > (3 if self.declared.pooling else 2):
            raise self._too_deep(port)

    def _too_deep(self, port: Port) -> FunctionError:
        sizes = [size for size in (port.shape or ())[1:] if isinstance(size, int)]
        vector = None
        if len(sizes) + 1 == port.rank and (sql := types.ONNX_TO_SQL.get(port.element_type)):
            vector = f"declare all of its values as one vector ({sql.lower()}[{math.prod(sizes)}])"
        if not self.declared.pooling and port.rank == 3:
            hint = "declare 'pooling: mean' or 'pooling: cls'" + (f", or {vector}" if vector else "")
            return self._error(f"output '{port}' has one vector per token", hint)
        return self._error(f"output '{port}' has rank {port.rank}; [N] or [N,K] is needed", vector)

    def _flatten(self) -> None:
        """[N,1,1] → [N,1], [N,K,1] → [N,K]; [N,H,W] → [N,H*W] where a vector is declared."""
        shape = self.port.shape
        if shape is None or len(shape) < 3 or self.declared.pooling is not None:
            return
        rest = [size for size in shape[1:] if size != 1]
        whole = math.prod(size for size in rest if isinstance(size, int))
        declared = self.declared.data_type or ""
        if len(rest) > 1:
            known = all(isinstance(size, int) for size in rest)
            if not known or not types.is_array(declared) or types.array_width(declared) not in (None, whole):
                return
        width: g.Dim = whole if all(isinstance(size, int) for size in rest) else rest[0]
        target = self._constant([0, width if isinstance(width, int) else -1], "shape", (2,))
        self._append("Reshape", (target,), shape=(shape[0], width))

    # -- nodes ------------------------------------------------------------------------------------------------------

    def _pool(self) -> None:
        if self.declared.pooling is None:
            return
        self._need(self.port.rank in (3, None), "pooling", "[N,T,H]")
        shape = self.port.shape or (None, None, None)
        if self.declared.pooling == "cls":
            self._append("Gather", (self._constant([0], "index", ()),), shape=(shape[0], shape[2]), axis=1)
            return
        mask = next((p for p in g.input_ports(self.model.graph) if p.name == "attention_mask"), None)
        if mask is None:
            raise self._error("'pooling: mean' needs the graph input 'attention_mask'", "use 'pooling: cls'")
        self._mean(mask.name, shape)

    def _mean(self, mask: str, shape: tuple[g.Dim, ...]) -> None:
        """sum(h · mask) / max(sum(mask), 1e-9): what sentence-transformers computes."""
        hidden, kind = self.port.name, _TENSOR_TYPES[self.port.element_type]
        (as_float,) = self._nodes("Cast", [mask], to=kind)
        rows = self._unsqueeze(as_float, 1)
        (total,) = self._nodes("MatMul", [rows, hidden])
        columns = self._unsqueeze(as_float, 2)
        ones = self._constant([1.0], "one", (1, 1), self.port.element_type)
        (count,) = self._nodes("MatMul", [self._transpose(columns), self._expand_one(columns, ones)])
        floor = self._constant([1e-9], "floor", (), self.port.element_type)
        (safe,) = self._nodes("Max", [count, floor])
        (mean,) = self._nodes("Div", [total, safe])
        self._squeeze(mean, 1, (shape[0], shape[2]))

    def _transpose(self, name: str) -> str:
        return self._nodes("Transpose", [name], perm=[0, 2, 1])[0]

    def _expand_one(self, columns: str, one: str) -> str:
        """A [N,T,1] tensor of ones, so that a MatMul sums the mask (ReduceSum's axes moved between opsets)."""
        (zeros,) = self._nodes("Sub", [columns, columns])
        return self._nodes("Add", [zeros, one])[0]

    def _unsqueeze(self, name: str, axis: int) -> str:
        if g.opset(self.model) >= 13:
            return self._nodes("Unsqueeze", [name, self._constant([axis], "axes", (1,))])[0]
        return self._nodes("Unsqueeze", [name], axes=[axis])[0]

    def _squeeze(self, name: str, axis: int, shape: tuple[g.Dim, ...]) -> None:
        self.port = replace(self.port, name=name)
        if g.opset(self.model) >= 13:
            self._append("Squeeze", (self._constant([axis], "axes", (1,)),), shape=shape)
        else:
            self._append("Squeeze", shape=shape, axes=[axis])

    def _argmax(self) -> None:
        self._need(self.port.rank in (2, None), "argmax", "[N,K]")
        port, labels = self.port, self.port.labels
        self._append("ArgMax", shape=self._batch(), element_type="int64", axis=-1, keepdims=0)
        self._default_labels(labels)
        self._check_labels(self.declared.labels or self.labels, port)

    def _default_labels(self, labels: tuple[str | int, ...] | None) -> None:
        """Without ``labels:``, a text result takes the graph's own class labels, or the source's."""
        if self.declared.labels is None and self.declared.data_type in (None, "TEXT"):
            if labels and all(isinstance(item, str) for item in labels):
                self.labels = tuple(str(item) for item in labels)
            elif self.declared.data_type == "TEXT" or self.returns.labels:
                self.labels = self.returns.labels

    def _pick(self) -> None:
        """``index`` or ``key`` (a class label) of [N,K]."""
        declared, port = self.declared, self.port
        self._need(port.rank in (2, None), "index" if declared.index is not None else "key", "[N,K]")
        if declared.key is not None:
            self._check_labels(declared.labels, port)
        index = declared.index if declared.index is not None else self._position(declared.key)
        width = port.width or (len(port.labels) if port.labels else None)
        if width is not None and not -width <= index < width:
            raise self._error(
                f"index {index} is out of range: output '{port.name}' has {width} column{'s' if width != 1 else ''}",
                f"use 0 to {width - 1}",
            )
        self._append("Gather", (self._constant([index], "index", ()),), shape=self._batch(), axis=1)

    def _position(self, key: str | int | None) -> int:
        labels = self.declared.labels or self.port.labels or self.returns.labels
        if not labels:
            raise self._error(f"output '{self.port.name}' has no class labels to find {key!r} in", "use 'index:'")
        texts = [str(label) for label in labels]
        if str(key) not in texts:
            raise self._error(f"output '{self.port.name}' has no class {key!r}", did_you_mean(str(key), texts))
        return texts.index(str(key))

    def _normalize(self) -> None:
        self._need(self.port.rank in (2, None), "normalize", "a vector [N,K]")
        if self.port.element_type == "float16":
            self._append("Cast", element_type="float", to=TensorProto.FLOAT)
        self._append("LpNormalization", axis=-1, p=2)

    def _flatten_column(self) -> None:
        """[N,1] → [N] where a scalar is wanted."""
        wants_array = self.declared.data_type is not None and types.is_array(self.declared.data_type)
        if self.port.rank == 2 and self.port.width == 1 and not wants_array:
            self._append("Reshape", (self._constant([-1], "flat", (1,)),), shape=self._batch())

    def _as_text(self) -> None:
        """The library's own labels, asked for as texts: their spelling where they are numbers, else their names."""
        classes = self.returns.labels
        wanted = self.declared.data_type == "TEXT" and (self.declared.own_labels or classes is not None)
        if not wanted or self.port.element_type not in ("int64", "int32", "bool") or self.port.rank not in (1, None):
            return
        if classes is not None and not all(one.lstrip("-").isdecimal() for one in classes):
            if self.port.element_type == "bool":
                self._append("Cast", element_type="int64", to=TensorProto.INT64)
            self.labels = classes
        else:
            self._append("Cast", element_type="string", to=TensorProto.STRING)

    def _labels(self) -> None:
        labels = self.declared.labels
        if labels is None and not self.declared.argmax:
            self._as_text()
        if labels is None or self.declared.index is not None or self.declared.key is not None:
            return
        if self.port.element_type not in ("int64", "int32") or self.port.rank not in (1, None):
            raise self._error(
                f"'labels:' maps integers to texts, but output '{self.port}' is not [N] of integers",
                "add 'argmax: true' to take the best column first",
            )
        if not self.declared.argmax:
            self._check_classes()
        self.labels = labels

    def _check_labels(self, labels: tuple[str, ...] | None, port: Port) -> None:
        """As many labels as columns."""
        if labels is not None and port.width is not None and len(labels) != port.width:
            raise self._error(
                f"{len(labels)} label{'s' if len(labels) != 1 else ''} for the {port.width} columns of output '{port}'",
                "'labels:' has one for each column, in their order",
            )

    def _check_classes(self) -> None:
        """Labels that a classifier's own whole-number classes find their place in."""
        labels = self.declared.labels or ()
        classes = next((port.labels for port in self.ports if port.labels), ())
        numbers = [one for one in classes if isinstance(one, int)]
        if numbers and not (min(numbers) >= 0 and max(numbers) < len(labels)):
            raise self._error(
                f"'labels:' has {len(labels)}, the classes of output '{self.port.name}' go from {min(numbers)} to "
                f"{max(numbers)}",
                "a class is the place of its label, counted from 0",
            )

    def _batch(self) -> tuple[g.Dim, ...]:
        return (self.port.shape[0] if self.port.shape else "N",)

    def _append(
        self,
        op: str,
        more: tuple[str, ...] = (),
        *,
        shape: tuple[g.Dim, ...] | None = None,
        element_type: str | None = None,
        **attributes: object,
    ) -> None:
        (name,) = self._nodes(op, [self.port.name, *more], **attributes)
        same = shape is None
        self.port = Port(
            name,
            element_type or self.port.element_type,
            self.port.shape if same else shape,
            self.port.labels if same else None,
        )

    def _nodes(self, op: str, inputs: list[str], **attributes: object) -> list[str]:
        name = g.fresh_name(self.model.graph, f"sqlinfer_{self.declared.name}_{op.lower()}")
        self.model.graph.node.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return [name]

    def _constant(
        self, values: list[int] | list[float], what: str, shape: tuple[int, ...], element_type: str = "int64"
    ) -> str:
        name = g.fresh_name(self.model.graph, f"sqlinfer_{self.declared.name}_{what}")
        tensor = helper.make_tensor(name, _TENSOR_TYPES[element_type], shape, values)
        self.model.graph.initializer.append(tensor)
        return name

    # -- types ------------------------------------------------------------------------------------------------------

    def _data_type(self) -> str:
        """The declared type if the tensor fits it, else the tensor's own."""
        port, declared = self.port, self.declared.data_type
        produced = "TEXT" if self.labels else types.ONNX_TO_SQL.get(port.element_type)
        if produced is None:
            raise self._error(f"output '{port}' has an element type that SQL does not have", None)
        columns = port.rank == 2
        if declared is None:
            return f"{produced}[{port.width or ''}]" if columns else produced
        if types.is_array(declared) != columns and port.rank is not None:
            raise self._shape_mismatch(declared, columns)
        if columns and (width := types.array_width(declared)) is not None and port.width not in (None, width):
            raise self._error(f"returns {declared}, but output '{port}' has {port.width} columns", None)
        self._check_element(declared, produced)
        return declared

    def _shape_mismatch(self, declared: str, columns: bool) -> FunctionError:
        if columns:
            hint = "pick a column with 'index:' or 'key:', or declare a vector"
            hint += f" ({types.ONNX_TO_SQL.get(self.port.element_type, 'real').lower()}[{self.port.width or ''}])"
            return self._error(f"returns {declared}, but output '{self.port}' has several columns", hint)
        return self._error(
            f"returns {declared}, but output '{self.port}' is one value per row", "declare a scalar type"
        )

    def _check_element(self, declared: str, produced: str) -> None:
        element = types.element_type(declared)
        if self.labels and types.is_text(element):
            return
        if self.labels is None and _represents(self.port.element_type, element):
            return
        if self.labels is None and self.declared.argmax and types.is_integer(element):
            return
        raise self._error(
            f"returns {declared}, but output '{self.port}' is {produced}, which {declared} cannot represent",
            f"declare it as {produced.lower()}, and cast in SQL",
        )

    def _need(self, holds: bool, what: str, wanted: str) -> None:
        if not holds:
            raise self._error(f"'{what}:' needs an output of shape {wanted}; '{self.port}' is not", None)

    def _error(self, message: str, hint: str | None) -> FunctionError:
        field = "" if self.declared.name == SCALAR else f", field '{self.declared.name}'"
        outputs = ", ".join(_with_labels(p) for p in self.ports)
        text = f"function '{self.returns.function}'{field}: {message}\n  graph outputs: {outputs}"
        return FunctionError(text, hint=hint, location=self.declared.location or self.returns.location)


def _without_ones(shape: tuple[g.Dim, ...] | None) -> tuple[g.Dim, ...] | None:
    """[N,1,1] → [N,1], [N,K,1] → [N,K]."""
    if shape is None or len(shape) < 3:
        return shape
    rest = tuple(size for size in shape[1:] if size != 1)
    return (shape[0], *(rest or (1,)))


def _is_label(port: Port) -> bool:
    port = replace(port, shape=_without_ones(port.shape))
    return port.is_tensor and port.element_type not in FLOATS and (port.rank == 1 or port.width == 1)


def _with_labels(port: Port) -> str:
    if not port.labels:
        return str(port)
    shown = ", ".join(map(str, port.labels[:6])) + (", …" if len(port.labels) > 6 else "")
    return f"{port} (classes {shown})"


def _represents(element_type: str, data_type: str) -> bool:
    """Whether a SQL type can hold every value of a tensor (rounding between floats allowed)."""
    if element_type in FLOATS:
        return types.is_float(data_type)
    if element_type == "string":
        return types.is_text(data_type)
    if element_type == "bool":
        return data_type == "BOOLEAN" or types.is_integer(data_type)
    return types.is_float(data_type) or fits(types.ONNX_TO_SQL[element_type], _ELEMENT_OF.get(data_type, "string"))


_ELEMENT_OF = {
    "TINYINT": "int8", "SMALLINT": "int16", "INT": "int32", "INTEGER": "int32", "BIGINT": "int64",
    "UTINYINT": "uint8", "USMALLINT": "uint16", "UINTEGER": "uint32", "UBIGINT": "uint64",
}  # fmt: skip
_TENSOR_TYPES = {
    "float": TensorProto.FLOAT, "double": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16, "string": TensorProto.STRING, "bool": TensorProto.BOOL,
    "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32, "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
}  # fmt: skip


def _set_outputs(graph: onnx.GraphProto, ports: Sequence[Port]) -> None:
    """List exactly ``ports``, in the order of the declared fields."""
    known = {info.name for info in graph.output}
    kept = [_copy(info) for info in graph.output if info.name in {p.name for p in ports}]
    by_name = {info.name: info for info in kept}
    del graph.output[:]
    for port in ports:
        graph.output.append(by_name[port.name] if port.name in known else _info(port))


def _info(port: Port) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(port.name, _TENSOR_TYPES[port.element_type], port.shape)


def _copy(info: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    clone = onnx.ValueInfoProto()
    clone.CopyFrom(info)
    return clone
