"""Rendered SQL and a catalog in, a plan out; pure."""
