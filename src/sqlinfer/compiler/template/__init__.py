"""A node as it is written → rendered SQL: Jinja, hooks, parameters."""
