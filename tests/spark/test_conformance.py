"""Spark does what every warehouse must do."""

from __future__ import annotations

from typing import ClassVar

from sqlinfer.testing.adapter_conformance import AdapterConformance


class TestSpark(AdapterConformance):
    spelled: ClassVar = {"integer": "int", "double precision": "double"}
