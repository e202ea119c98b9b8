"""The engine on a GPU against its own bare session, and how busy the device is kept.

    python -m tests.benchmarks.gpu [--device cuda|cuda:0|cpu] [--repeats 5] [--rows-scale 1.0] [--json FILE]

Bare: the session's own kernels (IOBinding on CUDA) over ready-made inputs of the same runs, from as many threads as the
session has workers. End to end: an Arrow table in memory through ``session.score``. Needs numpy, pyarrow, onnx,
onnxruntime-gpu and tokenizers, nothing else of what sqlinfer depends on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median

# CUDA would number the fastest device first, nvidia-smi goes by the bus: both must mean the same device.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")

import onnxruntime
import pyarrow as pa

from sqlinfer.errors import DeviceError, UsageError
from sqlinfer.inference import open_session
from sqlinfer.inference.providers import Device, resolve_device
from sqlinfer.inference.session import Session
from sqlinfer.spec.function import (
    Argument,
    FunctionContract,
    InputBinding,
    Output,
    OutputBinding,
    PreparedFunction,
    TokenizerSpec,
)
from sqlinfer.testing import onnx_builder
from sqlinfer.version import __version__
from tests.benchmarks import graphs
from tests.benchmarks.kernel_pipeline import Workload, kernel_seconds, numeric, pipeline_seconds, ready_runs

TARGET = 0.9
ROUNDS = 5
"""Fewer rounds are a trial, not a measurement."""
SAMPLE_MILLISECONDS = 200


@dataclass(frozen=True, slots=True)
class Found:
    """Medians over the rounds; rates in rows a second."""

    name: str
    device: str
    rows: int
    batch_size: int
    token_budget: int | None
    workers: int
    rounds: int
    bare: float
    end_to_end: float
    ratio: float
    ratios: tuple[float, ...]
    busy: float | None
    """Mean share of the time that the device was busy, over the end to end passes; None where nobody says."""
    busy_samples: int

    @property
    def met(self) -> bool:
        return self.ratio >= TARGET


def encoder(rows: int, folder: Path) -> Workload:
    """W6: six layers, 384 wide, with the mean pooling that preparing the function would have fused into the graph."""
    path = folder / "w6.onnx"
    graphs.encoder(path, pooled=True)
    graphs.tokenizer(folder)
    contract = FunctionContract("w6", "6".ljust(64, "0"), (Argument("body", "TEXT"),), (Output("value", "REAL[384]"),))
    fields = ("input_ids", "attention_mask")
    inputs = tuple(InputBinding(name, "tokens", "int64", ("body",), token_field=name) for name in fields)
    tokenizer = TokenizerSpec(folder / "tokenizer.json", "body", max_length=128)
    bindings = (OutputBinding("value", "pooled"),)
    function = PreparedFunction(contract, folder, path, inputs, bindings, tokenizer=tokenizer)
    return Workload("w6", rows, function, pa.table({"body": graphs.texts(rows)}))


def workloads(scale: float, folder: Path) -> Iterator[Workload]:
    """One at a time, so that the tables do not lie in memory together."""
    mlp = onnx_builder.mlp([20, 256, 256, 1])
    yield numeric("w2", max(64, round(20_000_000 * scale)), mlp, folder)
    yield encoder(max(64, round(200_000 * scale)), folder)


def compare(work: Workload, device: str, repeats: int) -> Found:
    with open_session(work.function, device=device) as session:
        pipeline_seconds(session, work)  # measures the layout, touches the pages
        ready = ready_runs(session, work, work.rows)
        kernel_seconds(session, work, ready)  # the first run of a shape also chooses its algorithms
        rounds, samples = [], []
        for _ in range(repeats):
            bare = kernel_seconds(session, work, ready)
            with sampled(session.device, samples):
                whole = pipeline_seconds(session, work)
            rounds.append((bare, whole))
        return _found(work, session, rounds, samples)


def _found(work: Workload, session: Session, rounds: Sequence[tuple[float, float]], samples: Sequence[int]) -> Found:
    ratios = tuple(bare / whole for bare, whole in rounds)
    return Found(
        name=work.name,
        device=str(session.device),
        rows=work.rows,
        batch_size=session._limits.batch_size,
        token_budget=session._limits.token_budget,
        workers=len(session._kernels),
        rounds=len(rounds),
        bare=work.rows / median(bare for bare, _ in rounds),
        end_to_end=work.rows / median(whole for _, whole in rounds),
        ratio=median(ratios),
        ratios=ratios,
        busy=mean(samples) / 100 if samples else None,
        busy_samples=len(samples),
    )


# the device, as nvidia-smi sees it


def smi(query: str, device: Device, *more: str) -> list[str]:
    """The command that asks for one value of the device, or of each of the devices, that a session runs on."""
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    names = [visible[index] if index < len(visible) else str(index) for index in device.indices]
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits", *more]
    return [*command, "-i", ",".join(names)]


@contextlib.contextmanager
def sampled(device: Device, samples: list[int]) -> Iterator[None]:
    """Add the device's utilisation in per cent, every 200 ms while the body runs. Nothing where nobody can say."""
    process = _start(smi("utilization.gpu", device, "-lms", str(SAMPLE_MILLISECONDS))) if device.indices else None
    if process is None or process.stdout is None:
        yield
        return
    with process:
        for _ in device.indices:
            process.stdout.readline()  # it has started, and what it saw was before the body
        try:
            yield
        finally:
            process.terminate()
            lines = process.stdout.read().splitlines()
    samples += [int(line) for line in lines if line.strip().isdigit()]


def _start(command: Sequence[str]) -> subprocess.Popen[str] | None:
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None


def device_name(device: Device) -> str:
    if not device.indices:
        return "none"
    try:
        done = subprocess.run(smi("name", device), capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown (no nvidia-smi)"
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return ", ".join(names) if done.returncode == 0 and names else "unknown (nvidia-smi does not say)"


# the report


def say(found: Found, out: Callable[[str], object]) -> None:
    runs = f"batches of {found.batch_size:,}" + (f", {found.token_budget:,} tokens" if found.token_budget else "")
    verdict = "met" if found.met else "missed"
    out(f"{found.name} on {found.device}: {found.rows:,} rows, {runs}, {found.workers} workers\n")
    out(f"  bare {found.bare:,.0f} rows/s, end to end {found.end_to_end:,.0f} rows/s, median of {found.rounds}\n")
    out(f"  ratio {found.ratio:.2f}, target ≥ {TARGET}: {verdict}\n")
    out(f"  device busy: {_busy(found)}\n")
    if found.rounds < ROUNDS:
        out(f"  fewer than {ROUNDS} rounds: a trial, not a measurement\n")


def _busy(found: Found) -> str:
    if found.busy is not None:
        return f"{100 * found.busy:.0f} % ({found.busy_samples} samples)"
    return "no device to sample" if found.device == "cpu" else "nvidia-smi gave no samples"


def machine(device: Device) -> dict[str, str]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "cuda device": device_name(device),
        "sqlinfer": __version__,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, cpu; says so where the device does not work")
    parser.add_argument("--repeats", type=int, default=ROUNDS)
    parser.add_argument("--rows-scale", type=float, default=1.0)
    parser.add_argument("--json", type=Path, help="write what was found there too")
    flags = parser.parse_args()
    if flags.repeats < 1:
        parser.error("--repeats must be at least 1")
    return flags


def main() -> None:
    flags = arguments()
    try:
        device = resolve_device(flags.device)  # before millions of rows are made
        with tempfile.TemporaryDirectory() as name:
            results = []
            for work in workloads(flags.rows_scale, Path(name)):
                results.append(compare(work, flags.device, flags.repeats))
                say(results[-1], sys.stdout.write)
                sys.stdout.flush()
    except (DeviceError, UsageError) as error:
        sys.exit(str(error))
    facts = machine(device)
    for key, value in facts.items():
        sys.stdout.write(f"{key}: {value}\n")
    if flags.json is not None:
        found = [asdict(result) | {"target": TARGET, "met": result.met} for result in results]
        flags.json.write_text(json.dumps(facts | {"results": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
