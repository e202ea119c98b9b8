"""Names: each column gets its table, each result column the name that the warehouse would give it."""
