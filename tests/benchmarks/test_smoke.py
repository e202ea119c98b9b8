"""The suite itself works, at a scale of seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sqlinfer.inference.providers import Device, gpu_count
from sqlinfer.testing.postgres_server import Database

ROOT = Path(__file__).parents[2]


def test_a_small_scale_measures_a_workload_and_prints_its_ratios(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--only", "w5,cold", "--repeats", "1",
               "--json", str(tmp_path / "found.json"), "--docs", str(tmp_path / "found.md")]  # fmt: skip
    env = {**os.environ, "SQLINFER_BENCH_SCALE": "0.002"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["results"]
    assert max(found["w5"]["difference"].values()) < 1e-5
    assert found["cold"]["compile_imports"] == []
    assert "W5 share of the floor" in done.stdout
    assert "W5 share of the floor" in (tmp_path / "found.md").read_text()


def test_make_bench_runs_the_suite() -> None:
    """The command that the documents name; ``-n`` prints it without running it."""
    done = subprocess.run(
        ["make", "-n", "bench", "BENCH=forests"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "-m tests.benchmarks.forests" in done.stdout


def test_the_tokeniser_is_set_against_the_bare_encoder() -> None:
    pytest.importorskip("tokenizers")
    command = [sys.executable, "-m", "tests.benchmarks.tokenise", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["tokenizer", "wordlevel", "wordpiece"]


def test_nights_on_postgres_are_set_against_a_loop_by_hand(postgres_server: Database) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.postgres", "--rows", "2000"]
    env = {**os.environ, "SQLINFER_TEST_POSTGRES": postgres_server.uri}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "later / first" in done.stdout


def test_tables_of_any_width_and_many_calls_are_set_against_peers() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.shapes", "--rows", "2000", "--columns", "3", "--calls", "2",
               "--repeats", "1"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    columns, calls = done.stdout.splitlines()
    assert columns.startswith("3 columns")
    assert calls.startswith("2 calls")
    assert float(columns.rpartition(" ")[2]) < 1e-5
    assert float(calls.rpartition(" ")[2]) < 1e-5


ABSENT = ("duckdb", "sqlglot", "pydantic", "jinja2", "click", "rich", "ruamel", "sklearn", "skl2onnx", "torch")
"""What a machine that is lent for its GPU need not have."""


def gpu_benchmark(*flags: str) -> subprocess.CompletedProcess[str]:
    """The GPU benchmark where none of those can be imported."""
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        "runpy.run_module('tests.benchmarks.gpu', run_name='__main__', alter_sys=True)\n"
    )
    command = [sys.executable, "-c", code, *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_the_gpu_benchmark_imports_little() -> None:
    """Says which packages, where the run below would stop at the first."""
    code = (
        "import sys, tests.benchmarks.gpu\n"
        "import sqlinfer.inference.build, sqlinfer.inference.cuda_kernel, sqlinfer.inference.reader\n"
        f"print(*[name for name in {ABSENT!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_gpu_benchmark_runs_on_a_cpu(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    path = tmp_path / "found.json"
    done = gpu_benchmark("--device", "cpu", "--rows-scale", "0.0005", "--repeats", "1", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("device busy: no device to sample") == 2
    assert done.stdout.count("target ≥ 0.9: ") == 2
    found = json.loads(path.read_text())
    assert [(one["name"], one["rows"], one["busy"]) for one in found["results"]] == [
        ("w2", 10_000, None),
        ("w6", 100, None),
    ]
    assert found["cuda device"] == "none"


@pytest.mark.skipif(gpu_count() > 0, reason="there is a GPU")
def test_the_gpu_benchmark_says_that_there_is_no_gpu() -> None:
    done = gpu_benchmark("--device", "cuda")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("device 'cuda' does not work: ")
    assert "--device cpu" in done.stderr


def test_the_busy_share_is_what_nvidia_smi_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the devices that the session runs on; what it said before the pass began does not count."""
    pytest.importorskip("tokenizers")
    from tests.benchmarks import gpu

    fake = tmp_path / "nvidia-smi"
    said = tmp_path / "arguments"
    fake.write_text(f'#!/bin/sh\necho "$@" > {said}\nprintf "1\\n50\\n[N/A]\\n70\\n"\nexec sleep 30\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    samples: list[int] = []
    with gpu.sampled(Device("cuda", (1,)), samples):
        pass
    assert samples == [50, 70]
    assert said.read_text().split()[-2:] == ["-i", "GPU-5"]


def test_the_pooled_encoder_is_what_preparing_it_makes(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    import onnx

    from sqlinfer.functions.fuse.outputs import Returns, fuse
    from sqlinfer.project.values import ReturnField
    from tests.benchmarks import graphs

    sizes = {"layers": 1, "width": 24, "heads": 2, "vocabulary": 16}
    graphs.encoder(tmp_path / "plain.onnx", **sizes)
    graphs.encoder(tmp_path / "pooled.onnx", **sizes, pooled=True)
    model = onnx.load(tmp_path / "plain.onnx")
    fuse(model, Returns("f", (ReturnField("value", output="last_hidden_state", pooling="mean"),)))
    feeds = {"input_ids": np.array([[2, 3, 4], [5, 0, 0]]), "attention_mask": np.array([[1, 1, 1], [1, 0, 0]])}
    expected, found = (
        onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for graph in (model.SerializeToString(), (tmp_path / "pooled.onnx").read_bytes())
    )
    np.testing.assert_array_equal(found, expected)
    written = onnx.load(tmp_path / "pooled.onnx").graph.node
    assert sorted(node.op_type for node in written) == sorted(node.op_type for node in model.graph.node)


def test_large_projects_are_generated_and_timed(tmp_path: Path) -> None:
    """Nothing is asserted about time."""
    command = [sys.executable, "-m", "tests.benchmarks.large", "--models", "10", "--keep", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[2] for line in done.stdout.splitlines()] == [
        "ls", "ls,", "build", "compile", "compile,", "compile,", "run,",
    ]  # fmt: skip
    assert len(list((tmp_path / "10" / "models").rglob("*.sql"))) == 10
    assert len(json.loads((tmp_path / "10" / "target" / "run_results.json").read_text())["results"]) == 20


def test_what_batch_costs_is_measured_from_what_the_commands_write() -> None:
    """Nothing is asserted about time."""
    command = [sys.executable, "-m", "tests.benchmarks.economics", "--only", "stale", "--rows", "500",
               "--repeats", "1"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    said = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert "5 stale rows found of 5" in said["stale"]


def test_a_part_of_the_economics_that_is_not_there_is_named() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.economics", "--only", "lokup"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no part is named lokup; there are batching, images," in done.stderr
