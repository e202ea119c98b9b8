"""The forest kernel gives the bits of ONNX Runtime, whatever the trees look like, with every set of instructions."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import helper

from sqlinfer.errors import ArtifactError, KernelError
from sqlinfer.functions.forests.graph import GraphWriter
from sqlinfer.functions.forests.oblivious import Oblivious, sums
from sqlinfer.inference import open_session, read_rewrites
from sqlinfer.inference.graphs.ensemble import Unsupported
from sqlinfer.inference.graphs.split import split_of
from sqlinfer.inference.graphs.trial import opened
from sqlinfer.inference.runnable import KERNEL, NO_KERNEL, runnable_graph
from sqlinfer.inference.trees import library as library_module
from sqlinfer.inference.trees.kernel import ForestKernel
from sqlinfer.inference.trees.library import SETS, Library, library
from sqlinfer.inference.trees.program import Program, Struct, program
from sqlinfer.inference.trees.split import Split, packed, unpacked
from sqlinfer.spec.function import InputBinding, OutputBinding
from sqlinfer.testing import forests as made
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.forests import MODES, Shape

FOUND = library()
pytestmark = pytest.mark.skipif(isinstance(FOUND, str), reason=f"no forest kernel: {FOUND}")
ROUNDS = int(os.environ.get("SQLINFER_FUZZ_FORESTS", "40"))
DAMAGED = 5 * ROUNDS


def kernel() -> Library:
    found = library()
    assert isinstance(found, Library)
    return found


def names_of(shape: Shape) -> list[str]:
    return ["label", "score"] if shape.classes else ["score"]


def assert_same_bits(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


def assert_alike(graph: bytes, names: Sequence[str], rows: Any, *, counts: Sequence[int] = (1, 63, 1500)) -> Split:
    """In the kernel, with every set of instructions, and in ONNX Runtime."""
    split = split_of(graph, names, kernel())
    theirs = opened(graph)
    for place in range(kernel().best + 1):
        ours = ForestKernel(replace(kernel(), best=place), unpacked(packed(split)), names, opened)
        for count in counts:
            feeds = {name: values[:count] for name, values in rows.items()}
            for found, expected in zip(ours.run(feeds), theirs.run(list(names), feeds), strict=True):
                assert_same_bits(found, expected)
    return split


def check(shape: Shape) -> Split:
    return assert_alike(made.graph(shape), names_of(shape), {"features": made.rows(shape, 1500)})


def any_shape(seed: int) -> Shape:
    rng = np.random.default_rng(seed)
    version = int(rng.choice([3, 5]))
    targets = int(rng.choice([1, 1, 2, 3, 5]))
    classes: tuple[int | str, ...] = ()
    more: dict[str, Any] = {}
    if version == 3 and rng.random() < 0.3:
        classes = tuple(range(max(2, targets))) if rng.random() < 0.5 else tuple("abcdefg"[: max(2, targets)])
        more["post_transform"] = str(rng.choice(["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]))
    elif rng.random() < 0.3:
        more["aggregate_function"] = int(rng.choice(4)) if version == 5 else str(rng.choice(["AVERAGE", "MIN", "MAX"]))
    if version == 3 and rng.random() < 0.4:
        more["base_values"] = [float(np.float32(one)) for one in rng.normal(size=targets)]
    modes = MODES if rng.random() < 0.4 else (str(rng.choice(MODES)),)
    levels, double = bool(rng.random() < 0.2), bool(rng.random() < 0.3)
    return Shape(
        trees=int(rng.integers(1, 30)),
        leaves=int(rng.choice([2, 8, 64, 256] if levels else [2, 5, 16, 17, 31, 60, 100, 255, 256, 257, 600])),
        levels=levels,
        features=int(rng.integers(1, 9)),
        deep=float(rng.choice([0, 0.5, 0.95])),
        modes=modes,
        missing=bool(rng.integers(2)),
        members=bool(version == 5 and rng.random() < 0.5),
        chains=bool(rng.random() < 0.2),
        targets=targets,
        grid=(None, 4, 16, 300)[int(rng.integers(4))],
        classes=classes,
        double=double,
        from_floats=bool(double and rng.random() < 0.5),
        tensors=bool(double and rng.random() < 0.5),
        version=version,
        seed=seed,
        more=more,
    )


def test_random_forests_give_the_bits_of_the_runtime() -> None:
    done = 0
    for seed in range(ROUNDS):
        shape = any_shape(seed)
        graph = made.graph(shape)
        try:
            opened(graph)
        except Exception:
            continue  # the runtime refuses it itself: sets of more values than it takes
        try:
            check(shape)
        except Unsupported as error:
            why = str(error)
        else:
            done += 1
            continue
        assert "differ" not in why, shape
        assert "pieces" not in why, shape
    assert done > ROUNDS / 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("leaves", [20, 400])
def test_every_comparison_decides_alike(mode: str, missing: bool, leaves: int) -> None:
    check(Shape(modes=(mode,), missing=missing, leaves=leaves))


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("leaves", [1, 2, 16, 17, 32, 33, 64, 65, 256, 257])
def test_trees_of_every_size(leaves: int, double: bool) -> None:
    check(Shape(leaves=leaves, double=double, trees=9))


@pytest.mark.parametrize("deep", [0.0, 0.5, 1.0])
def test_a_column_may_have_more_thresholds_than_a_byte_has_numbers(deep: float) -> None:
    split = check(Shape(trees=60, leaves=100, features=2, grid=None, deep=deep))
    assert split.forests[0].program.groups > 1


def test_a_tree_with_too_many_thresholds_on_one_column_is_walked() -> None:
    split = check(Shape(trees=3, leaves=256, features=1, grid=None))
    assert split.forests[0].program.group_kind.tolist() == [1]


def test_small_and_large_trees_alternate() -> None:
    rng = np.random.default_rng(1)
    graphs = [onnx.load_from_string(made.graph(Shape(leaves=n, trees=2, seed=n))) for n in (5, 300, 7, 400)]
    lists: dict[str, list[Any]] = {}
    for number, model in enumerate(graphs):
        for one in model.graph.node[0].attribute:
            values = helper.get_attribute_value(one)
            if isinstance(values, list):
                shift = 10 * number if one.name.endswith("treeids") else 0
                lists.setdefault(one.name, []).extend(v + shift if shift else v for v in values)
    node = helper.make_node("TreeEnsembleRegressor", ["features"], ["score"], domain=made.ML, n_targets=1, **lists)
    graph = ob.build([node], [ob.value("features", "float", ["N", 6])], [ob.value("score", "float", ["N", 1])])
    split = assert_alike(graph, ["score"], {"features": rng.random((1500, 6), dtype=np.float32)})
    assert split.forests[0].program.group_kind.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize(("version", "targets"), [(3, 1), (3, 3), (5, 1)])
def test_aggregates(version: int, aggregate: str, targets: int) -> None:
    word: Any = ("AVERAGE", "SUM", "MIN", "MAX").index(aggregate) if version == 5 else aggregate
    base = {} if version == 5 else {"base_values": [0.1, -2.0, 3.5][:targets]}
    check(Shape(version=version, targets=targets, more={"aggregate_function": word, **base}))


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("labels", [(4, 5, 6), ("a", "b", "c"), (0, 1), ("no", "yes")])
@pytest.mark.parametrize(("leaves", "kind"), [(7, "float"), (300, "float"), (7, "double"), (7, "tensors")])
@pytest.mark.parametrize("base", [False, True])
def test_classes(transform: str, labels: tuple[int | str, ...], leaves: int, kind: str, base: bool) -> None:
    values = {"base_values": [0.3, -0.25, 0.1][: len(labels)]} if base else {}
    shape = Shape(classes=labels, targets=len(labels), leaves=leaves, more={"post_transform": transform, **values})
    split = check(replace(shape, double=kind != "float", tensors=kind == "tensors"))
    assert split.tail is None


def test_probits_of_two_classes_are_left_to_the_runtime() -> None:
    shape = Shape(classes=(0, 1), targets=1, more={"post_transform": "PROBIT"})
    with pytest.raises(Unsupported, match="classes transformed by PROBIT"):
        split_of(made.graph(shape), ["label", "score"], kernel())


@pytest.mark.parametrize("transform", ["LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("version", [3, 5])
def test_one_value_is_not_transformed(transform: str, version: int) -> None:
    """The runtime makes a probit of it, and nothing else."""
    word: Any = ("NONE", "SOFTMAX", "LOGISTIC").index(transform) if version == 5 else transform
    check(Shape(version=version, more={"post_transform": word}))
    with pytest.raises(Unsupported, match=f"values transformed by {transform}"):
        split_of(made.graph(Shape(version=version, targets=2, more={"post_transform": word})), ["score"], kernel())


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("base", [{}, {"base_values": [0.3]}])
def test_two_classes_of_one_sum(transform: str, base: dict[str, Any]) -> None:
    split = check(Shape(classes=(0, 1), targets=1, trees=30, more={"post_transform": transform, **base}))
    assert split.tail is None


def test_sets_of_categories() -> None:
    check(Shape(version=5, members=True, trees=20, leaves=60, grid=40, missing=True))


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_sets_of_categories_in_trees_that_are_walked(double: bool, missing: bool) -> None:
    split = check(Shape(version=5, members=True, leaves=400, missing=missing, double=double))
    program = split.forests[0].program
    assert program.group_kind.tolist() == [1]
    assert program.has_sets
    assert len(program.sets)


@pytest.mark.parametrize("leaves", [20, 400])
@pytest.mark.parametrize("missing", [False, True])
def test_equal_to_one_of_several_for_the_same_node_is_a_set(leaves: int, missing: bool) -> None:
    """onnxmltools writes sets of LightGBM so: nodes are shared."""
    shape = Shape(chains=True, leaves=leaves, missing=missing, modes=("BRANCH_LEQ", "BRANCH_EQ"))
    program = check(shape).forests[0].program
    asks = len(program.sets) if leaves > 256 else np.count_nonzero(program.ops["code"] // 4 == 2)
    assert asks > 10


def test_nodes_that_several_lead_to_are_copied() -> None:
    """The runtime takes such forests where it is the side of yes."""
    lists: dict[str, Any] = {
        "nodes_treeids": [0] * 8, "nodes_nodeids": list(range(8)), "nodes_featureids": [0, 1, 1, 2, 0, 0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ"] * 4 + ["LEAF"] * 4, "nodes_values": [0.5, 0.25, 0.75, 0.5, 0.0, 0.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 3, 3, 6, 0, 0, 0, 0], "nodes_falsenodeids": [2, 4, 5, 7, 0, 0, 0, 0],
        "target_treeids": [0] * 4, "target_nodeids": [4, 5, 6, 7], "target_ids": [0] * 4,
        "target_weights": [1.5, -2.0, 0.25, 3.0],
    }  # fmt: skip
    node = helper.make_node("TreeEnsembleRegressor", ["features"], ["score"], domain=made.ML, n_targets=1, **lists)
    graph = ob.build([node], [ob.value("features", "float", ["N", 6])], [ob.value("score", "float", ["N", 1])])
    assert len(assert_alike(graph, ["score"], {"features": made.rows(Shape(), 1500)}).forests[0].program.ops) == 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("leaves", [20, 400])
def test_floats_are_compared_with_doubles_as_doubles(mode: str, leaves: int) -> None:
    shape = Shape(version=5, double=True, from_floats=True, modes=(mode,), leaves=leaves, missing=True)
    for grid in (None, 16):
        split = check(replace(shape, grid=grid))
        assert split.head is None
        assert not split.forests[0].program.is_double
        assert split.forests[0].program.sums_double


@pytest.mark.parametrize("leaves", [2, 8, 64, 256])
@pytest.mark.parametrize("mode", MODES)
def test_a_level_that_asks_one_thing_is_one_operation(leaves: int, mode: str) -> None:
    split = check(Shape(levels=True, leaves=leaves, modes=(mode,), missing=True, trees=9))
    assert len(split.forests[0].program.ops) == 9 * (leaves.bit_length() - 1)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("above", [frozenset(), frozenset({0, 3})])
def test_trees_of_plain_operators_are_run_too(targets: int, above: frozenset[int]) -> None:
    """As models of CatBoost are written."""
    rng = np.random.default_rng(0)
    border = (rng.integers(-2, 18, (40, 6)) / 16).astype(np.float32)
    border[::5, 4:] = np.inf
    trees = Oblivious(rng.integers(0, 5, (40, 6)), border, rng.normal(size=(40, 64, targets)), above)
    writer = GraphWriter()
    writer.output(sums(writer, trees, writer.input("features", "float", 6)), "score", "double", targets)
    graph = writer.model().SerializeToString()
    split = assert_alike(graph, ["score"], {"features": made.rows(Shape(), 1500)})
    assert (split.head, split.tail, len(split.forests)) == (None, None, 1)
    assert len(split.forests[0].program.ops) == 40 * 6


@pytest.mark.parametrize("base", [[0.5, 0.25, -1.0], [0.0, 0.25, 0.0]])
def test_a_target_without_any_weight_has_no_base_value(base: list[float]) -> None:
    model = onnx.load_from_string(made.graph(Shape(targets=3, more={"base_values": base})))
    (ids,) = (one for one in model.graph.node[0].attribute if one.name == "target_ids")
    kept = [place for place, target in enumerate(ids.ints) if target != 1]
    for one in model.graph.node[0].attribute:
        if one.name.startswith("target_"):
            field = one.floats if one.name == "target_weights" else one.ints
            field[:] = [field[place] for place in kept]
    assert_alike(model.SerializeToString(), ["score"], {"features": made.rows(Shape(), 1500)})


@pytest.mark.parametrize("classes", [(), (7, 8, 9)])
def test_a_base_value_that_some_rows_do_not_get_is_left_to_the_runtime(classes: tuple[int, ...]) -> None:
    """Its results depend on whether a leaf of the target was reached, which a trial might never meet."""
    model = onnx.load_from_string(made.graph(Shape(targets=3, classes=classes, more={"base_values": [1.0, 2.0, 3.0]})))
    part = "class" if classes else "target"
    given = {one.name: one for one in model.graph.node[0].attribute}
    trees, targets = list(given[f"{part}_treeids"].ints), list(given[f"{part}_ids"].ints)
    dropped = {(tree, 1): place for place, tree in reversed(list(enumerate(trees))) if targets[place] == 1}
    kept = [place for place in range(len(targets)) if place not in dropped.values()]
    for one in model.graph.node[0].attribute:
        if one.name.startswith(f"{part}_"):
            field = one.floats if one.name.endswith("weights") else one.ints
            field[:] = [field[place] for place in kept]
    why = "classes that a row" if classes else "base values of targets that a row"
    with pytest.raises(Unsupported, match=why):
        split_of(model.SerializeToString(), names_of(Shape(classes=classes)), kernel())


def test_thresholds_may_be_infinite_huge_or_tiny() -> None:
    for mode in ("BRANCH_LEQ", "BRANCH_LT"):
        model = onnx.load_from_string(made.graph(Shape(modes=(mode,), leaves=40)))
        (values,) = (one for one in model.graph.node[0].attribute if one.name == "nodes_values")
        for place, value in enumerate((np.inf, 3.4e38, -3.4e38, 1e-45, -1e-45, 0.0, -0.0, 1e-40)):
            values.floats[place * 3] = value
        assert_alike(model.SerializeToString(), ["score"], {"features": made.rows(Shape(), 1500)})


def test_classes_without_a_weight_matter_only_where_weights_are_negative() -> None:
    """Forests of several outputs are written so: leaves leave out the classes that they never saw."""
    model = onnx.load_from_string(made.graph(Shape(targets=3, classes=("a", "b", "c"), leaves=40, trees=9)))
    given = {one.name: one for one in model.graph.node[0].attribute}
    kept = [place for place, target in enumerate(given["class_ids"].ints) if target == 1 or place % 7]
    for name in ("class_treeids", "class_nodeids", "class_ids"):
        given[name].ints[:] = [given[name].ints[place] for place in kept]
    weights = [abs(given["class_weights"].floats[place]) + 0.1 for place in kept]
    given["class_weights"].floats[:] = weights
    assert_alike(model.SerializeToString(), ["label", "score"], {"features": made.rows(Shape(), 1500)})
    given["class_weights"].floats[3] = -0.5
    with pytest.raises(Unsupported, match="classes that a row may have no weight for"):
        split_of(model.SerializeToString(), ["label", "score"], kernel())


def test_describe_says_that_a_forest_behind_another_one_stays(prepare: Any, tmp_path: Path) -> None:
    model = onnx.load_from_string(made.graph(Shape(seed=1)))
    other = onnx.load_from_string(made.graph(Shape(features=1, seed=2)))
    first, second = model.graph.node[0], other.graph.node[0]
    first.output[0], second.input[0] = "inner", "inner"
    graph = ob.build([first, second], [ob.value("features", "float", ["N", 6])], [ob.value("score", "float", ["N", 1])])
    function = prepare(graph, dict.fromkeys("abcdef", "REAL"), PACKED)
    runnable_graph(function, "cpu", tmp_path)
    done, left = read_rewrites(tmp_path, function.contract.digest, "cpu")
    assert done.startswith(KERNEL)
    assert left == f"ONNX Runtime ({NO_KERNEL}: 1 of the forests, behind what others give)"


def test_trees_of_plain_operators_are_described(prepare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    border = rng.random((20, 4)).astype(np.float32)
    trees = Oblivious(rng.integers(0, 6, (20, 4)), border, rng.normal(size=(20, 16, 1)), frozenset())
    writer = GraphWriter()
    writer.output(sums(writer, trees, writer.input("features", "float", 6)), "score", "double", 1)
    graph = writer.model().SerializeToString()
    function = prepare(graph, dict.fromkeys("abcdef", "DOUBLE"), PACKED)
    values = made.rows(Shape(), 3000).astype(np.float64) + 1e-9
    values[~np.isfinite(values)] = 0.5
    with open_session(function, device="cpu", cache_dir=tmp_path) as session:
        found = session.score_table(pa.table({name: values[:, at] for at, name in enumerate("abcdef")}), keep=[])
    expected = opened(graph).run(["score"], {"features": values.astype(np.float32)})[0][:, 0]
    np.testing.assert_array_equal(found["value"].to_numpy(), expected)
    assert read_rewrites(tmp_path, function.contract.digest, "cpu")[0].startswith(KERNEL)
    monkeypatch.setenv("SQLINFER_FOREST", "0")
    runnable_graph(function, "cpu", tmp_path)
    said = f"ONNX Runtime ({NO_KERNEL}: SQLINFER_FOREST=0)"
    assert said in read_rewrites(tmp_path, function.contract.digest, "cpu")


def piped() -> bytes:
    """Scaled numbers, two forests, and what becomes of them."""
    model = onnx.load_from_string(made.graph(Shape(leaves=30, seed=3)))
    other = onnx.load_from_string(made.graph(Shape(leaves=300, seed=4)))
    first, second = model.graph.node[0], other.graph.node[0]
    first.output[0], second.output[0] = "one", "two"
    second.input[0] = "scaled"
    scaler = helper.make_node("Scaler", ["features"], ["scaled"], domain=made.ML, offset=[0.1], scale=[1.5])
    nodes = [
        scaler, first, second, helper.make_node("Add", ["one", "two"], ["both"]),
        helper.make_node("Identity", ["one"], ["alone"]), helper.make_node("Sigmoid", ["both"], ["score"]),
    ]  # fmt: skip
    ports = [ob.value("score", "float", ["N", 1]), ob.value("alone", "float", ["N", 1])]
    return ob.build(nodes, [ob.value("features", "float", ["N", 6])], ports, opsets={made.ML: 3})


def test_a_graph_runs_around_its_forests() -> None:
    split = assert_alike(piped(), ["alone", "score"], {"features": made.rows(Shape(), 1500)})
    assert len(split.forests) == 2
    assert split.head is not None
    assert split.head.outputs == ("scaled",)
    assert split.direct == {"alone": "one"}
    assert split.by_column == frozenset()


def test_what_is_not_asked_for_is_not_made() -> None:
    split = split_of(piped(), ["alone"], kernel())
    assert (split.head, split.tail, len(split.forests)) == (None, None, 1)
    assert split.by_column == {"features"}


def test_a_forest_over_another_one_stays_in_the_runtime() -> None:
    model = onnx.load_from_string(made.graph(Shape(seed=1)))
    other = onnx.load_from_string(made.graph(Shape(features=1, seed=2)))
    first, second = model.graph.node[0], other.graph.node[0]
    first.output[0], second.input[0] = "inner", "inner"
    graph = ob.build([first, second], [ob.value("features", "float", ["N", 6])], [ob.value("score", "float", ["N", 1])])
    split = assert_alike(graph, ["score"], {"features": made.rows(Shape(), 1500)})
    assert len(split.forests) == 1
    assert split.tail is not None


@pytest.mark.parametrize("break_it", ["loop", "feature", "child", "weight", "lists", "target", "mode"])
def test_a_hostile_forest_is_left_to_the_runtime(break_it: str) -> None:
    model = onnx.load_from_string(made.graph(Shape(leaves=9)))
    lists = {one.name: one for one in model.graph.node[0].attribute}
    if break_it == "loop":
        lists["nodes_truenodeids"].ints[0] = 0
    elif break_it == "feature":
        lists["nodes_featureids"].ints[0] = -3
    elif break_it == "child":
        lists["nodes_falsenodeids"].ints[0] = 1 << 40
    elif break_it == "weight":
        lists["target_weights"].floats[0] = float("nan")
    elif break_it == "lists":
        del lists["nodes_values"].floats[3:]
    elif break_it == "target":
        lists["target_ids"].ints[0] = 7
    else:
        lists["nodes_modes"].strings[0] = b"BRANCH_WHATEVER"
    with pytest.raises((Unsupported, LookupError, ValueError)):
        split_of(model.SerializeToString(), ["score"], kernel())


def sanitised(folder: Path) -> Path:
    """The kernel with a driver around it, compiled with address and undefined-behaviour sanitisers."""
    sources, driver = library_module.LIBRARY.parent, Path(__file__).with_name("forest_driver.c")
    flags = ["-g", "-O1", "-std=gnu11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{sources}"]
    empty = ["cc", *flags, "-x", "c", "-", "-o", str(folder / "empty")]
    if subprocess.run(empty, input=b"int main(void) { return 0; }", capture_output=True).returncode:
        pytest.skip("the compiler has no sanitisers")
    wide = ["-mavx2", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"]
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    sets = {"plain": [], "avx2": wide[:1], "avx512": wide} if is_x86 else {"plain": []}
    parts = []
    for name, own in sets.items():
        parts.append(str(folder / f"{name}.o"))
        command = ["cc", *flags, *own, f"-DFOREST_RUN=forest_run_{name}", "-c", str(sources / "forest.c")]
        subprocess.run([*command, "-o", parts[-1]], check=True)
    made_of = [*(["-DFOREST_X86"] if is_x86 else []), str(sources / "dispatch.c"), str(driver), *parts]
    subprocess.run(["cc", *flags, *made_of, "-lm", "-o", str(folder / "driver")], check=True)
    return folder / "driver"


def written(file: Any, found: Program, rows: Any) -> None:
    """One case of the driver."""
    file.write(np.asarray(list(found.numbers.values()), dtype=np.int64).tobytes())
    for name, _ in Struct._fields_:
        if name in found.arrays:
            data = found.arrays[name].tobytes()
            file.write(np.int64(len(data)).tobytes() + data)
    file.write(np.asarray([len(rows), rows.nbytes], dtype=np.int64).tobytes() + rows.tobytes())


@pytest.mark.extra
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_no_array_of_an_edited_cache_is_read_beyond_its_end(tmp_path: Path) -> None:
    """Numbers of arrays are replaced in turn; what is not refused runs under an address sanitiser."""
    rng = np.random.default_rng(0)
    shapes = (
        Shape(version=5, members=True, leaves=20, missing=True), Shape(leaves=300, trees=2),
        Shape(trees=40, leaves=60, features=1, grid=None), Shape(classes=("a", "b", "c"), targets=3, leaves=70),
        Shape(leaves=30, trees=3, features=3), Shape(version=5, members=True, leaves=300, trees=3, missing=True),
        Shape(levels=True, leaves=16, trees=4), Shape(version=5, double=True, from_floats=True, leaves=300, trees=2),
        Shape(version=5, double=True, members=True, leaves=300, trees=2),
    )  # fmt: skip
    cases = tmp_path / "cases"
    with cases.open("wb") as file:
        for shape in shapes:
            part = split_of(made.graph(shape), names_of(shape), kernel()).forests[0]
            rows = made.rows(replace(shape, features=max(shape.features, 8)), 70).astype(np.float32)
            for _ in range(DAMAGED):
                arrays = {name: array.copy() for name, array in part.program.arrays.items()}
                numbers = dict(part.program.numbers)
                if rng.random() < 0.2:
                    name = str(rng.choice(list(numbers)))
                    numbers[name] = int(rng.choice([-1, 0, 1, 2, 3, 1 << 20]))
                else:
                    _damage(arrays, rng)
                with suppress(ArtifactError):
                    found = program(numbers, arrays)
                    if found.columns <= rows.shape[1]:
                        written(file, found, rows)
    ran = subprocess.run([str(sanitised(tmp_path)), str(cases)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[:3000]
    assert int(ran.stdout.split()[0]) > DAMAGED


def _damage(arrays: dict[str, Any], rng: np.random.Generator) -> None:
    name = str(rng.choice([one for one, array in arrays.items() if len(array)]))
    array = arrays[name]
    if rng.random() < 0.2:
        arrays[name] = array[: rng.integers(len(array))]
    elif array.dtype.names is None and array.dtype.kind == "f":
        array[rng.integers(len(array))] = rng.choice([np.nan, np.inf, -np.inf, 0, 1e30])
    else:
        plain = array.view(np.uint8) if array.dtype.names else array
        limits = np.iinfo(plain.dtype)
        odd = [limits.min, limits.max, 0, 1, 2, 100]
        plain[rng.integers(len(plain))] = int(rng.choice(np.asarray(odd, dtype=plain.dtype)))


PACKED = (InputBinding("features", "packed", "float", tuple("abcdef"), 6),)


def table(count: int = 5000) -> tuple[pa.Table, Any]:
    """Columns of many types, and the matrix that they are."""
    rng = np.random.default_rng(5)
    columns = {
        "a": rng.random(count), "b": rng.random(count).astype(np.float32), "c": rng.integers(-3, 3, count),
        "d": rng.integers(-3, 3, count).astype(np.int32), "e": rng.integers(0, 3, count).astype(np.uint8),
        "f": rng.random(count) < 0.5,
    }  # fmt: skip
    return pa.table(columns), np.stack([one.astype(np.float32) for one in columns.values()], axis=1)


def test_columns_of_any_type_need_not_be_packed(prepare: Any, tmp_path: Path) -> None:
    shape = Shape(leaves=60, trees=20)
    kinds = dict(zip("abcdef", ("DOUBLE", "REAL", "BIGINT", "INT", "UTINYINT", "BOOLEAN"), strict=True))
    function = prepare(made.graph(shape), kinds, PACKED)
    rows, matrix = table()
    expected = opened(made.graph(shape)).run(["score"], {"features": matrix})[0][:, 0]
    for _ in range(2):  # made, then read from the cache
        with open_session(function, device="cpu", cache_dir=tmp_path / "cache") as session:
            found = session.score_table(rows, keep=[])
        np.testing.assert_array_equal(found["value"].to_numpy().astype(np.float32), expected)
    assert read_rewrites(tmp_path / "cache", function.contract.digest, "cpu") == (
        f"{KERNEL} ({kernel().instructions})",
    )


def test_rows_with_nulls_are_left_out(prepare: Any) -> None:
    shape = Shape(leaves=60)
    function = prepare(made.graph(shape), dict.fromkeys("abcdef", "REAL"), PACKED)
    values = made.rows(shape, 300)
    values[~np.isfinite(values)] = 0.5
    columns: dict[str, Any] = {name: values[:, at] for at, name in enumerate("abcdef")}
    columns["c"] = pa.array(values[:, 2], mask=np.arange(300) % 3 == 0)
    with open_session(function, device="cpu") as session:
        found = session.score_table(pa.table(columns), keep=[])["value"].to_pylist()
    expected = opened(made.graph(shape)).run(["score"], {"features": values})[0][:, 0].tolist()
    assert found == [None if at % 3 == 0 else expected[at] for at in range(300)]


def test_doubles_are_compared_as_doubles(prepare: Any) -> None:
    shape = Shape(version=5, double=True, leaves=40, grid=None)
    inputs = (InputBinding("features", "packed", "double", tuple("abcdef"), 6),)
    function = prepare(made.graph(shape), dict.fromkeys("abcdef", "DOUBLE"), inputs)
    values = np.random.default_rng(0).random((3000, 6))
    with open_session(function, device="cpu") as session:
        found = session.score_table(pa.table({name: values[:, at] for at, name in enumerate("abcdef")}), keep=[])
    expected = opened(made.graph(shape)).run(["score"], {"features": values})[0][:, 0]
    np.testing.assert_array_equal(found["value"].to_numpy(), expected)


def test_threads_share_a_kernel(prepare: Any) -> None:
    shape = Shape(leaves=60, trees=50)
    split = split_of(made.graph(shape), ["score"], kernel())
    ours = ForestKernel(kernel(), split, ["score"], opened)
    rows = made.rows(shape, 4000)
    (expected,) = ours.run({"features": rows})
    found: list[Any] = []

    def work() -> None:
        for _ in range(20):
            found.extend(ours.run({"features": rows}))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    for one in found:
        np.testing.assert_array_equal(one, expected)


def test_an_input_that_is_too_narrow_is_an_error_of_the_run() -> None:
    split = split_of(made.graph(Shape()), ["score"], kernel())
    ours = ForestKernel(kernel(), split, ["score"], opened)
    with pytest.raises(KernelError, match="column"):
        ours.run({"features": np.zeros((5, 2), np.float32)})


def test_no_rows_give_no_results() -> None:
    split = split_of(made.graph(Shape()), ["score"], kernel())
    (found,) = ForestKernel(kernel(), split, ["score"], opened).run({"features": np.zeros((0, 6), np.float32)})
    assert found.shape == (0, 1)


@pytest.mark.parametrize(("variable", "why"), [("0", "SQLINFER_FOREST=0"), ("", "not compiled")])
def test_without_the_kernel_describe_says_so(
    prepare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, why: str
) -> None:
    from sqlinfer.inference.trees import library as module

    module._loaded.cache_clear()
    monkeypatch.setattr(module, "LIBRARY", tmp_path / "none.so")
    monkeypatch.setenv("SQLINFER_FOREST", variable)
    function = prepare(made.graph(Shape()), dict.fromkeys("abcdef", "REAL"), PACKED)
    runnable_graph(function, "cpu", tmp_path)
    said = read_rewrites(tmp_path, function.contract.digest, "cpu")
    module._loaded.cache_clear()
    assert [one for one in said if NO_KERNEL in one and why in one]


def test_a_library_of_another_layout_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would read the program's arrays from other places."""
    from sqlinfer.inference.trees import program as module

    class Longer(module.Struct):
        _fields_: ClassVar = [("more", ctypes.c_int64)]

    library_module._loaded.cache_clear()
    monkeypatch.setattr(module, "Struct", Longer)
    found = library()
    library_module._loaded.cache_clear()
    assert found == "compiled from another version of sqlinfer"


def test_instructions_can_be_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLINFER_FOREST", "plain")
    assert kernel().instructions == SETS[0]


def test_a_forest_that_differs_from_its_trial_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime is the referee: a kernel with one weight changed by a bit is refused."""
    from sqlinfer.inference.graphs import split as module

    plain = module.trees_of

    def bent(node: Any, kind: Any) -> Any:
        trees = plain(node, kind)
        weight = trees.weight.copy()
        weight[len(weight) // 2] = np.nextafter(weight[len(weight) // 2], np.float32(9))
        return replace(trees, weight=weight)

    monkeypatch.setattr(module, "trees_of", bent)
    with pytest.raises(Unsupported, match="differ"):
        split_of(made.graph(Shape(leaves=9)), ["score"], kernel())


def test_codes_of_categories_are_columns(prepare: Any, tmp_path: Path) -> None:
    hot = helper.make_node("OneHotEncoder", ["colour"], ["hot"], domain=made.ML, cats_strings=["r", "g"], zeros=1)
    flat = helper.make_node("Reshape", ["hot", "shape"], ["flat"])
    join = helper.make_node("Concat", ["number", "flat"], ["features"], axis=1)
    trees = onnx.load_from_string(made.graph(Shape(features=3, leaves=12, grid=2, modes=MODES[:4]))).graph.node[0]
    ports = [ob.value("number", "float", ["N", 1]), ob.value("colour", "string", ["N", 1])]
    graph = ob.build(
        [hot, flat, join, trees], ports, [ob.value("score", "float", ["N", 1])],
        [ob.constant("shape", [-1, 2], "int64")],
    )  # fmt: skip
    inputs = (InputBinding("number", "column", "float", ("a",)), InputBinding("colour", "column", "string", ("b",)))
    function = prepare(graph, {"a": "REAL", "b": "TEXT"}, inputs, None, (OutputBinding("value", "score"),))
    rng = np.random.default_rng(0)
    numbers, colours = rng.random(3000, dtype=np.float32), rng.choice(["r", "g", "other"], 3000)
    with open_session(function, device="cpu", cache_dir=tmp_path) as session:
        found = session.score_table(pa.table({"a": numbers, "b": colours}), keep=[])
    feeds = {"number": numbers[:, None], "colour": colours.astype(object)[:, None]}
    expected = opened(graph).run(["score"], feeds)[0][:, 0]
    np.testing.assert_array_equal(found["value"].to_numpy().astype(np.float32), expected)
    assert f"{KERNEL} ({kernel().instructions})" in read_rewrites(tmp_path, function.contract.digest, "cpu")
