"""What keeps a night from its end has one message with the way out, and what is published stays."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.spark.checks import refuse_without_executors
from sqlinfer.adapters.spark.errors import adapter_error
from sqlinfer.adapters.spark.preflight import _refuse_other_format
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.adapters.spark.shipping import ship
from sqlinfer.errors import AdapterError, InferenceError, PublicationError
from sqlinfer.relation import Relation
from sqlinfer.spec.function import Argument, FunctionContract, NativeModel, Output, PreparedFunction
from sqlinfer.testing.fake_scorer import Doubling, Heard

CONTRACT = FunctionContract("twice", "d" * 64, (Argument("x", "DOUBLE"),), (Output("value", "DOUBLE"),))


class Cluster:
    """A session whose cluster has no worker, or takes no file."""

    is_remote = True

    def __init__(self, told: str = "") -> None:
        self.raw: Any = self
        self.client = self
        self.interrupted = threading.Event()
        self.told = told

    def value(self, sql: str) -> None:
        self.interrupted.wait(30)

    def interruptAll(self) -> None:
        self.interrupted.set()

    def add_file(self, path: Path) -> None:
        raise AdapterError("Spark: No space left on device")

    def rows(self, sql: str) -> list[tuple[str, str]]:
        return [("Provider", self.told)]


def test_a_cluster_without_executors_is_told_after_a_while() -> None:
    cluster: Any = Cluster()
    settings = SparkSettings("ml", "ml_sqlinfer", Path(), parameters={"spark.master": "spark://head:7077"}, patience=0)
    with pytest.raises(AdapterError, match=r"spark://head:7077.*: no executor has answered within 0 s") as found:
        refuse_without_executors(cluster, settings)
    assert "start workers" in str(found.value.hint)
    assert cluster.interrupted.is_set()


@pytest.mark.parametrize("provider", ["delta", "ICEBERG", "hudi"])
def test_a_table_of_another_format_is_left_alone(provider: str) -> None:
    cluster: Any = Cluster(provider)
    target = Relation("t", "ml")
    with pytest.raises(PublicationError, match=f"table of format {provider.lower()}") as found:
        _refuse_other_format(cluster, Materialization(target), target)
    assert "drop or rename the table" in str(found.value.hint)


@pytest.mark.parametrize(
    ("native", "said", "hint"),
    [
        (NativeModel("m", "{}", "f.py"), "is scored by f.py, in processes of this machine", "local"),
        (None, "bytes) cannot be sent to Spark's executors: Spark: No space left", "TMPDIR"),
    ],
)
def test_an_artifact_that_cannot_be_shipped_is_named(
    native: NativeModel | None, said: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    files = (("model.onnx", "1"),)
    function = PreparedFunction(CONTRACT, tmp_path, tmp_path / "model.onnx", (), (), files=files, native=native)
    cluster: Any = Cluster()
    with pytest.raises(InferenceError) as found:
        ship(cluster, Doubling((), (function,), Heard(tmp_path / "seen")), (), (), pa.schema([]), None)
    assert "function 'twice'" in found.value.message
    assert said in found.value.message
    assert hint in str(found.value.hint)


class Gone(Exception):
    """As Spark says that a file is not there which it had listed."""

    def getSqlState(self) -> str:
        return "KD001"


def test_a_file_that_vanished_while_a_table_is_read_has_a_way_out() -> None:
    said = "[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file file:///t/part-0.parquet."
    error = adapter_error(Gone(f"{said} SQLSTATE: KD001"), "select * from t")
    assert error.message == "Spark: Encountered error while reading file file:///t/part-0.parquet."
    assert "--full-refresh" in str(error.hint)
