"""What the JSON files of a folder say, checked before any library reads them. In the child process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlinfer.functions.huggingface import safetensors_header
from sqlinfer.functions.huggingface.folder import GRAPHS, PICKLED, WEIGHTS
from sqlinfer.functions.sources.original import Refused

_MOST_BYTES: Final = 8 << 20
_BOUNDS: Final = {
    "hidden_size": 1 << 17, "d_model": 1 << 17, "dim": 1 << 17, "embedding_size": 1 << 17, "vocab_size": 1 << 24,
    "intermediate_size": 1 << 20, "hidden_dim": 1 << 20, "num_hidden_layers": 1000, "n_layers": 1000,
    "num_attention_heads": 4096, "n_heads": 4096, "max_position_embeddings": 1 << 24, "type_vocab_size": 1 << 16,
    "num_labels": 1 << 20, "image_size": 1 << 14, "patch_size": 1 << 14, "num_channels": 64,
}  # fmt: skip
"""Beyond the largest model that there is, each number makes a library build for hours or fill the memory."""
_LEAST: Final = {"max_position_embeddings": -1, "type_vocab_size": 0}
_MODULES: Final = ("Transformer", "Pooling", "Dense", "Normalize", "Dropout")
ACTIVATIONS: Final = re.compile(r"torch\.nn(\.modules\.\w+)?\.(Identity|Sigmoid|Tanh|ReLU|GELU|SiLU)")
_CODE: Final = ("auto_map", "custom_pipelines", "custom_generate")
_WEIGHTS_HINT: Final = "save the model with save_pretrained, which writes model.safetensors"


@dataclass(frozen=True, slots=True)
class Module:
    """One of sentence-transformers' modules."""

    kind: str
    path: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Metadata:
    folder: Path
    base: Path
    """Where the transformer lies: the folder, or that of its first module."""
    config: Mapping[str, Any]
    modules: tuple[Module, ...] = ()
    sentence: Mapping[str, Any] = field(default_factory=dict)
    """config_sentence_transformers.json."""
    graph: Path | None = None
    """An ONNX file that is taken as it is."""
    has_weights: bool = False

    @property
    def architecture(self) -> str:
        found = self.config.get("architectures")
        named = isinstance(found, list) and len(found) > 0 and isinstance(found[0], str)
        return str(found[0]) if named and found else ""

    @property
    def made_with(self) -> dict[str, str]:
        versions = {"transformers": self.config.get("transformers_version")}
        said = self.sentence.get("__version__")
        if isinstance(said, Mapping):
            versions["sentence-transformers"] = said.get("sentence_transformers")
        return {name: one for name, one in versions.items() if isinstance(one, str) and len(one) < 40}


def read(folder: Path) -> Metadata:
    """Raises Refused for whatever is not as the libraries write it, or could do harm."""
    modules = _modules(folder)
    base = folder / modules[0].path if modules else folder
    if not (base / "config.json").is_file():
        raise Refused("the folder has no config.json beside the weights", _WEIGHTS_HINT)
    config = _object(base / "config.json")
    _check_config(config)
    for name in ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json"):
        if (base / name).is_file() and name != "tokenizer.json":
            _refuse_code(name, _object(base / name))
    _forget_places(base / "tokenizer_config.json")
    graph = next((folder / name for name in GRAPHS if (folder / name).is_file()), None)
    weights = _weights(base)
    if graph is None and not weights and not (base / PICKLED).is_file():
        raise Refused("the folder has no weights: neither model.safetensors nor model.onnx", _WEIGHTS_HINT)
    _check_sizes(config, weights)
    sentence = folder / "config_sentence_transformers.json"
    return Metadata(
        folder, base, config, modules, _object(sentence) if sentence.is_file() else {}, graph,
        bool(weights) or (base / PICKLED).is_file(),
    )  # fmt: skip


def _object(path: Path) -> dict[str, Any]:
    found = _json(path)
    if not isinstance(found, dict):
        raise Refused(f"{path.name} is not a JSON object", "copy the folder again, whole")
    return found


def _json(path: Path) -> Any:
    if path.stat().st_size > _MOST_BYTES:
        raise Refused(f"{path.name} has {path.stat().st_size:,} bytes, too many for what it describes", None)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not JSON: {str(error)[:100]}", "copy the folder again, whole") from error


def _check_config(config: Mapping[str, Any]) -> None:
    _refuse_code("config.json", config)
    if config.get("quantization_config") is not None:
        raise Refused("config.json has a 'quantization_config': its weights are packed for a library of their own",
                      "save the model unquantized; 'precision: fp16' makes it smaller")  # fmt: skip
    for name, value in _numbers(config):
        most = _BOUNDS.get(name, 1 << 40)
        least = _LEAST.get(name, 1) if name in _BOUNDS else -most
        whole = isinstance(value, int) or name not in _BOUNDS
        if not whole or not least <= value <= most:
            raise Refused(f"config.json has '{name}: {str(value)[:40]}', which no model has",
                          "the file is damaged, or made to do harm")  # fmt: skip
    labels = config.get("id2label")
    if labels is not None and (
        not isinstance(labels, dict) or not all(isinstance(one, str) for one in labels.values())
    ):
        raise Refused("config.json: 'id2label' does not give a text for each class", None)


def _numbers(value: Any, depth: int = 0, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of the file, by its nearest key."""
    if depth > 20:
        raise Refused("config.json is nested too deeply", None)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, depth + 1, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, depth + 1, "")
    elif name in _BOUNDS and value is not None and not isinstance(value, (int, float, dict, list)):
        raise Refused(f"config.json has '{name}: {str(value)[:40]}', which is no number", None)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value


def _refuse_code(name: str, config: Mapping[str, Any]) -> None:
    for key in _CODE:
        if config.get(key):
            raise Refused(f"{name} asks for code of its own ('{key}'), which is never run",
                          "use a model whose architecture is part of transformers, or export it yourself")  # fmt: skip


def _forget_places(path: Path) -> None:
    """Our copy names no files of the machine that saved it: a tokenizer would look there first."""
    if not path.is_file():
        return
    found = _object(path)
    kept = {key: value for key, value in found.items() if not key.endswith("_file") and key != "name_or_path"}
    if not isinstance(kept.get("model_max_length", 1), (int, float)):
        raise Refused("tokenizer_config.json: 'model_max_length' is no number", None)
    path.write_text(json.dumps(kept))


def _weights(base: Path) -> list[Path]:
    index = base / "model.safetensors.index.json"
    found = sorted(one for one in base.iterdir() if WEIGHTS.fullmatch(one.name))
    if index.is_file() and not (base / "model.safetensors").is_file():
        named = _object(index).get("weight_map")
        if not isinstance(named, dict) or not all(isinstance(one, str) for one in named.values()):
            raise Refused(f"{index.name} has no 'weight_map'", _WEIGHTS_HINT)
        for name in sorted(set(named.values())):
            if name not in {one.name for one in found}:
                raise Refused(f"{index.name} names the file {name[:80]!r}, which is not in the folder",
                              "copy the folder again, whole")  # fmt: skip
    return found


def _check_sizes(config: Mapping[str, Any], weights: list[Path]) -> None:
    """A number of the configuration that the weights do not bear out would be filled with noise."""
    elements = sum(safetensors_header.elements(one) for one in weights)
    words, width = config.get("vocab_size"), config.get("embedding_size") or config.get("hidden_size")
    if weights and isinstance(words, int) and isinstance(width, int) and words * width > 4 * elements:
        raise Refused(f"config.json has vocab_size {words:,} and width {width:,}, the weights hold {elements:,} "
                      "numbers", "the files do not belong together")  # fmt: skip


def _modules(folder: Path) -> tuple[Module, ...]:
    path = folder / "modules.json"
    if not path.is_file():
        return ()
    listed = _json(path)
    if not isinstance(listed, list) or not listed or len(listed) > 32:
        raise Refused("modules.json is not a list of modules", None)
    found = tuple(_module(folder, one) for one in listed)
    if found[0].kind != "Transformer" or any(one.kind == "Transformer" for one in found[1:]):
        raise Refused("modules.json does not begin with one transformer", "other encoders are not known")
    return found


def _module(folder: Path, said: Any) -> Module:
    if not isinstance(said, dict) or not isinstance(said.get("type"), str) or not isinstance(said.get("path"), str):
        raise Refused("modules.json does not name the type and the path of each module", None)
    package, _, kind = said["type"].rpartition(".")
    if package.split(".")[0] != "sentence_transformers" or kind not in _MODULES:
        raise Refused(f"modules.json asks for the module {said['type'][:80]!r}, which is not one of "
                      f"{', '.join(_MODULES)}", "code of a folder is never run")  # fmt: skip
    place = said["path"]
    if place not in ("", ".") and not re.fullmatch(r"\d+_\w+", place):
        raise Refused(f"modules.json names the folder {place[:80]!r}, which is not one of sentence-transformers' own",
                      "modules lie in folders such as 1_Pooling")  # fmt: skip
    path = folder / place / "config.json"
    config = _object(path) if place not in ("", ".") and path.is_file() else {}
    if kind in ("Pooling", "Dense") and not config:
        raise Refused(
            f"modules.json names the folder {place!r}, which has no config.json", "copy the folder again, whole"
        )
    activation = config.get("activation_function")
    if kind == "Dense" and (not isinstance(activation, str) or not ACTIVATIONS.fullmatch(activation)):
        raise Refused(
            f"{place}/config.json asks for the activation {str(activation)[:80]!r}", "known are torch.nn's own"
        )
    if kind == "Dense" and not (folder / place / "model.safetensors").is_file():
        raise Refused(f"{place} has no model.safetensors", _WEIGHTS_HINT)
    if kind == "Dense":
        safetensors_header.elements(folder / place / "model.safetensors")
    for key in ("in_features", "out_features", "word_embedding_dimension", "embedding_dimension"):
        if key in config and not (isinstance(config[key], int) and 0 < config[key] <= 1 << 17):
            raise Refused(f"{place}/config.json has '{key}: {str(config[key])[:40]}', which no model has", None)
    return Module(kind, place, config)
