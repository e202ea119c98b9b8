"""Calls of functions: every spelling of one, its arguments under the declared policies, fields of its result."""
