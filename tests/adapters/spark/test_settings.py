from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import ProfileError

LEAST = {"type": "spark", "method": "session", "schema": "ml"}
DERBY = "spark.hadoop.javax.jdo.option.ConnectionURL"


def test_relative_places_are_those_of_the_project() -> None:
    given = {"spark.sql.warehouse.dir": "target/warehouse", "spark.sql.ansi.enabled": True}
    found = SparkSettings.parse(LEAST | {"server_side_parameters": given}, Path("/shop")).of_session()
    assert found["spark.sql.warehouse.dir"] == "/shop/target/warehouse"
    assert found[DERBY] == "jdbc:derby:;databaseName=/shop/metastore_db;create=true"
    assert found["spark.sql.ansi.enabled"] == "true"


def test_what_the_profile_says_is_left_alone() -> None:
    given = {
        "spark.sql.warehouse.dir": "s3a://bucket/x",
        DERBY: "jdbc:derby:memory:x;create=true",
        "spark.master": "yarn",
    }
    found = SparkSettings.parse(LEAST | {"server_side_parameters": given}, Path("/shop")).of_session()
    assert found.items() >= given.items()


def test_a_token_is_not_shown() -> None:
    settings = SparkSettings.parse(
        {"type": "spark", "remote": "sc://host:15002/;token=hunter2", "schema": "ml"}, Path()
    )
    assert "hunter2" not in repr(settings) + settings.place
    assert settings.place == "sc://host:15002"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mehtod": "x"}, "unknown key 'mehtod'"),
        ({"schema": None}, "needs 'schema'"),
        ({"method": "thrift"}, "sends SQL alone"),
        ({"method": "odbc"}, "sends SQL alone"),
        ({"method": "other"}, "unknown method 'other'"),
        ({"method": "connect"}, "needs 'remote'"),
        ({"remote": "http://host"}, "begins with sc://"),
        ({"database": "other"}, "differs from schema"),
        ({"sqlinfer_schema": "ML"}, "is the schema that tables are published in"),
        ({"server_side_parameters": "x"}, "is a mapping"),
        ({"connect_timeout": "soon"}, "is a whole number"),
    ],
)
def test_what_does_not_fit_is_said(change: dict[str, object], said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        SparkSettings.parse(LEAST | change, Path())
