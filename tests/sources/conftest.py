"""A library that a test wants and that is not installed: skipped, or a failure where they are required."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from sqlinfer.testing.workshop import Workshop


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """``importorskip`` at the top of a module skips the module as a whole."""
    report = yield
    if os.environ.get("SQLINFER_REQUIRE_SOURCES") and report.outcome == "skipped":
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("SQLINFER_REQUIRE_SOURCES") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


@pytest.fixture
def shop(tmp_path) -> Workshop:
    return Workshop(tmp_path)
