"""Declared functions → prepared ONNX artifacts with a contract and a digest. Importing this imports no onnx."""

from sqlinfer.functions.digest import SEMANTICS_VERSION
from sqlinfer.functions.prepare import checksum, prepare, prepare_all

__all__ = ["SEMANTICS_VERSION", "checksum", "prepare", "prepare_all"]
