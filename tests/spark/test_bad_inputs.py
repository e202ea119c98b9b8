"""What keeps a night from its end has one message with the way out, and what is published stays."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.spark.adapter import SparkAdapter
from sqlinfer.adapters.spark.checks import refuse_without_executors
from sqlinfer.adapters.spark.preflight import _refuse_other_format
from sqlinfer.adapters.spark.session import SparkSqlSession
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


def test_a_file_of_a_published_table_that_vanished_is_told_and_a_new_version_mends_it(
    adapter: SparkAdapter, spark_parameters: dict[str, Any]
) -> None:
    target = replace(adapter.default, name="t")

    def publish(run_id: str, **how: Any) -> None:
        with adapter.workspace(run_id) as work, work.publishing(5):
            work.materialize(Materialization(target, **how), "select id as k, id * 2 as x from range(10)")

    publish("one")
    folder = Path(spark_parameters["spark.sql.warehouse.dir"], f"{adapter.settings.schema}.db", "t__v_one")
    for path in folder.glob("*.parquet"):
        path.unlink()
    with SparkSqlSession(adapter.settings) as session, pytest.raises(AdapterError) as found:
        session.rows("select count(x) from t where k > 3")
    assert "parquet" in found.value.message
    assert "--full-refresh" in str(found.value.hint)
    publish("two")
    assert adapter.query("select count(*) as n from t").to_pylist() == [{"n": 10}]
