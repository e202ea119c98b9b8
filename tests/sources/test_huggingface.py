"""Folders of transformers and sentence-transformers, built from small configurations, against their own libraries."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer.functions.check import rowwise, verifying
from sqlinfer.functions.huggingface import boundary
from sqlinfer.functions.huggingface.heads import POOLING, Head
from sqlinfer.functions.huggingface.images import steps_of
from sqlinfer.functions.sources import entrypoint
from sqlinfer.inference.images import decode
from sqlinfer.project.values import ReturnField
from sqlinfer.spec.function import Argument, ImageSpec, PreparedFunction
from sqlinfer.testing.workshop import Workshop

onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
sentence = pytest.importorskip("sentence_transformers")
pytestmark = pytest.mark.timeout(900)

SMALL = {"vocab_size": 200, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32, "max_position_embeddings": 64, "initializer_range": 0.5}  # fmt: skip
CORPUS = ["the quick brown fox jumps over the lazy dog", "customers call about billing and cancel their contract"]
TEXTS = ["", " ", "a fox", "The LAZY dog jumps", "naïve café, 日本語 and 🙂", "cancel " * 70, "billing",
         "over the " * 40 + "end", "[SEP] [MASK]", "contract about customers " * 9]  # fmt: skip
TOLERANCE = 1e-4


def tokenizer(**options: Any) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(CORPUS * 5, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **{"model_max_length": 32, **names, **options})


def saved(folder: Path, model: Any, tokens: Any) -> Path:
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def bert(seed: int, **options: Any) -> Any:
    torch.manual_seed(seed)
    return transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL, **options))


def made(tmp: Path, path: Path, **options: Any) -> PreparedFunction:
    return Workshop(tmp).make(path, options.pop("arguments", ()), (), source="huggingface", **options)


def scored(prepared: PreparedFunction, *columns: Sequence[Any]) -> dict[str, list[Any]]:
    arguments = prepared.contract.arguments
    rows = pa.RecordBatch.from_arrays([pa.array(one) for one in columns], names=[one.name for one in arguments])
    table = verifying.scored(prepared, rows)
    return {one.name: table.column(one.name).to_pylist() for one in prepared.contract.outputs}


def assert_same(found: Mapping[str, Sequence[Any]], wanted: Sequence[Mapping[str, Any]]) -> None:
    assert found["label"] == [one["label"] for one in wanted]
    assert np.abs(np.array(found["score"]) - [one["score"] for one in wanted]).max() < TOLERANCE


def piped(path: Path, **options: Any) -> list[dict[str, Any]]:
    pipe = transformers.pipeline("text-classification", str(path), device="cpu")
    return [pipe(text, truncation=True, **options)[0] for text in TEXTS]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("huggingface")


@pytest.fixture(scope="module")
def topic(space: Path) -> Path:
    return saved(space / "topic", bert(0, id2label={0: "billing", 1: "cancel", 2: "other"}), tokenizer())


@pytest.fixture(scope="module")
def prepared_topic(space: Path, topic: Path) -> PreparedFunction:
    return made(space, topic, name="topic")


def test_a_classifier_of_texts_gives_what_the_pipeline_gives(topic: Path, prepared_topic: PreparedFunction) -> None:
    contract = prepared_topic.contract
    assert [(one.name, one.data_type, one.on_null) for one in contract.arguments] == [("text", "TEXT", "null")]
    assert contract.return_type == 'STRUCT("label" TEXT, "score" DOUBLE)'
    assert_same(scored(prepared_topic, TEXTS), piped(topic))


def test_preparing_compares_with_the_library(prepared_topic: PreparedFunction) -> None:
    found = prepared_topic.verified
    assert found is not None
    assert found.against.startswith("transformers ")
    assert (found.rows >= 60, found.over, found.labels, found.relative < TOLERANCE) == (True, 0, 0, True)


def test_a_prepared_function_needs_no_library(
    space: Path, topic: Path, prepared_topic: PreparedFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrypoint, "version", lambda _: None)
    assert made(space, topic, name="topic") == prepared_topic
    error = Workshop(space).refused(topic, (), "TEXT", name="topic", source="huggingface")
    assert error.hint == "pip install 'sqlinfer[huggingface]'"


def test_several_labels_are_told_by_sigmoids_and_texts_cut_on_the_left(space: Path) -> None:
    """Whole numbers as labels are names, too."""
    labels = {0: "10", 1: "20", 2: "30"}
    model = bert(1, id2label=labels, problem_type="multi_label_classification")
    path = saved(space / "multi", model, tokenizer(truncation_side="left", padding_side="left"))
    returns = [
        ReturnField("label", "TEXT", own_labels=True),
        ReturnField("score", "DOUBLE"),
        ReturnField("all", output="probabilities"),
        ReturnField("twenty", "DOUBLE", key="20"),
    ]
    arguments = [Argument("body", "TEXT")]
    prepared = Workshop(space).make(path, arguments, returns, name="multi", source="huggingface", is_struct=True)
    found = scored(prepared, TEXTS)
    assert_same(found, piped(path))
    every = [{one["label"]: one["score"] for one in row} for row in map(_listed, _all_labels(path))]
    wanted = np.array([[row[name] for name in labels.values()] for row in every])
    assert np.abs(np.array(found["all"]) - wanted).max() < TOLERANCE
    assert np.abs(np.array(found["twenty"]) - wanted[:, 1]).max() < TOLERANCE


def _all_labels(path: Path) -> list[Any]:
    pipe = transformers.pipeline("text-classification", str(path), device="cpu")
    return [pipe(text, truncation=True, top_k=None) for text in TEXTS]


def _listed(row: Any) -> list[dict[str, Any]]:
    return row[0] if isinstance(row[0], list) else row


@pytest.fixture(scope="module")
def encoder(space: Path) -> Path:
    torch.manual_seed(2)
    raw = saved(space / "raw", transformers.BertModel(transformers.BertConfig(**SMALL)), tokenizer())
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models

    modules = [models.Transformer(str(raw), max_seq_length=24), models.Pooling(16, "mean"),
               models.Dense(16, 8, activation_function=torch.nn.Tanh()), models.Normalize()]  # fmt: skip
    SentenceTransformer(modules=modules, device="cpu").save(str(space / "encoder"))
    return space / "encoder"


def test_an_encoder_of_sentences_gives_its_vector(space: Path, encoder: Path) -> None:
    prepared = made(space, encoder, name="encoder")
    assert prepared.contract.return_type == "REAL[8]"
    wanted = sentence.SentenceTransformer(str(encoder), device="cpu").encode(TEXTS)
    found = np.array(scored(prepared, TEXTS)["value"])
    assert np.abs(found - wanted).max() < TOLERANCE
    assert prepared.verified is not None
    assert prepared.verified.against.startswith("sentence-transformers ")


def test_a_cross_encoder_scores_two_texts(space: Path) -> None:
    raw = saved(space / "raw_pairs", bert(3, num_labels=1), tokenizer())
    library = sentence.CrossEncoder(str(raw), device="cpu")
    library.save_pretrained(str(space / "pairs"))
    prepared = made(space, space / "pairs", name="pairs")
    assert [one.name for one in prepared.contract.arguments] == ["text", "text_pair"]
    assert prepared.contract.return_type == "DOUBLE"
    others = TEXTS[::-1]
    found = scored(prepared, TEXTS, others)["value"]
    assert np.abs(np.array(found) - library.predict(list(zip(TEXTS, others, strict=True)))).max() < TOLERANCE


def picture(wide: int, high: int, mode: str = "RGB") -> bytes:
    from PIL import Image

    made, kept = np.random.default_rng(wide).integers(0, 256, (high, wide, 3)).astype(np.uint8), io.BytesIO()
    Image.fromarray(made).convert(mode).save(kept, "PNG")
    return kept.getvalue()


@pytest.mark.parametrize("steps", ["exact", "shortest"])
@pytest.mark.thorough("shortest")
def test_an_image_classifier_gives_what_the_pipeline_gives_first(space: Path, steps: str) -> None:
    """With the resizing of Pillow, as image processors without torchvision do it."""
    from PIL import Image
    from transformers import CLIPImageProcessor, ViTImageProcessor

    torch.manual_seed(4)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        initializer_range=0.3, id2label={0: "cat", 1: "dog", 2: "bird"}, label2id={"cat": 0, "dog": 1, "bird": 2},
    )  # fmt: skip
    processor = {
        "exact": ViTImageProcessor(size={"height": 32, "width": 32}),
        "shortest": CLIPImageProcessor(size={"shortest_edge": 37}, crop_size={"height": 32, "width": 32}),
    }[steps]
    path = space / f"photo_{steps}"
    transformers.ViTForImageClassification(config).save_pretrained(path)
    processor.save_pretrained(path)
    pictures = [picture(50, 40), picture(33, 64), picture(32, 32), picture(7, 90), picture(60, 61, "L")]
    by_path = steps == "exact"
    prepared = made(space, path, name=f"photo_{steps}", arguments=[("photo", "TEXT")] if by_path else ())
    if by_path:
        for number, data in enumerate(pictures):
            (space / f"{number}.png").write_bytes(data)
    given = [f"{number}.png" for number in range(len(pictures))] if by_path else pictures
    pipe = transformers.pipeline("image-classification", str(path), device="cpu")
    wanted = [pipe(Image.open(io.BytesIO(data)))[0] for data in pictures]
    assert_same(scored(prepared, given), wanted)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ViT", {}), ("ViT", {"resample": 3, "do_rescale": False}), ("ViT", {"do_normalize": False}), ("Beit", {}),
        ("DeiT", {}), ("CLIP", {}), ("ConvNext", {}), ("ConvNext", {"size": {"shortest_edge": 384}}), ("Bit", {}),
        ("Segformer", {}), ("Pvt", {}), ("Siglip", {}), ("MobileNetV1", {}), ("MobileNetV2", {}), ("MobileViT", {}),
        ("Levit", {}), ("PoolFormer", {}), ("EfficientNet", {}), ("EfficientNet", {"rescale_offset": True}),
    ],
)  # fmt: skip
def test_images_become_the_pixels_of_their_processor(kind: str, options: dict[str, Any]) -> None:
    """Pillow's processors, on images of many sizes and modes."""
    from PIL import Image
    from transformers.image_utils import load_image

    processor = getattr(transformers, f"{kind}ImageProcessorPil")(**options)
    steps = steps_of(processor)
    spec = ImageSpec("image", tuple(steps["size"]), tuple(steps["mean"]), tuple(steps["std"]), resize=steps["resize"],
                     resize_size=steps["resize_size"], resample=steps["resample"], rounding="down")  # fmt: skip
    for data in boundary.images(0):
        opened = load_image(Image.open(io.BytesIO(data)))
        wanted = np.asarray(processor(images=[opened], return_tensors="np")["pixel_values"][0])
        pixels = decode(data, spec) / np.float32(255) - np.asarray(spec.mean, np.float32)
        found = (pixels / np.asarray(spec.std, np.float32)).transpose(2, 0, 1)
        assert found.shape == wanted.shape
        assert np.abs((found[::-1] if steps["flipped"] else found) - wanted).max() < 1e-4 * max(1, np.abs(wanted).max())


def test_an_onnx_file_of_the_folder_is_taken_as_it_is(space: Path, topic: Path) -> None:
    """Without weights its graph answers for itself, with the tokenizer of transformers before it."""
    path = space / "optimum"
    shutil.copytree(topic, path, ignore=shutil.ignore_patterns("*.safetensors"))
    (path / "onnx").mkdir()
    (path / "onnx/model.onnx").write_bytes(bag_of_words(3))
    prepared = made(space, path, name="optimum")
    found = scored(prepared, TEXTS)
    assert set(found["label"]) <= {"billing", "cancel", "other"}
    assert prepared.verified is not None
    assert (prepared.verified.over, prepared.verified.relative < TOLERANCE) == (0, True)


def bag_of_words(classes: int) -> bytes:
    """As optimum's: ids, mask and types of tokens in, logits out."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(0, 1, (200, classes)).astype(np.float32)
    constants = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([2]), "last"),
                 numpy_helper.from_array(np.array([1]), "words")]  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["w", "input_ids"], ["rows"]),
        helper.make_node("Add", ["attention_mask", "token_type_ids"], ["both"]),
        helper.make_node("Cast", ["both"], ["there"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["there", "last"], ["mask"]),
        helper.make_node("Mul", ["rows", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "words"], ["logits"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "T"])
              for name in ("input_ids", "attention_mask", "token_type_ids")]  # fmt: skip
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])]
    graph = helper.make_graph(nodes, "bag", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return bytes(onnx.ModelProto.SerializeToString(model))


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("BertForTokenClassification", "BertForTokenClassification, which gives no result"),
        ("BertForMaskedLM", "BertForMaskedLM, which gives no result"),
        ("GPT2LMHeadModel", "GPT2LMHeadModel"),
    ],
)
def test_heads_that_no_column_holds_are_refused(space: Path, topic: Path, architecture: str, said: str) -> None:
    path = space / architecture
    shutil.copytree(topic, path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"architectures": [architecture]}))
    assert said in Workshop(space).refused(path, (), (), source="huggingface").message


def test_weights_that_lack_a_tensor_are_refused(space: Path, topic: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = space / "lacking"
    shutil.copytree(topic, path)
    held = load_file(path / "model.safetensors")
    del held["classifier.weight"]
    save_file(held, path / "model.safetensors", metadata={"format": "pt"})
    error = Workshop(space).refused(path, (), (), source="huggingface")
    assert "classifier.weight" in error.message
    assert "random numbers" in str(error.hint)


def test_a_missing_tokenizer_is_named(space: Path, topic: Path) -> None:
    path = space / "silent"
    shutil.copytree(topic, path, ignore=shutil.ignore_patterns("tokenizer.json"))
    assert "tokenizer" in Workshop(space).refused(path, (), (), source="huggingface").message


@pytest.mark.parametrize("opset", [11, 17, 20])
@pytest.mark.parametrize("modes", [*POOLING, ("mean", "max", "cls")])
def test_pooling_dense_and_norm_are_those_of_sentence_transformers(modes: Any, opset: int) -> None:
    import onnx
    from onnx import TensorProto, helper
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

    random = np.random.default_rng(0)
    hidden, mask = random.normal(0, 1, (4, 5, 6)).astype(np.float32), np.tril(np.ones((4, 5), np.int64))
    pooling = Pooling(6, modes)
    dense = Dense(pooling.pooling_output_dimension, 3, activation_function=torch.nn.GELU())
    features = {"token_embeddings": torch.tensor(hidden), "attention_mask": torch.tensor(mask)}
    wanted = Normalize()(dense(pooling(features)))["sentence_embedding"].detach().numpy()
    graph = helper.make_graph(
        [helper.make_node("Identity", ["hidden"], ["tokens"])], "g",
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["N", "T", 6]),
         helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["N", "T"])],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["N", "T", 6])],
    )  # fmt: skip
    head = Head(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8))
    pooled = head.pooled("tokens", "attention_mask", (modes,) if isinstance(modes, str) else modes)
    linear = dense.linear
    values = head.dense(pooled, linear.weight.detach().numpy(), linear.bias.detach().numpy(), "GELU")
    model = head.finish([("vector", head.normalized(values), TensorProto.FLOAT, ["N", 3])])
    onnx.checker.check_model(model)
    assert rowwise.find_mixing(model) == ()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"hidden": hidden, "attention_mask": mask})[0]
    assert np.abs(found - wanted).max() < 1e-6


def test_the_library_itself_predicts_where_that_is_asked_for(space: Path, topic: Path) -> None:
    prepared = made(space, topic, name="native_topic", runtime="native")
    assert prepared.contract.return_type == 'STRUCT("label" TEXT, "score" DOUBLE)'
    assert (prepared.contract.is_native, prepared.verified) == (True, None)
    assert prepared.native is not None
    from sqlinfer.functions.sources.library_scorer import load_scorer

    score = load_scorer(prepared.native.request)
    labels, scores = score(pa.RecordBatch.from_pydict({"text": TEXTS}))
    assert_same({"label": list(labels), "score": list(scores)}, piped(topic))
