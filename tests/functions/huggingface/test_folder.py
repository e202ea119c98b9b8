"""Folders that are damaged or made to do harm: one clear refusal each, before any library sees them."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from sqlinfer.errors import ArtifactError, SqlinferError
from sqlinfer.functions.huggingface import folder, metadata
from sqlinfer.functions.sources.original import Refused
from sqlinfer.testing.workshop import Workshop

CONFIG = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": 4, "hidden_size": 2,
          "id2label": {"0": "no", "1": "yes"}}  # fmt: skip
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def tensors(header: object | None = None, data: bytes = b"\0" * 32) -> bytes:
    if header is None:
        header = {"w": {"dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """As small as a folder can be that nothing is said against."""
    path = tmp_path / "topic"
    path.mkdir()
    write(path, "config.json", CONFIG)
    (path / "model.safetensors").write_bytes(tensors())
    write(path, "tokenizer.json", {"model": {"type": "WordPiece", "vocab": {}}})
    write(path, "tokenizer_config.json", {"model_max_length": 16})
    return path


def write(path: Path, name: str, value: object) -> None:
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_text(value if isinstance(value, str) else json.dumps(value))


def config(**changes: object) -> Callable[[Path], None]:
    return lambda path: write(path, "config.json", {**CONFIG, **changes})


def weights(data: bytes) -> Callable[[Path], None]:
    return lambda path: (path / "model.safetensors").write_bytes(data) and None


def modules(*changed: dict[str, object], pooling: object = None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        write(path, "1_Pooling/config.json", {"pooling_mode": "mean"} if pooling is None else pooling)
        write(path, "modules.json", [MODULES[0], *changed])

    return change


def indexed(weight_map: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        (path / "model.safetensors").rename(path / "model-00001-of-00001.safetensors")
        write(path, "model.safetensors.index.json", {"weight_map": weight_map})

    return change


def dense(**changes: object) -> Callable[[Path], None]:
    said = {"in_features": 2, "out_features": 2, "activation_function": "torch.nn.modules.activation.Tanh", **changes}

    def change(path: Path) -> None:
        modules(MODULES[1], {"path": "2_Dense", "type": "sentence_transformers.models.Dense"})(path)
        write(path, "2_Dense/config.json", said)
        (path / "2_Dense/model.safetensors").write_bytes(tensors())

    return change


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "config is no JSON": (lambda p: write(p, "config.json", "{"), "config.json is not JSON"),
    "config is a list": (lambda p: write(p, "config.json", []), "config.json is not a JSON object"),
    "config is binary": (lambda p: (p / "config.json").write_bytes(b"\xff\xfe\0"), "config.json is not JSON"),
    "config is nested deeply": (lambda p: write(p, "config.json", '{"a":' + "[" * 100_000), "config.json is not JSON"),
    "config is nested": (config(a=json.loads("[" * 50 + "]" * 50)), "nested too deeply"),
    "config is large": (lambda p: write(p, "config.json", " " * (9 << 20)), "too many for what it describes"),
    "auto_map": (config(auto_map={"AutoModel": "evil.Model"}), "asks for code of its own"),
    "auto_map of the tokenizer": (
        lambda p: write(p, "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T", None]}}),
        "tokenizer_config.json asks for code",
    ),
    "auto_map of the images": (
        lambda p: write(p, "preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "evil.P"}}),
        "preprocessor_config.json asks for code",
    ),
    "custom pipelines": (config(custom_pipelines={"x": {"impl": "evil.P"}}), "asks for code of its own"),
    "quantized": (config(quantization_config={"quant_method": "gptq"}), "quantization_config"),
    "layers without end": (config(num_hidden_layers=10**9), "num_hidden_layers: 1000000000"),
    "a wide layer": (config(hidden_size=10**7), "hidden_size: 10000000"),
    "no heads": (config(num_attention_heads=0), "num_attention_heads: 0"),
    "a negative vocabulary": (config(vocab_size=-5), "vocab_size: -5"),
    "a fractional width": (config(hidden_size=2.5), "hidden_size: 2.5"),
    "a width of words": (config(hidden_size="many"), "hidden_size: many"),
    "a number without end": (lambda p: write(p, "config.json", '{"x": 1e999}'), "x: inf"),
    "more words than weights": (config(vocab_size=1 << 20), "the weights hold 8 numbers"),
    "labels are numbers": (config(id2label={"0": 1}), "id2label"),
    "labels are a list": (config(id2label=["a"]), "id2label"),
    "a tokenizer's length of words": (
        lambda p: write(p, "tokenizer_config.json", {"model_max_length": "long"}), "model_max_length",
    ),
    "empty weights": (weights(b""), "model.safetensors is no safetensors file"),
    "a pointer of LFS": (weights(b"version https://git-lfs.github.com/spec/v1\n"), "is no safetensors file"),
    "a header longer than the file": (weights(struct.pack("<Q", 1 << 60) + b"{}"), "its header would have"),
    "a header that is no JSON": (weights(struct.pack("<Q", 4) + b"\0" * 4), "its header is not JSON"),
    "a header of a list": (weights(tensors([1, 2])), "describes no tensors"),
    "offsets beyond the end": (
        weights(tensors({"w": {"dtype": "F32", "shape": [4, 2], "data_offsets": [64, 96]}})), "does not lie where",
    ),
    "a shape that lies": (
        weights(tensors({"w": {"dtype": "F32", "shape": [4000, 2000], "data_offsets": [0, 32]}})), "does not lie where",
    ),
    "negative offsets": (
        weights(tensors({"w": {"dtype": "F32", "shape": [8], "data_offsets": [-32, 0]}})), "no known type and shape",
    ),
    "an unknown type": (
        weights(tensors({"w": {"dtype": "PYOBJ", "shape": [8], "data_offsets": [0, 32]}})), "no known type and shape",
    ),
    "a tensor of nothing": (weights(tensors({"w": None})), "is not described"),
    "shards out of the folder": (indexed({"w": "../../secret.safetensors"}), "which is not in the folder"),
    "shards that are missing": (indexed({"w": "model-00002-of-00002.safetensors"}), "which is not in the folder"),
    "an index without a map": (indexed([]), "has no 'weight_map'"),
    "modules are no list": (lambda p: write(p, "modules.json", {"a": 1}), "is not a list of modules"),
    "modules are none": (lambda p: write(p, "modules.json", []), "is not a list of modules"),
    "a module of numbers": (lambda p: write(p, "modules.json", [1]), "does not name the type"),
    "a module above the folder": (modules({**MODULES[1], "path": "../../etc"}), "names the folder '../../etc'"),
    "a module at a root": (modules({**MODULES[1], "path": "/etc"}), "names the folder '/etc'"),
    "a module of foreign code": (modules({**MODULES[1], "type": "os.system"}), "asks for the module 'os.system'"),
    "an unknown module": (
        modules({**MODULES[1], "type": "sentence_transformers.models.WordEmbeddings"}), "is not one of Transformer",
    ),
    "a module without a folder": (modules({**MODULES[1], "path": "7_Pooling"}), "has no config.json"),
    "two transformers": (modules(MODULES[0]), "does not begin with one transformer"),
    "a width of pooling": (
        modules(MODULES[1], pooling={"word_embedding_dimension": 1 << 40}), "word_embedding_dimension",
    ),
    "an activation of foreign code": (dense(activation_function="os.getcwd"), "asks for the activation 'os.getcwd'"),
    "an activation of torch's own": (dense(activation_function="torch.hub.load"), "asks for the activation"),
    "a dense layer without end": (dense(out_features=10**12), "out_features: 1000000000000"),
    "no weights at all": (lambda p: (p / "model.safetensors").unlink(), "the folder has no weights"),
}  # fmt: skip


def test_a_plain_folder_is_read(model: Path) -> None:
    found = metadata.read(model)
    assert (found.architecture, found.has_weights, found.graph) == ("BertForSequenceClassification", True, None)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_refused_with_one_message(model: Path, name: str) -> None:
    change, said = HOSTILE[name]
    change(model)
    with pytest.raises(Refused) as error:
        metadata.read(model)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_places_of_the_machine_that_saved_a_tokenizer_are_forgotten(model: Path) -> None:
    write(model, "tokenizer_config.json", {"vocab_file": "/etc/passwd", "name_or_path": "/root", "pad_token": "x"})
    metadata.read(model)
    assert json.loads((model / "tokenizer_config.json").read_text()) == {"pad_token": "x"}


def link(path: Path) -> None:
    (path / "tokenizer.json").unlink()
    (path / "tokenizer.json").symlink_to("/etc/hostname")


def hard_link(path: Path) -> None:
    (path.parent / "other").write_text("{}")
    (path / "tokenizer.json").unlink()
    os.link(path.parent / "other", path / "tokenizer.json")


def module_link(path: Path) -> None:
    (path / "1_Pooling").symlink_to("/etc")


def pipe(path: Path) -> None:
    (path / "tokenizer.json").unlink()
    os.mkfifo(path / "tokenizer.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (link, "is a link to another file"),
        (hard_link, "is a link to another file"),
        (module_link, "is a link to another file"),
        (pipe, "is not a regular file"),
        (lambda p: (p / "config.json").unlink(), "has no config.json"),
        (lambda p: [(p / f"x{i}").touch() for i in range(2100)], "has more than 2,000 files"),
    ],
)
def test_a_folder_that_leads_elsewhere_is_refused(model: Path, change: Callable[[Path], object], said: str) -> None:
    change(model)
    with pytest.raises(ArtifactError, match=said):
        folder.files(model)


def test_only_files_that_count_are_hashed(model: Path) -> None:
    before = folder.hashed(model)
    for name in ("README.md", "pytorch_model.bin", "modeling_evil.py", "optimizer.pt", ".gitattributes"):
        (model / name).write_text("x")
    (model / "checkpoint-500").mkdir()
    assert folder.hashed(model) == before
    (model / "tokenizer.json").write_text("{}")
    assert folder.hashed(model) != before


def test_an_archive_is_the_hashed_folder_and_nothing_else(model: Path, tmp_path: Path) -> None:
    target, out = tmp_path / "archive", tmp_path / "out"
    folder.archived(model, target, folder.hashed(model))
    folder.unpack(target, out)
    assert {one.name: one.read_bytes() for one in out.iterdir()} == {
        name: (model / name).read_bytes() for name in folder.files(model)
    }
    with pytest.raises(ArtifactError, match="changed while it was read"):
        folder.archived(model, target, "0" * 64)


def refusal(shop: Workshop, path: Path, **options: object) -> SqlinferError:
    config = shop.declare(path, (), (), source="huggingface", **options)
    with pytest.raises(SqlinferError) as error:
        shop.prepare(config)
    return error.value


def test_a_name_gets_a_hint_how_to_fetch_it(tmp_path: Path) -> None:
    error = refusal(Workshop(tmp_path), tmp_path / "distilbert-base-uncased")
    assert "nothing is downloaded" in error.message
    assert "hf download distilbert-base-uncased --local-dir" in str(error.hint)


def test_pickled_weights_need_trust(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    error = refusal(Workshop(tmp_path), model)
    assert "can run code when it is read" in error.message
    assert "trust: sha256:" in str(error.hint)
    assert "is not the file that 'trust:' names" in refusal(Workshop(tmp_path), model, trust="0" * 64).message


@pytest.mark.parametrize("name", ["model.pt", "tf_model.h5", "weights.pkl"])
def test_weights_of_other_formats_are_named(model: Path, tmp_path: Path, name: str) -> None:
    (model / "model.safetensors").unlink()
    (model / name).write_bytes(b"x")
    assert f"has its weights in {name}" in refusal(Workshop(tmp_path), model).message


def test_trust_that_nothing_needs_is_refused(model: Path, tmp_path: Path) -> None:
    assert "is read without it" in refusal(Workshop(tmp_path), model, trust="0" * 64).message


def test_a_file_is_no_folder(model: Path, tmp_path: Path) -> None:
    assert "is not a folder" in refusal(Workshop(tmp_path), model / "config.json").message
