"""Every named fail point of the real command line: killed, failed, out of disk. Then the next run."""

from __future__ import annotations

import pytest
from chaoskit import House

POINTS = (
    "before_stage_commit", "after_stage", "before_append_commit", "after_append", "after_pending",
    "before_publish_commit", "after_publish_commit", "after_compaction",
)  # fmt: skip
COMMITTED = ("after_publish_commit", "after_compaction")


@pytest.mark.parametrize("action", ["kill", "error", "enospc"])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.thorough(
    "stage_commit-e", "after_stage-e", "after_append-e", "after_pending-e", "after_publish_commit-e", "compaction-e"
)
def test_the_old_table_stands_until_the_commit_and_the_next_run_is_whole(
    settled: House, point: str, action: str
) -> None:
    before = settled.tables("scores")
    settled.night()
    broken = settled.run(env={"SQLINFER_FAIL_POINTS": f"{point}={action}"})
    assert broken.code == (-9 if action == "kill" else 1 if action == "enospc" else 2), broken.text
    settled.results()  # parses
    now = settled.tables("scores")
    if point in COMMITTED:
        assert {row[1] for row in now["scores"]} == {2}
    else:
        assert now == before
    if action == "enospc" and point not in COMMITTED:
        assert "No space left on device" in broken.text
    again = settled.run("retry" if action == "kill" and point == "after_pending" else "run")
    assert again.code == 0, again.text
    expected = settled.read("select id, g from customers order by all")
    assert settled.read("select id, g from scores order by all") == expected
    assert settled.read("select count(*) from scores where score is null") == [(0,)]
