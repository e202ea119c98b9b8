"""Rendered SQL → a sqlglot tree that means what the warehouse reads, and the way back to the user's own text."""
