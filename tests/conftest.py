"""Where SQLINFER_REQUIRE_SERVICES is set, a skipped test is a failed one, unless it wants a GPU or a clone."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    optional = any(item.get_closest_marker(name) for name in ("gpu", "clone"))
    required = os.environ.get("SQLINFER_REQUIRE_SERVICES") and not optional
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but SQLINFER_REQUIRE_SERVICES is set: {report.longrepr}"
    return report
