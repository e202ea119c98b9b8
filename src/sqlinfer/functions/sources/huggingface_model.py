"""The child's side of ``source: huggingface``: which of the known kinds a folder is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_IMPLICIT_TOKEN="1",
    TOKENIZERS_PARALLELISM="false",
    USE_TF="0",
    USE_FLAX="0",
)  # fmt: skip  (before any of the libraries is imported)

from sqlinfer.functions.huggingface import folder, metadata
from sqlinfer.functions.huggingface.metadata import Metadata
from sqlinfer.functions.sources.original import Original, Refused

_KNOWN = "known are classifiers of texts and of images, sentence encoders and cross-encoders"


def load(request: Mapping[str, Any]) -> Original:
    archive = Path(request["path"])
    if "convert" not in request:  # a worker, which loads once and keeps nothing
        with tempfile.TemporaryDirectory() as place:
            folder.unpack(archive, Path(place))
            return _loaded(metadata.read(Path(place)), request)
    target = Path(request["folder"]) / "files"
    folder.unpack(archive, target)
    return _loaded(metadata.read(target), request)


def _loaded(meta: Metadata, request: Mapping[str, Any]) -> Original:
    from sqlinfer.functions.huggingface import texts

    name, pair = meta.architecture, len(request["arguments"]) == 2
    if meta.sentence.get("model_type", "SentenceTransformer") not in ("SentenceTransformer", "CrossEncoder"):
        raise Refused(f"the folder holds a {str(meta.sentence['model_type'])[:40]} of sentence-transformers", _KNOWN)
    if _is_cross_encoder(meta) or (name.endswith("ForSequenceClassification") and pair and _classes(meta) == 1):
        return texts.CrossEncoder(meta)
    if meta.modules:
        return texts.Encoder(meta)
    if name.endswith("ForSequenceClassification"):
        return texts.Classifier(meta, 2 if pair else 1)
    if "ForImageClassification" in name:
        from sqlinfer.functions.huggingface.images import ImageClassifier

        return ImageClassifier(meta, request)
    has_tokens = any((meta.base / one).is_file() for one in ("tokenizer.json", "vocab.txt"))
    if name.endswith("Model") and not name.endswith(("HeadModel", "HeadsModel")) and has_tokens:
        return texts.Encoder(meta)
    raise Refused(f"the folder holds a {name[:60] or 'model without a named architecture'}, which gives no result "
                  "that a column can hold", _KNOWN)  # fmt: skip


def _is_cross_encoder(meta: Metadata) -> bool:
    said = meta.config.get("sentence_transformers")
    marked = isinstance(said, Mapping) and "activation_fn" in said
    return (
        marked or "sbert_ce_default_activation_function" in meta.config
        or meta.sentence.get("model_type") == "CrossEncoder"
    )  # fmt: skip


def _classes(meta: Metadata) -> int:
    labels = meta.config.get("id2label")
    return len(labels) if isinstance(labels, Mapping) else int(meta.config.get("num_labels") or 2)
