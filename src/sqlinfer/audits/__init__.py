"""Data tests: one kind a file, its arguments as a record, its failing rows as SQL (design 3)."""
