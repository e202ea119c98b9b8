"""What preparing found, as it is written to the cache and read back without importing onnx."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sqlinfer.functions.digest import function_digest
from sqlinfer.project.values import FunctionConfig, ReturnField, TokenizerConfig
from sqlinfer.spec.function import (
    Argument,
    FunctionContract,
    ImageSpec,
    InputBinding,
    Output,
    OutputBinding,
    PreparedFunction,
    Quality,
    Strategy,
    TokenizerSpec,
    Verified,
)


@dataclass(frozen=True, slots=True)
class Tokenising:
    """How a source's tokenizer is used; its file lies in the prepared folder."""

    argument: str | None = None
    max_length: int | None = None
    pair: str | None = None
    padding: Literal["longest", "max_length"] | None = None

    @classmethod
    def of(cls, config: TokenizerConfig | None) -> Tokenising | None:
        return None if config is None else cls(config.argument, config.max_length, config.pair, config.padding)

    def config(self) -> TokenizerConfig:
        return TokenizerConfig(Path("tokenizer.json"), self.argument, self.max_length, self.pair, self.padding)


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
    arguments: tuple[Argument, ...] = ()
    """As declared, or as the model knows them."""
    returns: tuple[ReturnField, ...] = ()
    tokenizer: Tokenising | None = None
    """What the source says of it, where the declaration says nothing."""
    made_with: Mapping[str, str] = field(default_factory=dict)
    """Versions of the libraries that made the model."""
    verified: Verified | None = None
    quality: Quality | None = None

    def completed(self, config: FunctionConfig) -> FunctionConfig:
        """The declaration with what it leaves out."""
        tokenizer = config.tokenizer
        if tokenizer is None and self.tokenizer is not None:
            tokenizer = self.tokenizer.config()
        return replace(config, arguments=self.arguments, returns=self.returns, tokenizer=tokenizer)

    def digest_for(self, config: FunctionConfig, family: str) -> str:
        """The digest that belongs to what stands here."""
        return function_digest(
            self.completed(config), self.content, self.inputs, self.outputs, self.bindings, family,
            image=self.image, row_wise=self.row_wise, is_struct=self.is_struct,
        )  # fmt: skip

    def is_whole(self, config: FunctionConfig, family: str) -> bool:
        """Whether it is what was written: nobody edited a part of it, its files' hashes included."""
        parts = {"model": "model.onnx", "tokenizer": "tokenizer.json"}
        hashed = {parts[part]: sha for part, sha in self.content.items() if part in parts}
        if "model.onnx.data" in self.files:  # the content of the model is hashed tensor by tensor there
            hashed.pop("model.onnx", None)
        agree = all(self.files.get(name) == sha for name, sha in hashed.items())
        names = [one.name for one in self.arguments]
        agree = agree and (not config.arguments or [one.name for one in config.arguments] == names)
        return bool(self.files) and agree and self.digest_for(config, family) == self.digest

    def to_json(self) -> dict[str, Any]:
        """Without places, which are those of one machine."""
        returns = tuple(replace(one, location=None) for one in self.returns)
        image = replace(self.image, root=None) if self.image else None
        return asdict(replace(self, image=image, returns=returns))

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
            arguments=tuple(Argument(**a) for a in plain.pop("arguments")),
            returns=tuple(ReturnField(**_tuples(r, "labels")) for r in plain.pop("returns")),
            tokenizer=Tokenising(**said) if (said := plain.pop("tokenizer")) else None,
            verified=Verified(**found) if (found := plain.pop("verified")) else None,
            quality=Quality(**seen) if (seen := plain.pop("quality")) else None,
            **plain,
        )

    def prepared(self, config: FunctionConfig, cache_dir: Path, device: str, root: Path) -> PreparedFunction:
        """Together with the parts of the declaration that change no result; files in rows are relative to ``root``."""
        folder, config = cache_dir / self.digest, self.completed(config)
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
            runtime=config.runtime,
            verified=self.verified,
            quality=self.quality,
            returns=config.returns,
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
            is_native=config.runtime == "native",
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
