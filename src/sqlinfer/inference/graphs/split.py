"""An ONNX model → the model split around its forests, kept only where a trial gives the bits of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from sqlinfer.inference.graphs.columns import Column, Columns, Hot, Plain
from sqlinfer.inference.graphs.emitter import Emitter
from sqlinfer.inference.graphs.ensemble import Trees, Unsupported, trees_of
from sqlinfer.inference.graphs.forest import ML, Forest, as_text, attributes_of
from sqlinfer.inference.graphs.forests import alive, finish
from sqlinfer.inference.graphs.oblivious import OP, with_oblivious
from sqlinfer.inference.graphs.opsets import raised
from sqlinfer.inference.graphs.programs import Classes, compiled
from sqlinfer.inference.graphs.trial import Cuts, made_up_rows, opened, outputs_of, same
from sqlinfer.inference.trees.kernel import ForestKernel
from sqlinfer.inference.trees.library import Library
from sqlinfer.inference.trees.program import FEATURE, IS_MEMBER, TRANSFORMS, Program
from sqlinfer.inference.trees.split import Part, Piece, Split

_KINDS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.float32,
          "tensor(int32)": np.float32}  # fmt: skip
_INPUT_KINDS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_OPSET = 13
_ALIKE = {"Concat": 0, "Flatten": 0, "Gather": 0, "Identity": 0, "Reshape": 0, "Squeeze": 0, "Unsqueeze": 0, "Where": 1}
"""Operators whose results have the type of an input, and which one."""
_ENSEMBLES = {"TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble"}
Array = np.ndarray[Any, Any]


def split_of(graph: bytes, names: Sequence[str], library: Library) -> Split:
    """
    Args:
        names: the outputs that are wanted.

    Raises:
        Unsupported: why ONNX Runtime has to run the forests.
    """
    model = onnx.load_from_string(graph)
    if model.functions or any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise Unsupported("a graph with functions, or with weights in a file beside it")
    model, oblivious = with_oblivious(raised(model, _OPSET))
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        raise Unsupported("a graph with graphs in it")
    own = _Splitter(model, names, oblivious, own_classes=True)
    try:
        return _tried(graph, own, library)
    except _Differs:
        if own.left:
            raise
        return _tried(graph, _Splitter(model, names, oblivious, own_classes=False), library)


def forests_left(split: Split) -> int:
    """How many stay in ONNX Runtime: those that look at what another one gives."""
    pieces = [onnx.load_from_string(piece.graph) for piece in (split.head, split.tail) if piece is not None]
    return sum(node.domain == ML and node.op_type in _ENSEMBLES for piece in pieces for node in piece.graph.node)


class _Differs(Unsupported):
    pass


def _tried(graph: bytes, splitter: _Splitter, library: Library) -> Split:
    split, cuts = splitter.split()
    names = splitter.names
    feeds = made_up_rows(splitter.model, cuts)
    if feeds is None:
        raise Unsupported("rows to try it on cannot be made up")
    try:
        expected = outputs_of(opened(graph), feeds, names)
        kernel = ForestKernel(library, split, names, opened)
        found = [*kernel.run(feeds), *kernel.run({name: values[:1] for name, values in feeds.items()})]
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise Unsupported("the graph does not run in pieces") from error
    if not all(same(a, b) for a, b in zip(expected, found, strict=True)):
        raise _Differs(f"{splitter.left}its results differ from ONNX Runtime's")
    return split


@dataclass(slots=True)
class _Cut:
    """One forest, while the graph is split."""

    node: NodeProto
    columns: tuple[Column, ...]
    total: str
    is_widened: bool = False
    """The trees look at floats as doubles."""
    classes: Classes | None = None
    """Where the kernel makes them."""
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    @property
    def is_classifier(self) -> bool:
        return str(self.node.op_type) == "TreeEnsembleClassifier"


class _Splitter:
    """
    Args:
        oblivious: trees of nodes that are no tree ensembles, by the name of their sums.
        own_classes: the kernel makes classes of sums too; else an operator of ONNX Runtime does that.
    """

    def __init__(self, model: Any, names: Sequence[str], oblivious: Mapping[str, Trees], *, own_classes: bool) -> None:
        self.model, self.names = model, tuple(names)
        self._graph = model.graph
        constants = {tensor.name for tensor in self._graph.initializer}
        self._inputs = {port.name: port for port in self._graph.input if port.name not in constants}
        self._made_by = {name: node for node in self._graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in self._graph.initializer}
        self._oblivious = oblivious
        self._own_classes = own_classes
        self.left = ""
        """What the kernel has no word for, so that an operator was tried behind it."""

    def split(self) -> tuple[Split, Cuts]:
        wanted = self._first_forests(alive(list(self._graph.node), set(self.names)))
        if not wanted:
            raise Unsupported("no forest that the results need")
        columns = Columns(self.model, _INPUT_KINDS)
        cuts = [self._cut(node, columns, f"__forest_{number}_") for number, node in enumerate(wanted)]
        inside = dict.fromkeys(c.tensor for cut in cuts for c in cut.columns if c.tensor not in self._inputs)
        head = self._head(list(inside))
        kinds = self._kinds_of(head)
        parts: list[Part] = []
        thresholds: dict[tuple[str, int], Array] = {}
        for cut in cuts:
            part = self._part(cut, kinds)
            parts.append(part)
            thresholds.update(_thresholds(part))
        tail, direct = self._tail(cuts, parts)
        split = Split(tuple(parts), head, tail, direct, self._by_column(cuts, head, tail))
        return split, {key: values for key, values in thresholds.items() if key[0] in self._inputs}

    def _first_forests(self, nodes: Sequence[NodeProto]) -> list[NodeProto]:
        """Those that look at nothing that another one made."""
        made: set[str] = set()
        found = []
        for node in nodes:
            behind = bool(made.intersection(node.input))
            is_forest = (node.domain == ML and node.op_type in _ENSEMBLES) or node.output[0] in self._oblivious
            if is_forest and not behind:
                found.append(node)
            if is_forest or behind:
                made.update(node.output)
        return found

    def _cut(self, node: NodeProto, columns: Columns, prefix: str) -> _Cut:
        known = self._oblivious.get(node.output[0])
        given = attributes_of(node)
        width = 1 + (max(given.get("nodes_featureids", []), default=0) if known is None else int(known.feature.max()))
        if width > 1 << 24:
            raise Unsupported("a column that there is not")
        source, is_widened = self._source(node.input[0])
        is_widened |= known is not None
        cut = _Cut(node, columns.of(source, width), f"{prefix}total", is_widened)
        if not cut.is_classifier:
            cut.total = node.output[0]
            return cut
        forest = Forest(node, given)
        cut.classes = _classes(forest) if self._own_classes else None
        if cut.classes is not None:
            cut.total = node.output[1]
            return cut
        if self._own_classes:
            self.left = f"classes transformed by {forest.post_transform}; "
        emit = Emitter(prefix)
        finish(emit, forest, cut.total)
        cut.nodes, cut.constants = emit.nodes, emit.constants
        return cut

    def _source(self, name: str) -> tuple[str, bool]:
        """What the trees look at; floats that are cast to doubles are looked at as they are."""
        node = self._made_by.get(name)
        if node is None or node.op_type != "Cast" or node.attribute[0].i != TensorProto.DOUBLE:
            return name, False
        return (node.input[0], True) if self._is_float(node.input[0]) else (name, False)

    def _is_float(self, name: str) -> bool:
        """Whether a tensor is known to hold floats."""
        if name in self._inputs:
            return bool(self._inputs[name].type.tensor_type.elem_type == TensorProto.FLOAT)
        if name in self._constants:
            return bool(self._constants[name].data_type == TensorProto.FLOAT)
        node = self._made_by.get(name)
        while node is not None and node.op_type in _ALIKE:
            name = node.input[_ALIKE[node.op_type]]
            if name not in self._made_by:
                return self._is_float(name)
            node = self._made_by[name]
        return node is not None and node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT

    def _head(self, wanted: Sequence[str]) -> Piece | None:
        if not wanted:
            return None
        nodes = alive(list(self._graph.node), set(wanted))
        return self._piece(nodes, self._graph.initializer, [], [helper.make_empty_tensor_value_info(n) for n in wanted])

    def _kinds_of(self, head: Piece | None) -> dict[str, Any]:
        """Tensor → numpy's type of what trees over it compare."""
        ports = {}
        if head is not None:
            try:
                ports = {port.name: port.type for port in opened(head.graph).get_outputs()}
            except Exception as error:  # ONNX Runtime's exceptions share no base class
                raise Unsupported("the graph does not run in pieces") from error
        kinds = {name: _KINDS.get(kind) for name, kind in ports.items()}
        numbers = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64, TensorProto.INT64: np.float32}
        for name, port in self._inputs.items():
            kinds[name] = numbers.get(port.type.tensor_type.elem_type)
        return kinds

    def _part(self, cut: _Cut, kinds: Mapping[str, Any]) -> Part:
        plain = {kinds[c.tensor] for c in cut.columns if isinstance(c, Plain)} or {np.float32}
        kind = plain.pop()
        if plain or kind is None:
            raise Unsupported("trees over other numbers than floats and doubles")
        trees: Trees = self._oblivious.get(cut.node.output[0]) or trees_of(
            cut.node, np.float64 if cut.is_widened else kind
        )
        if cut.is_classifier and cut.classes is None:
            trees = replace(trees, base=np.zeros(trees.targets))  # the operator behind it adds it
        found = compiled(trees, cut.columns, kind, cut.classes, is_classifier=cut.is_classifier)
        wide = cut.node.op_type in ("TreeEnsemble", OP) and bool(trees.weight.dtype == np.float64)
        if cut.classes is None:
            return Part(found.program, found.columns, cut.total, wide)
        labels = _labels(Forest(cut.node, attributes_of(cut.node)))
        return Part(found.program, found.columns, cut.total, wide, cut.node.output[0], labels)

    def _tail(self, cuts: Sequence[_Cut], parts: Sequence[Part]) -> tuple[Piece | None, dict[str, str]]:
        replaced = {tuple(cut.node.output): cut.nodes for cut in cuts}
        totals = {name for part in parts for name in (part.total, part.label) if name}
        nodes = [made for node in self._graph.node for made in replaced.get(tuple(node.output), [node])]
        alias = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Identity"}
        direct = {name: _origin(name, alias) for name in self.names}
        direct = {name: origin for name, origin in direct.items() if origin in totals}
        rest = [name for name in self.names if name not in direct]
        if not rest:
            return None, direct
        ports = [port for part in parts for port in _ports(part)]
        constants = [*self._graph.initializer, *(one for cut in cuts for one in cut.constants)]
        kinds = {port.name: port for port in self._graph.output}
        outputs = [kinds[name] if name in kinds else helper.make_empty_tensor_value_info(name) for name in rest]
        return self._piece(alive(nodes, set(rest)), constants, ports, outputs), direct

    def _piece(
        self, nodes: Sequence[NodeProto], constants: Iterable[TensorProto], ports: Sequence[Any], outputs: Sequence[Any]
    ) -> Piece:
        """A model of some nodes. Its inputs are those that they need of the graph's, and of ``ports``."""
        used = {name for node in nodes for name in node.input} | {port.name for port in outputs}
        inputs = [port for port in (*self._inputs.values(), *ports) if port.name in used]
        kept = [tensor for tensor in constants if tensor.name in used]
        made = onnx.ModelProto()
        made.CopyFrom(self.model)
        graph = made.graph
        del graph.node[:], graph.initializer[:], graph.input[:], graph.output[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(kept)
        graph.input.extend(inputs)
        graph.output.extend(outputs)
        names = tuple(port.name for port in outputs)
        return Piece(made.SerializeToString(), tuple(port.name for port in inputs), names)

    def _by_column(self, cuts: Sequence[_Cut], head: Piece | None, tail: Piece | None) -> frozenset[str]:
        used = {c.tensor for cut in cuts for c in cut.columns if isinstance(c, Plain)}
        elsewhere = {name for piece in (head, tail) if piece is not None for name in piece.inputs}
        hot = {c.tensor for cut in cuts for c in cut.columns if isinstance(c, Hot)}
        return frozenset((used & self._inputs.keys()) - elsewhere - hot)


def _classes(forest: Forest) -> Classes | None:
    """None where the kernel has no word for them."""
    if forest.post_transform not in TRANSFORMS:
        return None
    if forest.is_paired:
        return Classes(2, forest.post_transform, is_paired=True)
    return Classes(len(forest.labels), forest.post_transform, min(forest.weights, default=0) >= 0)


def _labels(forest: Forest) -> tuple[int | str, ...]:
    found = tuple(as_text(one) if isinstance(one, bytes) else one for one in forest.labels)
    # Of two classes with weights of their own ONNX Runtime gives 0 and 1, whatever they are called as integers.
    return (0, 1) if forest.targets == 2 and isinstance(found[0], int) else found


def _ports(part: Part) -> list[Any]:
    """What a forest gives, as inputs of the tail."""
    kind = TensorProto.DOUBLE if part.wide else TensorProto.FLOAT
    found = [helper.make_tensor_value_info(part.total, kind, [None, part.program.width])]
    if part.label:
        kind = TensorProto.STRING if isinstance(part.labels[0], str) else TensorProto.INT64
        found.append(helper.make_tensor_value_info(part.label, kind, [None]))
    return found


def _origin(name: str, alias: Mapping[str, str]) -> str:
    for _ in range(len(alias)):
        if name not in alias:
            break
        name = alias[name]
    return name


def _thresholds(part: Part) -> Cuts:
    """What a trial shall meet; of sets the ends of their runs."""
    program = part.program
    found = {}
    number = program.node_value[(program.node_feature & IS_MEMBER) != 0].astype(np.int64)
    for place, key in enumerate(part.columns):
        at, levels = int(program.cut_at[place]), int(program.levels[place])
        cuts = program.cuts[at : at + (1 << levels)] if levels else np.empty(0, program.cuts.dtype)
        here = (program.node_feature & FEATURE) == place
        asks = (program.node_feature & IS_MEMBER) != 0
        ends = [_ends(program, one) for one in np.unique(number[here[asks]]).tolist()]
        together = np.unique(np.concatenate([cuts, program.node_value[here & ~asks], *ends]))
        found[key] = together[np.isfinite(together)].astype(program.cuts.dtype)
    return found


def _ends(program: Program, number: int) -> Array:
    """Where a set of whole numbers begins and ends, once and again."""
    one = program.sets[number]
    bits = program.members[4 * int(one["at"]) : 4 * int(one["at"]) + (int(one["size"]) + 7) // 8]
    inside = np.unpackbits(bits, bitorder="little")[: int(one["size"])]
    edges = np.flatnonzero(np.diff(np.pad(inside, 1).astype(np.int8)))
    return np.asarray(np.unique([edges - 1, edges]) + int(one["first"]), dtype=program.cuts.dtype)
