"""Where SQLINFER_REQUIRE_SERVICES is set, a skipped test is a failed one, unless it wants a GPU."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    required = os.environ.get("SQLINFER_REQUIRE_SERVICES") and item.get_closest_marker("gpu") is None
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but SQLINFER_REQUIRE_SERVICES is set: {report.longrepr}"
    return report
