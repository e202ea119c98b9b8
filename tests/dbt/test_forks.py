"""The process that dbt lives in, without dbt."""

from __future__ import annotations

import threading

import pytest

from sqlinfer.dbt.command import Dbt
from sqlinfer.dbt.forks import Forks
from sqlinfer.errors import Cancelled


@pytest.mark.skipif("sys.platform != 'linux'", reason="forks are Linux's")
def test_an_interrupt_before_dbt_has_begun_leaves_without_a_word(tmp_path):
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    cancel = threading.Event()
    cancel.set()
    forks = Forks(str(slow), tmp_path, ["parse"])
    try:
        with pytest.raises(Cancelled, match="nothing was changed"):
            Dbt("dbt", tmp_path, cancel=cancel, runner=forks).ask("ls", target_path=tmp_path / "target" / "dbt")
    finally:
        forks.close()
