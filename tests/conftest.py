"""For all tests: a small project that the real command works on; no skipped test where services are required."""

from __future__ import annotations

import gc
import io
import os
import signal
from collections.abc import Generator, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sqlinfer import scrub
from sqlinfer.testing import children
from sqlinfer.testing.patience import patience
from sqlinfer.testing.postgres_server import Database, NoPostgres, postgres

SLOWEST = (
    "chaos/test_kills", "compiler/test_random_queries", "chaos/", "dbt/", "compiler/test_differential", "bad_inputs/",
    "runner/test_processes", "functions/test_torch", "attack/", "compiler/", "example/", "e2e/", "cli/", "security/",
    "test_readme", "runner/", "functions/", "spark/test_kills", "spark/test_conformance", "spark/test_example",
    "spark/test_connect", "spark/test_corpus", "spark/test_scoring",
)  # fmt: skip
"""Files and folders, the longest first: with several processes the last one to end should have had little to do."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The limit of a test is that of a quiet machine; Ctrl-C reaches its children, even where a shell ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.timeout is None and config.getini("timeout"):
        config.option.timeout = patience(float(config.getini("timeout")))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough", action="store_true", help="run also what shows again at length what other tests show"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    named = any("::" in argument for argument in config.args)
    if not (named or config.getoption("--thorough")):
        config.hook.pytest_deselected(items=[item for item in items if _is_thorough(item)])
        items[:] = [item for item in items if not _is_thorough(item)]
    for item in items:
        for mark in item.iter_markers("timeout"):
            item.add_marker(pytest.mark.timeout(patience(*mark.args)), append=False)
            break
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _is_thorough(item: Any) -> bool:
    mark = item.get_closest_marker("thorough")
    return mark is not None and (not mark.args or any(word in item.callspec.id for word in mark.args))


def _rank(item: pytest.Item) -> int:
    """Stable: the tests of a file stay together and in order."""
    place = item.path.relative_to(Path(__file__).parent).as_posix()
    return next((rank for rank, prefix in enumerate(SLOWEST) if place.startswith(prefix)), len(SLOWEST))


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered is sealed with a key that lies here, and not in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    """Children end with the test that started them, and their pipes are not another test's ResourceWarning."""
    yield
    children.reap()


@pytest.fixture(autouse=True)
def _secrets_of_other_tests_are_unknown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process knows each secret that it met for good; one test's must not mask another test's output."""
    monkeypatch.setattr(scrub, "_KNOWN", set())
    scrub.forget_patterns()
    yield
    scrub.forget_patterns()


def pytest_sessionfinish() -> None:
    """What is reported about objects that outlive the interpreter would follow the summary."""
    gc.collect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where SQLINFER_REQUIRE_SERVICES is set, a skipped test is a failed one, unless its mark makes it optional."""
    report = yield
    optional = any(item.get_closest_marker(name) for name in ("gpu", "clone", "extra"))
    required = os.environ.get("SQLINFER_REQUIRE_SERVICES") and not optional
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but SQLINFER_REQUIRE_SERVICES is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Database]:
    """Its maintenance database. With several test processes each has a server of its own."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(postgres())
        except NoPostgres as missing:
            pytest.skip(f"no PostgreSQL: {missing}")


@pytest.fixture
def postgres_database(postgres_server: Database) -> Iterator[Database]:
    """An empty database."""
    with postgres_server.fresh() as database:
        yield database


FUNCTION = """functions:
  - name: f
    model: {{path: f.onnx}}
    arguments: [{{name: x, data_type: double}}]
    returns: {{data_type: double}}
    config: {{{config}}}
"""


@dataclass(frozen=True)
class Shop:
    root: Path

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def model(self, sql: str, tests: str = "", name: str = "m") -> None:
        """``tests``: yml below ``models: [{name: m, …``."""
        self.put(f"models/{name}.sql", sql)
        if tests:
            self.put(f"models/{name}.yml", f"models:\n  - name: {name}\n{tests}")

    def function(self, config: str) -> None:
        self.put("functions/f.yml", FUNCTION.format(config=config))

    def db(self, sql: str) -> list[tuple[Any, ...]]:
        import duckdb

        with duckdb.connect(str(self.root / "w.duckdb")) as connection:
            return connection.execute(sql).fetchall()

    def __call__(self, *words: str) -> tuple[int, str]:
        """Exit code, and what was printed."""
        from sqlinfer.cli.main import invoke

        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            code = invoke([*words, "--project-dir", str(self.root), "--no-use-colors"])
        return code, out.getvalue()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """f(x) = 2x + 1; a table t with id and x, 0 to 2."""
    from sqlinfer.testing.onnx_builder import linear

    shop = Shop(tmp_path)
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    shop.put("profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n")
    shop.function("")
    linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    shop.db("create table t as select i as id, i::double as x from range(3) r(i)")
    return shop
