"""Seeded SIGKILLs of the real command line at random moments, readers watching."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chaoskit import CHUNK, MODELS, House

from sqlinfer.testing.children import start
from sqlinfer.testing.patience import patience

KILLS = int(os.environ.get("SQLINFER_KILLS", "8"))
SEED = int(os.environ.get("SQLINFER_SEED", "20261124"))
PER_NIGHT = 12
READERS = 2


def watch(house: House, stop: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).parent / "watcher.py"), str(house.database), str(stop), *MODELS]
    return start(command, stdout=subprocess.PIPE, text=True)


def kill_once(house: House, moment: float, command: str) -> bool:
    """Start, wait, kill. Whether the run was still under way; if not, it must have succeeded."""
    process = house.start(command)
    time.sleep(moment)
    done = process.poll() is not None
    process.kill()
    out, err = process.communicate(timeout=patience(30))
    assert not done or process.returncode == 0, out + err
    house.results()  # parses
    manifest = house.folder / "target" / "manifest.json"
    assert not manifest.exists() or json.loads(manifest.read_text())
    return not done


@pytest.mark.chaos
@pytest.mark.timeout(60 + 20 * KILLS)
def test_no_kill_is_seen_by_readers_or_in_the_result(tmp_path: Path, record_property) -> None:
    rng = random.Random(SEED)
    disturbed, calm = House.build(tmp_path / "disturbed"), House.build(tmp_path / "calm")
    disturbed.night(), calm.night()
    stop = tmp_path / "stop"
    watchers = [watch(disturbed, stop) for _ in range(READERS)]
    kills, nights, calm_seconds = 0, 0, []
    try:
        while kills < KILLS:
            straight = calm.run()
            assert straight.code == 0, straight.text
            calm_seconds.append(straight.seconds)
            here = 0
            while here < PER_NIGHT and kills < KILLS:
                moment = rng.uniform(0.2, straight.seconds)
                if not kill_once(disturbed, moment, rng.choice(("run", "run", "retry")) if here else "run"):
                    break
                here, kills = here + 1, kills + 1
            last = disturbed.run()
            assert last.code == 0, last.text
            assert disturbed.tables() == calm.tables()
            nights += 1
            if kills < KILLS:
                disturbed.night(), calm.night()
    finally:
        stop.touch()
        seen = [json.loads(process.communicate(timeout=patience(60))[0]) for process in watchers]
    figures = {
        "kills": kills, "nights": nights, "states_read": sum(one["seen"] for one in seen),
        "mixed": [text for one in seen for text in one["mixed"]], "scored": disturbed.counted(),
        "scored_undisturbed": calm.counted(), "chunk": CHUNK, "calm_seconds": round(max(calm_seconds), 1),
        "streamed": disturbed.counted("shallow"), "streamed_undisturbed": calm.counted("shallow"), "seed": SEED,
    }  # fmt: skip
    keep(figures)
    record_property("figures", json.dumps(figures))
    assert figures["mixed"] == []
    assert figures["scored"] <= figures["scored_undisturbed"] + kills * CHUNK
    shutil.rmtree(tmp_path / "calm")


def keep(figures: dict[str, object]) -> None:
    """For the table in docs/reliability.md: SQLINFER_FIGURES names a file."""
    print(json.dumps(figures))
    if os.environ.get("SQLINFER_FIGURES"):
        with open(os.environ["SQLINFER_FIGURES"], "a") as file:
            file.write(json.dumps(figures) + "\n")
