"""Each source: what preparing costs, and rows a second of the prepared function against the library's own predict.

    .venv-sources/bin/python -m tests.benchmarks.sources [--rows N] [--repeats N] [--threads N] [xgboost …]

Both get the same rows in memory (an Arrow table; the library its own favourite form of them) and as many threads.
Medians of rounds in turn. A source whose library is missing is left out, and said.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from sqlinfer.errors import Location, SqlinferError
from sqlinfer.functions import prepare
from sqlinfer.inference import open_session
from sqlinfer.project.values import FunctionConfig

FEATURES, TRAINED, TREES, DEPTH = 20, 20_000, 300, 6
Made = tuple[Path, Callable[[np.ndarray[Any, Any]], Any]]
"""The model's file, and the library's own prediction."""


@dataclass(frozen=True)
class Case:
    name: str
    source: str
    make: Callable[[Path, np.ndarray[Any, Any], np.ndarray[Any, Any], int], Made]


def xgboost(folder: Path, rows: np.ndarray[Any, Any], target: np.ndarray[Any, Any], threads: int) -> Made:
    import xgboost as library

    settings = {"max_depth": DEPTH, "nthread": threads, "objective": "binary:logistic"}
    model = library.train(settings, library.DMatrix(rows, target), TREES)
    model.save_model(folder / "model.ubj")
    return folder / "model.ubj", model.inplace_predict


def lightgbm(folder: Path, rows: np.ndarray[Any, Any], target: np.ndarray[Any, Any], threads: int) -> Made:
    import lightgbm as library

    settings = {"num_leaves": 2**DEPTH, "verbose": -1, "num_threads": threads, "objective": "binary"}
    model = library.train(settings, library.Dataset(rows, target), TREES)
    model.save_model(folder / "model.txt")
    return folder / "model.txt", model.predict


def catboost(folder: Path, rows: np.ndarray[Any, Any], target: np.ndarray[Any, Any], threads: int) -> Made:
    import catboost as library

    model = library.CatBoostClassifier(iterations=TREES, depth=DEPTH, verbose=0, thread_count=threads,
                                       allow_writing_files=False)  # fmt: skip
    model.fit(rows, target)
    model.save_model(str(folder / "model.cbm"))
    return folder / "model.cbm", lambda given: model.predict_proba(given, thread_count=threads)


def forest(folder: Path, rows: np.ndarray[Any, Any], target: np.ndarray[Any, Any], threads: int) -> Made:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(100, max_depth=10, n_jobs=threads, random_state=0).fit(rows, target)
    return dumped(model, folder), model.predict_proba


def histogram(folder: Path, rows: np.ndarray[Any, Any], target: np.ndarray[Any, Any], threads: int) -> Made:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=TREES, max_leaf_nodes=2**DEPTH, random_state=0).fit(rows, target)
    return dumped(model, folder), model.predict_proba


def logistic(folder: Path, rows: np.ndarray[Any, Any], target: np.ndarray[Any, Any], threads: int) -> Made:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=500).fit(rows, target)
    return dumped(model, folder), model.predict_proba


def dumped(model: Any, folder: Path) -> Path:
    from skops import io

    io.dump(model, folder / "model.skops")
    return folder / "model.skops"


CASES = (
    Case("XGBoost, 300 trees", "xgboost", xgboost),
    Case("LightGBM, 300 trees", "lightgbm", lightgbm),
    Case("CatBoost, 300 trees", "catboost", catboost),
    Case("RandomForest, 100 trees of depth 10", "sklearn", forest),
    Case("HistGradientBoosting, 300 trees", "sklearn", histogram),
    Case("LogisticRegression", "sklearn", logistic),
)


def measured(case: Case, rows: int, repeats: int, threads: int) -> str:
    random = np.random.default_rng(0)
    trained = random.normal(size=(TRAINED, FEATURES)).astype(np.float32).astype(np.float64)
    target = (trained[:, :5].sum(axis=1) + random.normal(size=TRAINED) > 0).astype(np.int64)
    given = random.normal(size=(rows, FEATURES)).astype(np.float32).astype(np.float64)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, predict = case.make(folder, trained, target, threads)
        config = FunctionConfig(name="f", folder=folder, location=Location(folder / "f.yml"), source=case.source,
                                path=path)  # fmt: skip
        began = perf_counter()
        prepared = prepare(config, cache_dir=folder / "cache", device="cpu")
        cost, began = perf_counter() - began, perf_counter()
        prepare(config, cache_dir=folder / "cache", device="cpu")
        warm = perf_counter() - began
        names = [argument.name for argument in prepared.contract.arguments]
        table = pa.table(list(given.T.copy()), names=names)
        with open_session(prepared, device="cpu", threads=threads, cache_dir=folder / "cache") as session:
            session.score_table(table, keep=())  # measures the batch
            times = list(rounds(lambda: predict(given), lambda: session.score_table(table, keep=()), repeats))
    own, ours = (rows / median(pair[which] for pair in times) for which in (0, 1))
    proof = prepared.verified
    difference = "not verified" if proof is None else f"{proof.relative:.1e} on {proof.rows} rows"
    return (
        f"{case.name}: prepared in {cost:.1f} s (found again in {warm * 1e3:.0f} ms, difference {difference}); "
        f"{own / 1e6:.3f} → {ours / 1e6:.3f} M rows/s, {ours / own:.2f}× the library's own"
    )


def rounds(first: Callable[[], Any], second: Callable[[], Any], repeats: int) -> Iterator[tuple[float, float]]:
    for _ in range(repeats):
        times = []
        for run in (first, second):
            began = perf_counter()
            run()
            times.append(perf_counter() - began)
        yield times[0], times[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    for case in CASES:
        if asked.sources and case.source not in asked.sources:
            continue
        try:
            print(measured(case, asked.rows, asked.repeats, asked.threads), flush=True)
        except (ImportError, SqlinferError) as error:
            print(f"{case.name}: left out: {str(error).splitlines()[0]}", flush=True)


if __name__ == "__main__":
    main()
