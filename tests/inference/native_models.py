"""Loaded by the worker processes of ``test_native``, as the modules of a source are: a scorer for each behaviour."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa


def load_scorer(request: str) -> Callable[[pa.RecordBatch], list[Any]]:
    """``does`` is what happens where an ``x`` is ``at``; ``note`` a file that gets a line for each call."""
    asked = json.loads(request)
    if asked.get("does") == "no model":
        raise FileNotFoundError("model.bin is gone")

    def score(rows: pa.RecordBatch) -> list[Any]:
        if asked.get("note"):
            note(asked["note"], f"{os.getpid()} {rows.num_rows} {rows.schema.field('x').type}\n")
        x = rows.column("x").to_numpy(zero_copy_only=False)
        if (x == asked.get("at")).any():
            return BEHAVIOURS[asked["does"]](x, asked)
        return [x * 2]

    return score


def note(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(line)


def crash(x: Any, asked: Any) -> Any:
    ctypes.string_at(0)


def hang(x: Any, asked: Any) -> Any:
    while True:
        time.sleep(1)


def hold(x: Any, asked: Any) -> Any:
    """Never lets go of the interpreter, and has a child of its own."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    note(asked["note"], f"child {child.pid}\n")
    ctypes.PyDLL(None).sleep(600)


def fail(x: Any, asked: Any) -> Any:
    raise ValueError("could not convert string to float: 'Ada Lovelace'")


def eat(x: Any, asked: Any) -> Any:
    return [np.ones((1 << 34,), dtype=np.float64)]


BEHAVIOURS: dict[str, Callable[[Any, Any], Any]] = {
    "crash": crash, "hang": hang, "hold": hold, "fail": fail, "memory": eat,
    "exit": lambda x, asked: sys.exit(3),
    "kill": lambda x, asked: os.kill(os.getpid(), signal.SIGKILL),
    "nan": lambda x, asked: [np.where(x == asked["at"], np.nan, x * 2)],
    "null": lambda x, asked: [pa.array([None if one == asked["at"] else one * 2 for one in x], pa.float64())],
    "odd": lambda x, asked: [np.array(["a" if one == asked["at"] else one * 2 for one in x], dtype=object)],
    "short": lambda x, asked: [x[:-1]],
    "text": lambda x, asked: [np.array(["yes"] * len(x))],
    "wide": lambda x, asked: [np.ones((len(x), 3))],
    "word": lambda x, asked: ["yes"] and [7.0],
    "few": lambda x, asked: [],
    "secret": lambda x, asked: [np.array([os.environ.get("DBT_ENV_SECRET_TOKEN", "")] * len(x))],
}  # fmt: skip
