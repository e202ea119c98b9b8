"""dbt's flags after ``sqlinfer dbt build``: sorted, or refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.dbt.flags import project_flags, split
from sqlinfer.errors import UsageError


def test_each_call_gets_its_flags():
    given = "-s a b --exclude c --state old --threads=4 -fx -tprod -q --warn-error --device cpu"
    found = split(given.split())
    assert found.selection == ("-s", "a", "b", "--exclude", "c")
    assert found.connection == ("-t", "prod")
    assert found.state == ("--state", str(Path("old").absolute()))
    assert found.compiling == ("--threads", "4", "-f")
    assert found.rest == ("-x",)
    assert found.shown == ("-q",)
    assert found.parsing == ("--warn-error",)
    assert found.ours == ("--device", "cpu")


def test_the_last_word_counts():
    found = split(["--target", "dev", "-t", "prod", "--quiet", "--no-quiet"])
    assert found.value("--target") == "prod"
    assert not found.on("--quiet")
    assert found.said("--quiet")
    assert not found.said("--debug")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--slect", "x"], "No such option: --slect"),
        (["churn"], "unexpected extra argument (churn)"),
        (["--threads", "many"], "'many' is not a valid integer"),
        (["--threads", "٣"], "is not a valid integer"),
        (["--target"], "'--target' requires an argument"),
        (["--select", "--full-refresh"], "'--select' requires an argument"),
        (["--log-format", "xml"], "'xml' is not one of"),
        (["--resource-type", "modle"], "'modle' is not one of"),
        (["--project-dir", "nowhere"], "Path 'nowhere' does not exist"),
        (["--target-path", "x"], "does not take --target-path"),
    ],
)
def test_what_dbt_would_refuse_is_refused_first(words, message):
    with pytest.raises(UsageError) as caught:
        split(words)
    assert message in str(caught.value)


def test_a_misspelled_flag_has_a_hint():
    with pytest.raises(UsageError, match="did you mean '--select'"):
        split(["--slect", "x"])


def test_flags_of_the_project_file(tmp_path):
    assert project_flags(tmp_path) == {}
    (tmp_path / "dbt_project.yml").write_text("name: a\nflags: {log_format: json}\n")
    assert project_flags(tmp_path) == {"log_format": "json"}
