"""The session of this process, classic or Connect: started once, shared by all who ask for the same one."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from sqlinfer.adapters.spark.errors import first_line, translated
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import AdapterError, ProfileError
from sqlinfer.scrub import scrub

OLDEST_JAVA = 17
_STARTING = threading.Lock()
_QUIET = Path(__file__).parent / "log4j2.properties"
_OPTIONS = "spark.driver.extraJavaOptions"
WAITS = 60
"""Seconds that a statement waits for a Connect server that is gone; PySpark's own ten minutes are a night's."""
_CONNECTED: dict[str, list[Any]] = {}
"""Sessions by their server."""
_RETRIES, _BACKOFF = 9, 10_000
"""Of a statement, and milliseconds between two at most: as many as fit into ``WAITS``."""


def session_of(settings: SparkSettings) -> Any:
    """A PySpark session of its own, with its own temporary views and current schema.

    Raises:
        AdapterError: PySpark or Java is missing, the cluster or the server does not answer.
    """
    try:
        import pyspark  # noqa: F401
    except ImportError as error:
        raise AdapterError("PySpark is not installed", hint="pip install 'sqlinfer[spark]'") from error
    _silence()
    with _STARTING, translated():
        session = _connected(settings) if settings.remote else _classic(settings)
    if settings.remote:
        return session
    session = session.newSession()
    _configure(session, settings)
    return session


def _connected(settings: SparkSettings) -> Any:
    """A session of its own on the server."""
    try:
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise AdapterError(f"Spark Connect needs more libraries: {error.name}",
                           hint="pip install 'pyspark[connect]'") from error  # fmt: skip
    try:
        session = SparkSession.builder.remote(settings.remote).create()
        _CONNECTED.setdefault(settings.remote or "", []).append(session)
        session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES, max_backoff=_BACKOFF)])
        session.version  # noqa: B018  asks the server
    except Exception as error:
        raise AdapterError(
            f"the Spark Connect server {settings.place} does not answer: {scrub(first_line(str(error)))}",
            hint="start it with sbin/start-connect-server.sh, or mend 'remote' in the profile",
        ) from error
    _configure(session, settings)
    return session


def wait_no_more(remote: str) -> None:
    """The server is gone: PySpark asks each session of it once more when the process ends, and would wait again."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    for session in _CONNECTED.pop(remote, []):
        session.client.set_retry_policies([DefaultPolicy(max_retries=0)])


def _classic(settings: SparkSettings) -> Any:
    """The one that runs in this process, a notebook's included, or a new one."""
    from py4j.protocol import Py4JError
    from pyspark import SparkContext
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession() if SparkContext._active_spark_context is not None else None
    if active is not None:
        return active
    refuse_without_java()
    given = _with_quiet_log(settings.of_session())
    if given["spark.master"].startswith("local") and "spark.pyspark.python" not in given:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else `python3` of the PATH, which may lack sqlinfer
    with tempfile.TemporaryFile() as said:
        try:
            _launch(given, said)
            return SparkSession.builder.config(map=given).getOrCreate()
        except (PySparkException, Py4JError, OSError) as error:
            refuse_old_java()
            said.seek(0)
            text = str(error) if "JAVA_GATEWAY_EXITED" not in str(error) else said.read().decode(errors="replace")
            raise AdapterError(f"Spark does not start: {scrub(_reason(text))}",
                               hint="`sqlinfer debug` checks Java and the cluster") from error  # fmt: skip


def _launch(given: dict[str, str], said: Any) -> None:
    """The JVM, with what it writes to stderr in a file: warnings about its own modules are no part of a night."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is None:
        conf = SparkConf(loadDefaults=False).setAll(list(given.items()))
        SparkContext._ensure_initialized(gateway=launch_gateway(conf, popen_kwargs={"stderr": said}), conf=conf)


def _reason(text: str) -> str:
    """The line that tells why, of a message with traces of the JVM."""
    told = [line for line in text.splitlines() if re.search(r"Exception|Error[: ]", line) and "\tat " not in line]
    line = first_line(told[-1] if told else text)
    return re.sub(r"^.*?(?:[\w.$]+(?:Exception|Error): )", "", line) or line


def _with_quiet_log(given: dict[str, str]) -> dict[str, str]:
    """The JVM's log is no part of a night's output, unless the profile configures it."""
    options = given.get(_OPTIONS, "")
    if "log4j" not in options:
        options = f"-Dlog4j2.configurationFile={_QUIET} {options}"
    if "derby.stream" not in options:
        options = f"-Dderby.stream.error.file={os.devnull} {options}"
    return {**given, _OPTIONS: options.strip()}


def _configure(session: Any, settings: SparkSettings) -> None:
    """Settings that a session may change. Raises ProfileError for those that only the server's start could set."""
    for key, value in settings.parameters.items():
        if key.startswith("spark.sql.") and session.conf.isModifiable(key):
            session.conf.set(key, value)
        elif settings.remote and session.conf.get(key, None) != value:
            raise ProfileError(f"server_side_parameters: {key} is set where the Connect server is started",
                               hint="leave it out of the profile, or use method: session")  # fmt: skip


def _silence() -> None:
    """PySpark logs every refused statement with the JVM's stack trace."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger", "pyspark.sql.connect.logging"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


# Java


def java() -> str | None:
    """The command that Spark would run."""
    home = os.environ.get("JAVA_HOME")
    if home:
        found = Path(home) / "bin" / "java"
        return str(found) if found.exists() else None
    return shutil.which("java")


def java_version() -> int | None:
    """17 of ``openjdk version "17.0.15"``, 8 of ``1.8.0``; None where it does not tell."""
    command = java()
    if command is None:
        return None
    try:
        told = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    return int(found[1]) if found else None


def refuse_without_java() -> None:
    if java() is None:
        place = f"JAVA_HOME is {os.environ['JAVA_HOME']}" if os.environ.get("JAVA_HOME") else "JAVA_HOME is not set"
        raise AdapterError(f"Spark needs Java, and there is none ({place})", hint=_install())


def refuse_old_java() -> None:
    version = java_version()
    if version is not None and version < OLDEST_JAVA:
        raise AdapterError(f"Spark needs Java {OLDEST_JAVA} or newer, {java()} is Java {version}", hint=_install())


def _install() -> str:
    return (
        f"install Java {OLDEST_JAVA} (openjdk-{OLDEST_JAVA}-jre-headless), or set JAVA_HOME; remote: sc://… needs none"
    )
