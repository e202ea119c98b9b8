"""What preparing found, as it is written to the cache and read back without importing onnx."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlinfer.functions.digest import function_digest
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import (
    FunctionContract,
    ImageSpec,
    InputBinding,
    Output,
    OutputBinding,
    PreparedFunction,
    Strategy,
    TokenizerSpec,
)


@dataclass(frozen=True, slots=True)
class Record:
    digest: str
    inputs: tuple[InputBinding, ...]
    outputs: tuple[Output, ...]
    bindings: tuple[OutputBinding, ...]
    strategy: Strategy
    strategy_reason: str
    cost_per_row: float
    row_wise: bool
    warnings: tuple[str, ...]
    is_struct: bool = False
    text_arguments: tuple[str, ...] = ()
    image: ImageSpec | None = None
    origins: tuple[str, ...] = ()
    content: Mapping[str, str] = field(default_factory=dict)
    """What the digest counts of the files: hashes of the ``model`` and the ``tokenizer``."""
    files: Mapping[str, str] = field(default_factory=dict)
    """sha256 of the files in the prepared folder, by name."""

    def digest_for(self, config: FunctionConfig, family: str) -> str:
        """The digest that belongs to what stands here."""
        return function_digest(
            config, self.content, self.inputs, self.outputs, self.bindings, family,
            image=self.image, row_wise=self.row_wise, is_struct=self.is_struct,
        )  # fmt: skip

    def is_whole(self, config: FunctionConfig, family: str) -> bool:
        """Whether it is what was written: nobody edited a part of it, its files' hashes included."""
        names = {"model": "model.onnx", "tokenizer": "tokenizer.json"}
        hashed = {names[part]: sha for part, sha in self.content.items() if part in names}
        if "model.onnx.data" in self.files:  # the content of the model is hashed tensor by tensor there
            hashed.pop("model.onnx", None)
        agree = all(self.files.get(name) == sha for name, sha in hashed.items())
        return bool(self.files) and agree and self.digest_for(config, family) == self.digest

    def to_json(self) -> dict[str, Any]:
        return asdict(replace(self, image=replace(self.image, root=None) if self.image else None))

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Record:
        """The inverse of ``to_json``. Raises KeyError or TypeError for anything else."""
        plain = dict(found)
        return cls(
            inputs=tuple(InputBinding(**_tuples(i, "arguments")) for i in plain.pop("inputs")),
            outputs=tuple(Output(**o) for o in plain.pop("outputs")),
            bindings=tuple(OutputBinding(**_tuples(b, "labels")) for b in plain.pop("bindings")),
            warnings=tuple(plain.pop("warnings")),
            origins=tuple(plain.pop("origins")),
            text_arguments=tuple(plain.pop("text_arguments")),
            image=_image(plain.pop("image")),
            **plain,
        )

    def prepared(self, config: FunctionConfig, cache_dir: Path, device: str, root: Path) -> PreparedFunction:
        """Together with the parts of the declaration that change no result; files in rows are relative to ``root``."""
        folder = cache_dir / self.digest
        return PreparedFunction(
            contract=self._contract(config, device),
            folder=folder,
            graph=folder / "model.onnx",
            inputs=self.inputs,
            outputs=self.bindings,
            tokenizer=self._tokenizer(config, folder),
            image=replace(self.image, root=root) if self.image else None,
            precision=config.precision,
            source=config.source,
            warnings=self.warnings,
            origins=self.origins,
            files=tuple(sorted(self.files.items())),
        )

    def _contract(self, config: FunctionConfig, device: str) -> FunctionContract:
        return FunctionContract(
            name=config.name,
            digest=self.digest,
            arguments=config.arguments,
            outputs=self.outputs,
            is_struct=self.is_struct,
            strategy=self.strategy,
            strategy_reason=self.strategy_reason,
            cost_per_row=self.cost_per_row,
            on_invalid=config.on_invalid,
            row_wise=self.row_wise,
            device=device,
            batch_size=config.batch_size if self.row_wise else 1,
            max_error_rate=config.max_error_rate,
            description=config.description,
            tags=config.tags,
            file_argument=self._file_argument(config),
        )

    def _tokenizer(self, config: FunctionConfig, folder: Path) -> TokenizerSpec | None:
        given = config.tokenizer
        if given is None or not self.text_arguments:
            return None
        first, second = (*self.text_arguments, None)[:2]
        width = next((binding.width for binding in self.inputs if binding.layout == "tokens"), None)
        return TokenizerSpec(
            folder / "tokenizer.json", str(first), given.max_length, second, given.padding, width,
            self.files.get("tokenizer.json"),
        )  # fmt: skip

    def _file_argument(self, config: FunctionConfig) -> str | None:
        """The argument of an image that is given by its path."""
        if self.image is None:
            return None
        return next((a.name for a in config.arguments if a.name == self.image.argument and a.data_type != "BLOB"), None)


def _image(found: Mapping[str, Any] | None) -> ImageSpec | None:
    if found is None:
        return None
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return ImageSpec(**plain)


def _tuples(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found[name]
    return {**found, name: None if value is None else tuple(value)}
