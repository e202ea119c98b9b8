"""Warehouses: one package per warehouse behind the protocol in ``base``; ``registry`` is the explicit list."""
