"""Keys of an output in profiles.yml, for each warehouse: key → (meaning, example). A test compares them with the
adapters."""

from __future__ import annotations

PROFILE_KEYS: dict[str, dict[str, tuple[str, str]]] = {
    "duckdb": {
        "type": ("the warehouse", "type: duckdb"),
        "path": ("the database file, relative to the project; or `md:…`, `ducklake:…`", "path: shop.duckdb"),
        "schema": ("of published tables; `main`", "schema: analytics"),
        "database": ("of models that name none: an attached one, or a name for `path`", "database: crm"),
        "attach": ("further databases; models may be published there", "attach: [{path: crm.duckdb, alias: crm}]"),
        "state": (
            "where the store lies: a folder, file or bucket; beside the database",
            "state: /var/lib/sqlinfer/shop",
        ),
        "settings": ("DuckDB's own", "settings: {memory_limit: 4GB}"),
        "extensions": ("loaded before anything is read", "extensions: [parquet]"),
        "threads": ("of the database and the sessions", "threads: 4"),
        "memory_limit": ("bound of the database's memory", "memory_limit: 2GB"),
        "external_root": ("folder or URL of external models, or a list", "external_root: s3://lake/ml"),
        "storage": ("endpoint, region, account and anonymous of buckets", "storage: {endpoint: http://127.0.0.1:9000}"),
    },
    "postgres": {
        "type": ("the warehouse", "type: postgres"),
        "host": ("of the server; needed", "host: 127.0.0.1"),
        "port": ("5432", "port: 5433"),
        "user": ("needed (also `username`)", "user: analytics"),
        "password": ("also `pass`", "password: \"{{ env_var('DBT_ENV_SECRET_PASSWORD') }}\""),
        "database": ("needed (also `dbname`)", "dbname: warehouse"),
        "schema": ("of published tables; needed", "schema: ml"),
        "sqlinfer_schema": ("of stages, stores and records; `<schema>_sqlinfer`", "sqlinfer_schema: ml_side"),
        "role": ("taken on after connecting", "role: loader"),
        "search_path": ("of the session", "search_path: ml, public"),
        "sslmode": ("libpq's", "sslmode: verify-full"),
        "sslcert": ("libpq's", "sslcert: client.crt"),
        "sslkey": ("libpq's", "sslkey: client.key"),
        "sslrootcert": ("libpq's", "sslrootcert: root.crt"),
        "connect_timeout": ("seconds", "connect_timeout: 10"),
        "keepalives_idle": ("seconds", "keepalives_idle: 60"),
        "application_name": ("shown by the server", "application_name: nightly"),
        "retries": ("of a connection that fails; 1", "retries: 3"),
        "threads": ("of the sessions", "threads: 4"),
        "external_root": ("folder or URL of external models, or a list", "external_root: s3://lake/ml"),
        "storage": ("endpoint, region, account and anonymous of buckets", "storage: {endpoint: http://127.0.0.1:9000}"),
    },
    "spark": {
        "type": ("the warehouse", "type: spark"),
        "method": ("`session`: in this process, `connect`: a server; others are refused", "method: session"),
        "remote": ("a Spark Connect server, instead of a session", "remote: sc://spark.example.com:15002"),
        "schema": ("of published tables; needed", "schema: ml"),
        "database": ("as in dbt-spark: the schema, or nothing", "database: ml"),
        "sqlinfer_schema": ("of stages, stores and notes; `<schema>_sqlinfer`", "sqlinfer_schema: ml_side"),
        "server_side_parameters": ("settings of the session", "server_side_parameters: {spark.master: yarn}"),
        "connect_timeout": ("seconds in which the first executor answers; 60", "connect_timeout: 300"),
        "threads": ("of the sessions", "threads: 4"),
    },
}
