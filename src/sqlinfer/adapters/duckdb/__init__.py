"""DuckDB: the warehouse is one file, the side file stands next to it."""
