# ruff: noqa: E501
"""Numbers of people: ASCII digits alone, everywhere; what is no number is one message."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from pathlib import Path

import house as houses
import onnx
import pytest
from house import House
from onnx import TensorProto, helper

from sqlinfer import numerals
from sqlinfer.compiler.template.parameters import _placeholders
from sqlinfer.dbt import flags
from sqlinfer.errors import UsageError
from sqlinfer.functions.cost import cost_per_row
from sqlinfer.functions.limits import MEMORY_VARIABLE, SECONDS_VARIABLE, Limits
from sqlinfer.inference import open_isolated
from sqlinfer.inference.providers import resolve_device
from sqlinfer.jobs import tuning

NO_NUMBERS = ["٣", "३", "２", "²", "1_0", "٣.5", "", " ", "0x10", "inf", "nan", "1e999", "9" * 5_000, "1 0", "--1"]


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def shop(morning: House, tmp_path: Path) -> House:
    return houses.copy(morning, tmp_path / "shop")


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_other_digits_are_no_number(text: str) -> None:
    assert numerals.whole(text) is None
    assert numerals.decimal(text) is None


@pytest.mark.parametrize(("text", "value"), [("12", 12), ("-3", -3), ("+4", 4), (" 5 ", 5), ("0", 0)])
def test_whole_numbers(text: str, value: int) -> None:
    assert numerals.whole(text) == numerals.decimal(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1.5", 1.5), (".5", 0.5), ("2.", 2.0), ("1e3", 1000.0), ("-2.5E-1", -0.25)]
)
def test_decimal_numbers(text: str, value: float) -> None:
    assert numerals.decimal(text) == value
    assert numerals.whole(text) is None


@pytest.mark.parametrize("digit", ["٣", "²", "3_0", "9" * 5_000])
@pytest.mark.parametrize(
    "command",
    [("preview", "scores", "--limit"), ("preview", "scores", "--max-rows"), ("run", "--threads"), ("run", "--memory-limit"),
     ("run", "--device", "cuda:")],
)  # fmt: skip
def test_flags_take_ascii_digits(command: tuple[str, ...], digit: str, shop: House) -> None:
    given = f"cuda:{digit}" if command[-1] == "cuda:" else f"{digit}GB" if "memory" in command[-1] else digit
    done = shop.sqlinfer(*(word for word in command if word != "cuda:"), given)
    assert done.code in (1, 2), done.text
    assert "Traceback" not in done.text
    assert len(done.text) < 20_000


@pytest.mark.parametrize("value", ["٣", "²", "1_0", "9" * 5_000, "4GB", "0", "-1", "inf"])
@pytest.mark.parametrize("variable", [MEMORY_VARIABLE, SECONDS_VARIABLE, "SQLINFER_WORKER_TIMEOUT", "SQLINFER_WORKER_MEMORY",
                                      "SQLINFER_CHUNK_ROWS", "SQLINFER_CHUNK_SECONDS", "SQLINFER_LARGE_ROWS"])  # fmt: skip
def test_variables_of_the_environment(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=variable):
        read_environment(variable)


def read_environment(variable: str) -> None:
    if "CHUNK" in variable or "LARGE" in variable:
        tuning.chunk_bounds(os.environ, None)
    elif "WORKER" in variable:
        open_isolated(Prepared())  # type: ignore[arg-type]
    else:
        Limits.of_size(1)


class Prepared:
    """As much of a function as is looked at before the environment."""

    contract = Namespace(device="cpu")
    native = None


def test_what_the_environment_may_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, str(1 << 30))
    monkeypatch.setenv(SECONDS_VARIABLE, "2.5")
    assert Limits.of_size(1) == Limits(1 << 30, 2.5)


@pytest.mark.parametrize("text", ["٣GB", "³GB", "9" * 400 + "GB", "1e3GB", "GB"])
def test_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        tuning.parse_size(text)


@pytest.mark.parametrize("text", ["cuda:٣", "cuda:²", "cuda:0\n", "cuda:99999999999999999999", "cpu\n"])
def test_devices(text: str) -> None:
    with pytest.raises(UsageError, match="unknown device"):
        resolve_device(text)


def test_words_of_dbt() -> None:
    with pytest.raises(UsageError, match="not a valid integer"):
        flags.split(("--threads", "²"))
    assert flags.split(("--threads", "3")).options(Path()).threads == 3


@pytest.mark.parametrize("threads", ["٣", "²", ".inf", "[1]", "true", "9" * 5_000])
def test_threads_of_a_profile(threads: str, shop: House) -> None:
    houses.write(
        shop.root,
        {houses.PROFILES: f"shop: {{outputs: {{default: {{type: duckdb, path: wh.duckdb, threads: {threads}}}}}}}"},
    )
    done = shop.sqlinfer("run")
    assert done.code in (1, 2), done.text
    assert "Traceback" not in done.text


BODIES = {
    "device": "device: 'cuda:{}'", "data_type": "arguments: [{{name: x, data_type: 'double[{}]'}}]", "batch_size": "batch_size: '{}'",
}  # fmt: skip


@pytest.mark.parametrize("digit", ["٣", "²", "9" * 5_000])
@pytest.mark.parametrize("line", BODIES.values(), ids=BODIES)
def test_values_of_a_yml(line: str, digit: str, shop: House) -> None:
    declared = f"functions:\n  - name: score\n    model: {{path: score.onnx}}\n    {line.format(digit)}\n    returns: {{data_type: double}}\n"
    houses.write(shop.root, {houses.FUNCTIONS: declared})
    done = shop.sqlinfer("run")
    assert done.code in (1, 2), done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize("config", ["{error_if: '> ٣'}", "{warn_if: '> ²'}", "{limit: ٣}", "{limit: 99999999999999999999}",
                                    "{error_if: '> " + "9" * 5_000 + "'}"])  # fmt: skip
def test_values_of_a_test(config: str, shop: House) -> None:
    tests = f"models: [{{name: scores, columns: [{{name: id, data_tests: [{{not_null: {{config: {config}}}}}]}}]}}]"
    houses.write(shop.root, {"models/scores.yml": tests})
    done = shop.sqlinfer("build")
    assert done.code in (1, 2), done.text
    assert "Traceback" not in done.text
    assert any(said in done.text for said in ("is not a comparison", "is not a number of rows", "expects")), done.text


@pytest.mark.parametrize("select", ["٣+scores", "²+scores", "scores+²", "9" * 5_000 + "+scores", "+" * 5_000])
def test_selectors(select: str, shop: House) -> None:
    done = shop.sqlinfer("ls", "--select", select)
    assert "Traceback" not in done.text
    assert "scores" not in done.out


@pytest.mark.parametrize("template", ["'٣' | as_number", "'²' | as_number", "'1_0' | as_number", "'inf' | as_number",
                                      "('9' * 5000) | as_number"])  # fmt: skip
def test_templates(template: str, shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: f"select {{{{ {template} }}}} as k from customers"})
    done = shop.sqlinfer("compile")
    assert done.code in (1, 2), done.text
    assert "is not a number" in done.text


@pytest.mark.parametrize("sql", ["select id from customers group by ²", "select id from customers order by ³",
                                 "select id from customers limit ٣", "select predict('score', x, ²) from customers",
                                 "select predict('score', x, y) s from customers group by ٣, s",
                                 "select #² from customers", "select predict('score', x, y)[²] from customers"])  # fmt: skip
def test_digits_of_sql(sql: str, shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: sql})
    done = shop.sqlinfer("run")
    assert done.code in (1, 2), done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize("sql", ["select ?٣", "select $²", "select ?" + "9" * 5_000])
def test_parameters(sql: str) -> None:
    assert all(not one.name or one.is_named or len(one.name) < 10 for one in _placeholders(sql))


def test_a_version_of_other_digits(shop: House) -> None:
    houses.write(shop.root, {houses.PROJECT: "name: shop\nprofile: shop\nrequire-sqlinfer-version: '>=٠'\n"})
    done = shop.sqlinfer("run")
    assert done.code in (1, 2)
    assert "is not a bound of a version" in done.text


@pytest.mark.parametrize("op", ["MatMul", "Gemm", "Conv", "QLinearConv", "QLinearMatMul", "LSTM", "GRU", "LabelEncoder", "OneHotEncoder",
                                "TreeEnsembleRegressor", "SVMRegressor", "Add", "Nonsense"])  # fmt: skip
@pytest.mark.parametrize("inputs", [(), ("x",), ("",), ("x", "", "x")])
def test_the_cost_of_a_node_whose_inputs_are_missing(op: str, inputs: tuple[str, ...]) -> None:
    assert cost_per_row(graph(helper.make_node(op, list(inputs), ["y"] if op == "Add" else []), [2])) >= 0


@pytest.mark.parametrize("dims", [[2**62] * 40, [2**62, 0], [0, 0]])
@pytest.mark.parametrize("op", ["MatMul", "Gemm", "Conv", "LSTM", "Relu", "LabelEncoder"])
def test_the_cost_of_a_tensor_larger_than_any(op: str, dims: list[int]) -> None:
    assert cost_per_row(graph(helper.make_node(op, ["x", "w", "w"], ["y"]), dims)) >= 0


def graph(node: onnx.NodeProto, dims: list[int]) -> onnx.ModelProto:
    one = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in ("x", "w", "y")]
    return helper.make_model(helper.make_graph([node], "g", one[:2], one[2:]))


def test_the_result_file_holds_numbers(shop: House) -> None:
    assert shop.sqlinfer("run").code == 0
    assert isinstance(json.loads((shop.root / "target/run_results.json").read_text())["elapsed_time"], float)
