"""A project worth killing on Spark: a metastore that outlives drivers, a keeper who reads meanwhile, and victims."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "chaos"))

from chaoskit import FUNCTION, HOOKS, network
from class_archive import FAST, QUICK

from sqlinfer.testing.children import start
from sqlinfer.testing.patience import patience

CHUNK, ROWS = 1024, 12_000
MODELS = {"scores": "select id, g, predict('deep', a, b, c) as score from ml.customers"}
SITE = """<configuration>
<property><name>javax.jdo.option.ConnectionURL</name><value>jdbc:derby:memory:kills;create=true</value></property>
<property><name>datanucleus.schema.autoCreateAll</name><value>true</value></property>
<property><name>hive.metastore.schema.verification</name><value>false</value></property>
<property><name>hive.async.log.enabled</name><value>false</value></property>
</configuration>"""


ASK = """
import json, sys
from pathlib import Path
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
output = json.loads(Path("profiles.yml").read_text())["shop"]["outputs"]["dev"]
with SparkSqlSession(SparkSettings.parse(output, Path.cwd())) as session:
    for sql in sys.argv[1:]:
        found = session.rows(sql)
    print("answer", json.dumps(found, default=str))
"""
"""Statements in a process of their own, run in the folder of a project; the rows of the last one."""


def answer_of(done: subprocess.CompletedProcess[str]) -> list[list[Any]]:
    """What a process that ran ``ASK`` printed."""
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout.rpartition("answer ")[2])
    return found


@contextmanager
def metastore(folder: Path) -> Iterator[str]:
    """Hive's, as a service: its address."""
    import pyspark

    folder.mkdir()
    (folder / "hive-site.xml").write_text(SITE)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    jars = Path(pyspark.__file__).parent / "jars" / "*"
    command = ["java", *FAST.split(), "-Xmx256m", f"-Dderby.stream.error.file={os.devnull}", "-cp", f"{folder}:{jars}",
               "org.apache.hadoop.hive.metastore.HiveMetaStore", "-p", str(port)]  # fmt: skip
    with (folder / "log.txt").open("w") as log:
        server = start(command, stdout=log, stderr=log)
        end = time.monotonic() + patience(60)
        while not answers(port):
            is_late = server.poll() is not None or time.monotonic() > end
            assert not is_late, (folder / "log.txt").read_text()[-2000:]
            time.sleep(0.2)
        yield f"thrift://localhost:{port}"
        server.kill()


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("localhost", port)) == 0


@dataclass
class KillHouse:
    folder: Path
    uri: str
    master: str
    generation: int = 0
    keeper: subprocess.Popen[str] | None = None
    budget: int = 0
    """Rows that have to be scored, and those that kills may have cost."""
    environment: dict[str, str] = field(default_factory=dict)

    def build(self) -> KillHouse:
        parameters = {
            "spark.master": self.master, "spark.hadoop.hive.metastore.uris": self.uri,
            "spark.sql.warehouse.dir": str(self.folder / "warehouse"), "spark.sql.shuffle.partitions": 2,
            "spark.deploy.maxExecutorRetries": -1, "spark.ui.enabled": False, "spark.driver.extraJavaOptions": QUICK,
            "spark.executor.extraJavaOptions": QUICK, "spark.sql.codegen.wholeStage": False,
        }  # fmt: skip
        output = {"type": "spark", "method": "session", "schema": "ml", "server_side_parameters": parameters}
        files = {
            "sqlinfer_project.yml": "name: house\nprofile: house\n",
            "profiles.yml": json.dumps({"house": {"target": "dev", "outputs": {"dev": output}}}),
            **{f"models/{name}.sql": sql for name, sql in MODELS.items()},
        }
        files["functions/deep.yml"] = "functions:" + FUNCTION.format(name="deep", reuse='"true"', more="")
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        (self.folder / "functions" / "deep.onnx").write_bytes(network("deep", 12))
        self.environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(HOOKS), os.environ.get("PYTHONPATH")))),
            "SQLINFER_CHUNK_ROWS": str(CHUNK), "SQLINFER_TEST_COUNT": str(self.folder / "count.txt"),
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        keeper = Path(__file__).parent / "shop_keeper.py"
        self.keeper = start([sys.executable, str(keeper), str(self.folder), *MODELS], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)  # fmt: skip
        return self

    def sql(self, *statements: str) -> list[list[Any]]:
        assert self.keeper is not None
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        for statement in statements:
            self.keeper.stdin.write(json.dumps(statement) + "\n")
            self.keeper.stdin.flush()
            line = self.keeper.stdout.readline()
            assert line, "the keeper is gone"
        found: list[list[Any]] = json.loads(line)
        return found

    def seen(self) -> dict[str, Any]:
        assert self.keeper is not None
        found: dict[str, Any] = json.loads(self.keeper.communicate("stop\n", timeout=patience(60))[0].splitlines()[-1])
        return found

    def night(self) -> None:
        """Every row gets tonight's generation, a third of them new inputs."""
        self.generation += 1
        g = self.generation
        if g == 1:
            values = "float(sin(id % 6000)) as a, float(cos(id % 6000)) as b, float(id % 7) as c"
            self.sql("create schema ml", f"create table ml.customers as select id, 1 as g, {values} from range({ROWS})",
                     f"create table ml.expected using parquet as select {ROWS} as rows")  # fmt: skip
            where = "true"
        else:
            where = f"(id + {g}) % 3 = 0"
            new = f"if({where}, float(sin(id * {g})), a) as a"
            self.sql(f"create table ml.tonight as select id, {g} as g, {new}, b, c from ml.customers",
                     "drop table ml.customers", "alter table ml.tonight rename to ml.customers")  # fmt: skip
        self.budget += self.sql(f"select count(distinct a, b, c) from ml.customers where {where}")[0][0]

    # victims

    def start(self) -> subprocess.Popen[str]:
        """A driver, with all that it starts in a group of its own."""
        command = [sys.executable, "-c", "from sqlinfer.cli.main import main; main()", "run", "--project-dir",
                   str(self.folder)]  # fmt: skip
        return start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment,
                     start_new_session=True)  # fmt: skip

    def run(self) -> float:
        """An undisturbed night. Its seconds."""
        began = time.monotonic()
        driver = self.start()
        said = driver.communicate(timeout=patience(300))[0]
        assert driver.returncode == 0, said
        return time.monotonic() - began

    def counted(self) -> int:
        """Rows that went into the kernel of the remembered function."""
        path = self.folder / "count.txt"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return sum(int(rows) for name, rows in lines if name == "deep")

    def assert_right(self) -> None:
        """Every row has tonight's generation and, for equal inputs, one score; no key is twice in the store."""
        for view in MODELS:
            wrong = f"s.g is distinct from {self.generation} or s.score is null or s.id is null"
            joined = f"ml.customers c full join ml.{view} s on c.id = s.id"
            assert self.sql(f"select count(*) from {joined} where {wrong}") == [[0]]
            equal = f"ml.{view} join ml.customers using (id) group by a, b, c"
            several = f"select 1 from {equal} having count(distinct score) > 1"
            assert self.sql(f"select count(*) from ({several}) as q") == [[0]]
        stores = [row[1] for row in self.sql("SHOW VIEWS IN ml_sqlinfer LIKE 'deep_*'")]
        assert len(stores) == 1
        twice = f"select count(*) - count(distinct input_key) from ml_sqlinfer.`{stores[0]}`"
        assert self.sql(twice) == [[0]]


def kill_group(driver: subprocess.Popen[str]) -> None:
    """The driver's JVM and Python workers die with it, at once."""
    for pid in {driver.pid, *descendants(driver.pid)}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def executors(driver: subprocess.Popen[str]) -> list[int]:
    """JVMs of executors that the driver has now."""
    return [pid for pid in descendants(driver.pid) if "CoarseGrainedExecutorBackend" in _command(pid)
            and "java" in _command(pid).split("\0")[0]]  # fmt: skip


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    found, waiting = list[int](), [pid]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
