"""W1 to W8 as values: data in SQL, the graph, the declared function, the model's SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlinfer.testing import onnx_builder
from tests.benchmarks import graphs

FEATURES = tuple(f"c{number}" for number in range(20))
NUMBERS, TEXTS = tuple(f"n{number}" for number in range(4)), tuple(f"s{number}" for number in range(8))


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    rows: int
    title: str
    table: str
    """SELECT that makes the rows of ``input`` from ``range(rows)`` (column ``id``)."""
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    write: Callable[[Path], None]
    """Writes the artifact(s) into the functions folder, the graph as ``f.onnx``."""
    output: str = "score"
    index: int | None = None
    returns: str = "float"
    packed: bool = True
    tokens: bool = False
    floor: float | None = None
    """Share of the floor that the end to end run is held to."""
    warm: float | None = None
    """How many times the rate of the fastest warm peer ours is held to."""
    targets: tuple[tuple[str, float], ...] = ()
    """Peer → how many times its rate ours is held to."""

    @property
    def arguments(self) -> tuple[str, ...]:
        return (*self.numbers, *self.texts)


def _graph(make: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "f.onnx").write_bytes(make())

    return write


def _text_artifact(folder: Path) -> None:
    graphs.encoder(folder / "f.onnx")
    graphs.tokenizer(folder)


_RANDOM = ", ".join(f"random()::float AS {name}" for name in FEATURES)
_NUMERIC = f"SELECT range AS id, {_RANDOM} FROM range({{rows}})"
_KIND = "CASE WHEN random() < 0.01 THEN 'unseen' ELSE 'category ' || (random() * 12)::int % 12 END"
_MIXED = (
    "SELECT range AS id, "
    + ", ".join([f"random()::float AS {n}" for n in NUMBERS] + [f"{_KIND} AS {s}" for s in TEXTS])
    + " FROM range({rows})"
)
_TEXT = (
    "SELECT range AS id, list_aggregate(list_transform(range((5 + 115 * random() ** 3)::int), "
    "lambda x: 'word' || ((x * 7919 + id * 104729) % 4000)), 'string_agg', ' ') AS body "
    "FROM (SELECT range, range AS id FROM range({rows}))"
)
_REPEATED = (
    f"SELECT r.range AS id, {', '.join(f'd.{name}' for name in FEATURES)} FROM range({{rows}}) AS r "
    f"JOIN (SELECT range AS did, {_RANDOM} FROM range({{distinct}})) AS d ON d.did = r.range % {{distinct}}"
)


def workloads(scale: float, texts: int | None = None) -> dict[str, Workload]:
    """Every workload, its rows multiplied by ``scale``."""

    def rows(wanted: int) -> int:
        return max(64, int(wanted * scale))

    def numeric(name: str, count: int, title: str, make: Callable[[], bytes], **more: object) -> Workload:
        table = _NUMERIC.format(rows=rows(count))
        return Workload(name, rows(count), title, table, FEATURES, (), _graph(make), **more)  # type: ignore[arg-type]

    distinct = rows(50_000)
    made = (
        numeric("w1", 5_000_000, "MLP 20-32-32-1", lambda: onnx_builder.mlp([20, 32, 32, 1]), floor=0.75, warm=1.3,
                targets=(("udf", 2.4), ("loop", 1.1))),
        numeric("w2", 2_000_000, "MLP 20-256-256-1", lambda: onnx_builder.mlp([20, 256, 256, 1]), floor=0.9, warm=1.3,
                targets=(("udf", 1.6), ("loop", 1.4))),
        numeric("w3", 2_000_000, "200 trees of depth 6", lambda: onnx_builder.tree_ensemble(200, 6, 20), floor=0.9,
                warm=8.0, targets=(("udf", 1.25), ("loop", 1.25))),
        numeric("w4", 5_000_000, "scaler + logistic regression", lambda: graphs.scaled_logistic(20), floor=0.75,
                warm=1.3, output="probabilities", index=1, targets=(("udf", 1.9),)),
        Workload("w5", rows(1_000_000), "one-hot + 100 trees of depth 3, 4 numbers and 8 texts",
                 _MIXED.format(rows=rows(1_000_000)), NUMBERS, TEXTS,
                 _graph(lambda: graphs.categorical_trees(NUMBERS, TEXTS)), packed=False, floor=0.75, warm=4.0,
                 targets=(("udf", 3.0), ("loop", 3.0))),
        Workload("w6", texts or rows(5_000), "6-layer 384-wide encoder, mean pooled, texts of 5 to 120 tokens",
                 _TEXT.format(rows=texts or rows(5_000)), (), ("body",), _text_artifact, output="last_hidden_state",
                 returns="float[384]", tokens=True, floor=0.9, targets=(("batches32", 3.2),)),
        Workload("w8", rows(5_000_000), "W2's MLP, 50,000 distinct rows",
                 _REPEATED.format(rows=rows(5_000_000), distinct=distinct), FEATURES, (),
                 _graph(lambda: onnx_builder.mlp([20, 256, 256, 1]))),
    )  # fmt: skip
    return {work.name: work for work in made}


def declaration(work: Workload, *, reuse: str = "auto") -> str:
    """The function ``f`` as yml."""
    lines = ["functions:", "  - name: f", "    model:", "      path: f.onnx"]
    if work.packed and not work.tokens:
        lines += ["      inputs:", f"        features: [{', '.join(work.arguments)}]"]
    lines += ["    arguments:"]
    lines += [f"      - {{name: {name}, data_type: float}}" for name in work.numbers]
    lines += [f"      - {{name: {name}, data_type: varchar}}" for name in work.texts]
    if work.tokens:
        lines += ["    tokenizer: {path: tokenizer.json, argument: body, max_length: 128}"]
        lines += ["    returns: {data_type: 'float[384]', output: last_hidden_state, pooling: mean}"]
    else:
        index = "" if work.index is None else f", index: {work.index}"
        lines += [f"    returns: {{data_type: {work.returns}, output: {work.output}{index}}}"]
    return "\n".join([*lines, f"    config: {{device: cpu, reuse: {reuse}}}"]) + "\n"
