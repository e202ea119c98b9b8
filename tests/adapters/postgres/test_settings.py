from __future__ import annotations

import pytest

from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.errors import ProfileError

LEAST = {"type": "postgres", "host": "db", "user": "ada", "dbname": "shop", "schema": "ml"}


def test_the_profile_is_spelt_as_dbt_spells_it() -> None:
    settings = PostgresSettings.parse(
        LEAST
        | {"pass": "it's", "port": "5433", "keepalives_idle": 20, "sslmode": "require", "role": "etl", "threads": 4}
    )
    assert (settings.database, settings.schema, settings.side_schema, settings.role) == (
        "shop",
        "ml",
        "ml_sqlinfer",
        "etl",
    )
    assert "password='it\\'s'" in settings.conninfo
    assert {"port='5433'", "sslmode='require'", "keepalives_idle='20'"} <= set(settings.conninfo.split())


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(PostgresSettings.parse(LEAST | {"password": "hunter2"}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hots": "x"}, "unknown key 'hots'"),
        ({"host": ""}, "needs 'host'"),
        ({"dbname": None}, "needs 'dbname'"),
        ({"port": "many"}, "port of a postgres profile is a whole number"),
        ({"password": "a", "pass": "b"}, "differ"),
        ({"schema": "s" * 60}, "longer than 63 bytes"),
        ({"sqlinfer_schema": "ml"}, "is the schema that tables are published in"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        PostgresSettings.parse(LEAST | change)


def test_another_schema_of_ours_can_be_named() -> None:
    assert PostgresSettings.parse(LEAST | {"sqlinfer_schema": "scores"}).namespace.schema == "scores"
