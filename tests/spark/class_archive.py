"""Options of a JVM that is not there for long, and an archive of Spark's classes, which spares each of them seconds.

``class_archive.py`` writes the archive into the environment that runs it: once, after an install. A JVM whose jars or
version differ from those of the archive does without it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ARCHIVE = Path(sys.prefix) / "spark-classes.jsa"
FAST = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Compiling well costs more than it brings."""
QUICK = f"{FAST} -XX:SharedArchiveFile={ARCHIVE} -Xshare:auto -Xlog:disable" if ARCHIVE.exists() else FAST
SESSION = """
import sys
from pathlib import Path
from pyspark import SparkContext
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
parameters = {
    "spark.master": "local[2]", "spark.sql.shuffle.partitions": 2, "spark.driver.extraJavaOptions": sys.argv[1],
    "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:classes;create=true",
}
raw = {"type": "spark", "schema": "ml", "server_side_parameters": parameters}
with SparkSqlSession(SparkSettings.parse(raw, Path.cwd())) as session:
    session.execute("create schema ml")
    session.execute("create table ml.t using parquet as select id, cast(id as string) as s from range(1000)")
    session.execute("create view ml.v as select count(*) as n from ml.t join ml.t as u using (id)")
    session.execute("alter table ml.t set tblproperties ('a' = 'b')")
    session.rows("show tables in ml")
    session.rows("select n, sum(n) over () as s from ml.v order by n")
    frame = session.frame("select id from ml.t")
    frame.mapInArrow(lambda batches: batches, frame.schema).toArrow()
    session.execute("drop table ml.t")
SparkContext._active_spark_context.stop()
SparkContext._gateway.shutdown()
jvm = SparkContext._gateway.proc
jvm.stdin.close()  # its signal to end
jvm.wait(600)
"""
"""What a night asks of Spark: the classes that it loads are archived."""


def write() -> None:
    """The JVM writes its archive when it ends; only a whole one gets the name that tests look for."""
    ARCHIVE.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=sys.prefix) as folder:
        written = Path(folder) / ARCHIVE.name
        options = f"{FAST} -XX:ArchiveClassesAtExit={written} -Xlog:disable"
        subprocess.run([sys.executable, "-c", SESSION, options], cwd=folder, check=True, timeout=900)
        written.replace(ARCHIVE)


if __name__ == "__main__":
    write()
