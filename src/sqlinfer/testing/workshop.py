"""Declare, prepare and run functions in one temporary folder: for tests of whatever stands on prepared functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlinfer.errors import FunctionError, Location
from sqlinfer.functions import prepare
from sqlinfer.project.values import FunctionConfig, ReturnField
from sqlinfer.spec.function import Argument, PreparedFunction


@dataclass
class Workshop:
    """Declares and prepares functions in one temporary folder."""

    folder: Path
    cache: Path = field(init=False)

    def __post_init__(self) -> None:
        self.cache = self.folder / "target" / "functions"

    def declare(
        self,
        data: bytes | Path | None,
        arguments: Sequence[tuple[str, str] | Argument] = (("x", "DOUBLE"),),
        returns: ReturnField | Sequence[ReturnField] | str = "DOUBLE",
        name: str = "f",
        **options: Any,
    ) -> FunctionConfig:
        path = self.folder / f"{name}.onnx"
        if isinstance(data, bytes):
            path.write_bytes(data)
        fields = ReturnField("value", returns) if isinstance(returns, str) else returns
        return FunctionConfig(
            name=name,
            folder=self.folder,
            location=Location(self.folder / "functions.yml", 3),
            path=data if isinstance(data, Path) else (path if data is not None else None),
            arguments=tuple(a if isinstance(a, Argument) else Argument(*a) for a in arguments),
            returns=(fields,) if isinstance(fields, ReturnField) else tuple(fields),
            **options,
        )

    def prepare(self, config: FunctionConfig, **options: Any) -> PreparedFunction:
        return prepare(config, cache_dir=self.cache, **{"resolve_family": lambda: "cpu", **options})

    def make(self, *args: Any, **options: Any) -> PreparedFunction:
        return self.prepare(self.declare(*args, **options))

    def refused(self, *args: Any, **options: Any) -> FunctionError:
        """The error of a declaration that must not prepare; it always has a place."""
        config = self.declare(*args, **options)
        try:
            self.prepare(config)
        except FunctionError as caught:
            error = caught
        else:
            raise AssertionError(f"function '{config.name}' was prepared")
        assert error.location == config.location
        return error


def score(prepared: PreparedFunction, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Run the prepared graph: field → array, labels applied as a session would."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(prepared.graph), options, providers=["CPUExecutionProvider"])
    listed = [o.name for o in session.get_outputs()]
    got = dict(zip(listed, session.run(None, dict(feeds)), strict=True))
    assert set(listed) == set(prepared.output_names), "an output that nothing needs is left in the graph"
    return {b.field: _labelled(got[b.name], b.labels) for b in prepared.outputs}


def _labelled(values: Any, labels: tuple[str, ...] | None) -> Any:
    import numpy as np

    return values if labels is None else np.array(labels, dtype=object)[values]
