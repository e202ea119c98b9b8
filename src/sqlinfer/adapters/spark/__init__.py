"""Spark: classic sessions and Spark Connect, tables as Parquet in the session catalog."""
