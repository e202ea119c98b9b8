"""Models over one text or two: classifiers, sentence encoders, cross-encoders."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto

from sqlinfer.functions.binding import TOKEN_FIELDS
from sqlinfer.functions.check import artifact
from sqlinfer.functions.huggingface import boundary, loading
from sqlinfer.functions.huggingface.export import exported
from sqlinfer.functions.huggingface.heads import POOLING, Head
from sqlinfer.functions.huggingface.metadata import ACTIVATIONS, Metadata
from sqlinfer.functions.sources.original import NotExact, Refused, Results, Suggested

Array = np.ndarray[Any, Any]
Texts = Sequence[tuple[str, ...]]
TOKENIZER_FILE: Final = "tokenizer.json"
TEXT: Final = ("text", "text_pair")
_BATCH, _TOKENS = 16, 8192
_LOGITS = ("logits", "scores")
_HIDDEN = ("last_hidden_state", "token_embeddings")


class TextModel(ABC):
    """A tokenizer and a transformer, in torch or as the ONNX file of the folder."""

    arguments: tuple[Suggested, ...] = (Suggested("text", "TEXT"),)
    results: Results
    output: str = "logits"
    """Of the transformer."""

    def __init__(self, meta: Metadata, tokenizer: Any, config: Any, module: Any) -> None:
        self.meta, self.tokenizer, self.config, self.module = meta, tokenizer, config, module
        self.made_with: Mapping[str, str] = meta.made_with
        self.most = loading.most_tokens(tokenizer, config)
        tokenizer.model_max_length = self.most
        tokenizer.padding_side = "right"  # on the left it moves positions: a text's result would depend on its batch
        self._session: Any = None
        if module is None:
            self._session = session_of(meta)

    # -- answers ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def answers(self, texts: Texts) -> Mapping[str, Array]: ...

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, Array]:
        texts = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        return self.answers(texts)

    def raw(self, texts: Texts) -> Array:
        """The transformer's logits of all texts, batch by batch, in their order."""
        parts, places = [], []
        for batch in self.batches(texts):
            places += batch
            parts.append(self.transformed(self.encoded([texts[place] for place in batch])))
        found = np.concatenate(parts) if parts else self.transformed(self.encoded([("a",) * len(self.arguments)]))[:0]
        back = np.empty(len(places), dtype=np.int64)
        back[places] = np.arange(len(places))
        return found[back]

    def batches(self, texts: Texts) -> Iterator[list[int]]:
        """Places of texts of mixed lengths; the longest ones few at a time."""
        size = max(1, min(_BATCH, _TOKENS // self.most)) if self.tokenizer.pad_token is not None else 1
        for start in range(0, len(texts), size):
            yield list(range(start, min(start + size, len(texts))))

    def encoded(self, texts: Texts) -> Any:
        import torch

        columns = [list(column) for column in zip(*texts, strict=True)]
        padding = self.tokenizer.pad_token is not None
        found = self.tokenizer(*columns, padding=padding, truncation=True, max_length=self.most)
        return {name: torch.tensor(found[name]) for name in TOKEN_FIELDS if name in found}

    def transformed(self, encoded: Mapping[str, Any]) -> Array:
        import torch

        if self._session is not None:
            return self._by_graph(encoded)
        with torch.inference_mode():
            found: Array = self.module(**encoded)[self.output].float().numpy()
        return found

    def _by_graph(self, encoded: Mapping[str, Any]) -> Array:
        feeds = {}
        for port in self._session.get_inputs():
            given = encoded.get(port.name)
            values = np.zeros_like(encoded["input_ids"].numpy()) if given is None else given.numpy()
            feeds[port.name] = values.astype(np.int32 if "int32" in port.type else np.int64)
        names = [one.name for one in self._session.get_outputs()]
        found: Array = self._session.run([self.chosen(names)], feeds)[0]
        return found.astype(np.float32)

    # -- graph --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def headed(self, head: Head, output: str) -> onnx.ModelProto:
        """The graph with what follows the transformer's output."""

    def convert(self, target: Path) -> None:
        head = Head(self._graph(target.parent))
        _without_types(head, self._fields())
        names = [one.name for one in head.model.graph.output]
        chosen = self.chosen(names)
        kind = {one.name: one.type.tensor_type.elem_type for one in head.model.graph.output}[chosen]
        output = chosen if kind == TensorProto.FLOAT else head.as_float(chosen)
        save(self.headed(head, output), target)
        (target.parent / TOKENIZER_FILE).write_text(loading.tokenizer_json(self.tokenizer, self.most))

    def _graph(self, folder: Path) -> onnx.ModelProto:
        if self.meta.graph is not None:
            scratch = folder / "external"
            scratch.mkdir()
            found = artifact.load(self.meta.graph, scratch).model
            constants = {one.name for one in found.graph.initializer}
            foreign = [one.name for one in found.graph.input if one.name not in (*TOKEN_FIELDS, *constants)]
            if foreign:
                raise Refused(f"{self.meta.graph.name} takes {', '.join(foreign[:4])}, and not tokens alone",
                              "export it for the task of the model, without past keys")  # fmt: skip
            return found
        example = ("some words of this text", "and of another one")[: len(self.arguments)]
        shorter = ("fewer words", "and these")[: len(self.arguments)]
        return exported(self.module, self.output, self.encoded([example, shorter]), 2, folder)

    def _fields(self) -> tuple[str, ...]:
        """Those that the library's own tokenizer gives."""
        return tuple(self.encoded([("a",) * len(self.arguments)]))

    def chosen(self, names: Sequence[str]) -> str:
        known = _HIDDEN if self.output == "last_hidden_state" else _LOGITS
        found = next((name for name in known if name in names), names[0] if len(names) == 1 else None)
        if found is None:
            raise Refused(
                f"its graph gives {', '.join(names)}, and not {known[0]}", "export it for the task of the model"
            )
        return found

    # -- rows ---------------------------------------------------------------------------------------------------------

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        words = sorted(self.tokenizer.get_vocab())
        if len(self.arguments) == 1:
            return pa.RecordBatch.from_pydict({"text": boundary.texts(words, self.most, limit, seed)})
        first, second = boundary.pairs(words, self.most, limit, seed)
        return pa.RecordBatch.from_pydict({TEXT[0]: first, TEXT[1]: second})


class Classifier(TextModel):
    """What the pipeline 'text-classification' gives."""

    def __init__(self, meta: Metadata, arguments: int) -> None:
        module = loading.model(meta, "AutoModelForSequenceClassification") if meta.has_weights else None
        config = module.config if module is not None else automatic_config(meta)
        super().__init__(meta, loading.tokenizer(meta), config, module)
        self.arguments = tuple(Suggested(name, "TEXT") for name in TEXT[:arguments])
        self.activation = activation_of(config)
        self.results = Results("text_classes", classes_of(config))

    def answers(self, texts: Texts) -> Mapping[str, Array]:
        return classified(self.raw(texts), self.activation)

    def headed(self, head: Head, output: str) -> onnx.ModelProto:
        return head.classified(output, self.activation, len(self.results.classes or ()))


class CrossEncoder(TextModel):
    """What sentence-transformers' CrossEncoder predicts for two texts."""

    def __init__(self, meta: Metadata) -> None:
        self.arguments = tuple(Suggested(name, "TEXT") for name in TEXT)
        self.activation = _cross_activation(meta)
        if not meta.has_weights:
            super().__init__(meta, loading.tokenizer(meta), automatic_config(meta), None)
        else:
            loading.model(meta, "AutoModelForSequenceClassification")  # refuses what lacks weights
            self.library: Any = loading.quietly(lambda: _cross_encoder(meta), "sentence-transformers does not load it")
            module = self.library[0].auto_model.float().eval()
            super().__init__(meta, self.library.tokenizer, module.config, module)
        loading.check_tokenizer(self.tokenizer)
        count = int(self.config.num_labels)
        self.results = Results("score") if count == 1 else Results("vector", width=count)

    def answers(self, texts: Texts) -> Mapping[str, Array]:
        name = "value" if self.results.kind == "score" else "vector"
        if self.module is None:
            found = _activated(self.raw(texts), self.activation)
            return {name: found[:, 0] if name == "value" else found}
        size = max(1, min(_BATCH, _TOKENS // self.most))
        pairs = [list(pair) for pair in texts] or [["a", "a"]]
        found = self.library.predict(pairs, batch_size=size, show_progress_bar=False, convert_to_numpy=True)
        return {name: np.asarray(found, dtype=np.float32)[: len(texts)]}

    def headed(self, head: Head, output: str) -> onnx.ModelProto:
        found = head.activated(output, self.activation)
        if self.results.kind == "score":
            return head.finish([("value", head.first_column(found), TensorProto.FLOAT, ["N"])])
        return head.finish([("vector", found, TensorProto.FLOAT, ["N", int(self.results.width or 0)])])


class Encoder(TextModel):
    """What sentence-transformers' SentenceTransformer encodes; a transformer alone is pooled by its mean, as there."""

    output = "last_hidden_state"

    def __init__(self, meta: Metadata) -> None:
        prompt = meta.sentence.get("default_prompt_name")
        prompts = meta.sentence.get("prompts")
        if prompt is not None and isinstance(prompts, Mapping) and prompts.get(prompt):
            raise Refused(f"the folder puts the prompt {str(prompts[prompt])[:60]!r} before each text",
                          "set 'default_prompt_name: null' and put it before the argument in SQL")  # fmt: skip
        self.library: Any = None
        if meta.has_weights:
            loading.model(meta, "AutoModel", headless=True)  # refuses what lacks weights
            self.library = loading.quietly(
                lambda: _sentence_transformer(meta), "sentence-transformers does not load it"
            )
            self.stages = list(self.library)[1:]
            module = self.library[0].auto_model.float().eval()
            super().__init__(meta, self.library.tokenizer, module.config, module)
        else:
            self.stages = loading.quietly(lambda: _stages(meta), "sentence-transformers does not load it")
            super().__init__(meta, loading.tokenizer(meta), automatic_config(meta), None)
            self._shorten()
        loading.check_tokenizer(self.tokenizer)
        self.modes = _modes(self.stages)
        self.results = Results("embedding", width=int(self.answers([("a",)])["vector"].shape[1]))

    def _shorten(self) -> None:
        """``max_seq_length`` of older folders."""
        for path in sorted(self.meta.base.glob("sentence_*_config.json")):
            most = _json_of(path).get("max_seq_length")
            if isinstance(most, int) and 0 < most < self.most:
                self.most = self.tokenizer.model_max_length = most

    def answers(self, texts: Texts) -> Mapping[str, Array]:
        plain = [text for (text,) in texts]
        if self.library is not None:
            size = max(1, min(_BATCH, _TOKENS // self.most))
            found = self.library.encode(plain or ["a"], batch_size=size, show_progress_bar=False, convert_to_numpy=True)
            return {"vector": np.asarray(found, dtype=np.float32)[: len(plain)]}
        parts = [self._staged(texts[place[0] : place[-1] + 1]) for place in self.batches(texts or [("a",)])] \
            if texts else [self._staged([("a",)])[:0]]  # fmt: skip
        return {"vector": np.concatenate(parts)}

    def _staged(self, texts: Texts) -> Array:
        """The tokens of the graph through the other modules, in torch."""
        import torch

        encoded = self.encoded(texts)
        features = {"token_embeddings": torch.from_numpy(self.transformed(encoded)), **encoded}
        with torch.inference_mode():
            for stage in self.stages:
                features = stage(features)
        found: Array = features["sentence_embedding"].numpy()
        return found

    def headed(self, head: Head, output: str) -> onnx.ModelProto:
        found = head.pooled(output, "attention_mask", self.modes)
        for stage in self.stages[1:]:
            match type(stage).__name__:
                case "Dense":
                    found = _dense(head, found, stage)
                case "Normalize":
                    found = head.normalized(found)
                case "Dropout":
                    pass
                case other:
                    raise NotExact(f"the module {other} has no counterpart here")
        return head.finish([("vector", found, TensorProto.FLOAT, ["N", int(self.results.width or 0)])])


def classified(logits: Array, activation: str) -> Mapping[str, Array]:
    """Labels, scores and probabilities, by the formulas of transformers' pipelines."""
    if activation == "softmax":
        grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
        found = grown / grown.sum(axis=-1, keepdims=True)
    elif activation == "sigmoid":
        with np.errstate(over="ignore"):
            found = 1.0 / (1.0 + np.exp(-logits))
    else:
        found = logits
    return {"label": found.argmax(axis=-1).astype(np.int64), "score": found.max(axis=-1), "probabilities": found}


def activation_of(config: Any) -> str:
    """As transformers' pipelines choose it."""
    problem = getattr(config, "problem_type", None)
    if problem == "regression":
        return "none"
    if problem == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"


def classes_of(config: Any) -> tuple[str, ...]:
    labels = config.id2label
    if sorted(labels) != list(range(len(labels))):
        raise Refused(f"config.json: 'id2label' does not number the classes from 0 to {len(labels) - 1}", None)
    return tuple(str(labels[place]) for place in range(len(labels)))


def automatic_config(meta: Metadata) -> Any:
    import transformers

    return loading.quietly(lambda: transformers.AutoConfig.from_pretrained(str(meta.base), **loading.LOCAL),
                           "its config.json is not read")  # fmt: skip


def save(model: onnx.ModelProto, target: Path) -> None:
    if model.ByteSize() < 1_500_000_000:
        onnx.save(model, str(target))
    else:
        onnx.save_model(model, str(target), save_as_external_data=True, location=f"{target.name}.data")


def session_of(meta: Metadata) -> Any:
    import tempfile

    import onnxruntime

    assert meta.graph is not None
    with tempfile.TemporaryDirectory() as scratch:
        checked = artifact.load(meta.graph, Path(scratch)).model
        path = Path(scratch) / "checked.onnx"
        save(checked, path)
        return loading.quietly(lambda: onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]),
                               "ONNX Runtime does not load its graph")  # fmt: skip


def _without_types(head: Head, fields: Sequence[str]) -> None:
    """Zeros for token types that the library's tokenizer does not give: then the library takes zeros."""
    graph = head.model.graph
    names = [one.name for one in graph.input]
    if "token_type_ids" in fields or "token_type_ids" not in names or "input_ids" not in names:
        return
    kinds = {one.name: one.type.tensor_type.elem_type for one in graph.input}
    del graph.input[names.index("token_type_ids")]
    first = onnx.helper.make_node("Sub", ["input_ids", "input_ids"], ["zeros_of_tokens"], name="zeros_of_tokens")
    second = onnx.helper.make_node("Cast", ["zeros_of_tokens"], ["token_type_ids"], name="no_token_types",
                                   to=kinds["token_type_ids"])  # fmt: skip
    graph.node.insert(0, second)
    graph.node.insert(0, first)


def _modes(stages: Sequence[Any]) -> tuple[str, ...]:
    if not stages or type(stages[0]).__name__ != "Pooling":
        raise Refused("its modules do not pool the vectors of tokens", "a sentence encoder has a Pooling module second")
    said = getattr(stages[0], "pooling_mode", None)
    if said is None:  # before sentence-transformers 5.4
        flags = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "lasttoken": "lasttoken",
                 "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean": "weightedmean_tokens"}  # fmt: skip
        return tuple(mode for mode in POOLING if getattr(stages[0], f"pooling_mode_{flags[mode]}", False))
    return (said,) if isinstance(said, str) else tuple(said)


def _dense(head: Head, values: str, stage: Any) -> str:
    if getattr(stage, "use_residual", False) or getattr(stage, "module_input_name", "sentence_embedding") != (
        "sentence_embedding"
    ):
        raise NotExact("its dense module does more than a dense layer")
    linear = stage.linear
    bias = None if linear.bias is None else linear.bias.detach().float().numpy()
    activation = type(stage.activation_function).__name__
    return head.dense(values, linear.weight.detach().float().numpy(), bias, activation)


def _sentence_transformer(meta: Metadata) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(meta.folder), device="cpu", **loading.LOCAL,
                               model_kwargs={"attn_implementation": "eager"}).float().eval()  # fmt: skip


def _cross_encoder(meta: Metadata) -> Any:
    from sentence_transformers import CrossEncoder as Library

    return Library(str(meta.folder), device="cpu", **loading.LOCAL, model_kwargs={"attn_implementation": "eager"})


def _stages(meta: Metadata) -> list[Any]:
    """The modules behind the transformer, without it."""
    try:
        from sentence_transformers.sentence_transformer import modules as models
    except ImportError:  # before sentence-transformers 5.4
        from sentence_transformers import models

    found = [getattr(models, one.kind).load(str(meta.folder / one.path)).float().eval() for one in meta.modules[1:]]
    return found or [models.Pooling(int(automatic_config(meta).hidden_size), "mean")]


def _cross_activation(meta: Metadata) -> str:
    """A class of torch.nn. Raises Refused for any other."""
    said = meta.config.get("sentence_transformers")
    paths = [
        said.get("activation_fn") if isinstance(said, Mapping) else None,
        meta.config.get("sbert_ce_default_activation_function"), meta.sentence.get("activation_fn"),
    ]  # fmt: skip
    path = next((one for one in paths if one is not None), None)
    if path is None:
        labels = meta.config.get("id2label")
        count = len(labels) if isinstance(labels, Mapping) else int(meta.config.get("num_labels") or 2)
        return "Sigmoid" if count == 1 else "Identity"
    if not isinstance(path, str) or not ACTIVATIONS.fullmatch(path):
        raise Refused(f"the folder asks for the activation {str(path)[:80]!r}", "known are torch.nn's own")
    return path.rpartition(".")[2]


def _activated(values: Array, activation: str) -> Array:
    import torch

    found: Array = getattr(torch.nn, activation)()(torch.from_numpy(values)).numpy()
    return found


def _json_of(path: Path) -> Mapping[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}
