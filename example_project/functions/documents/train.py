"""Train a small text model: words → a vector of the text → its topic. Writes ``documents.onnx`` and ``tokenizer.json``.

    pip install torch onnx tokenizers
    python functions/documents/train.py

The vector is trained to tell the articles apart that answer a letter, so that near vectors mean the same answer. A
larger model takes its place without a change of SQL: a Hugging Face folder is declared with ``source: huggingface``.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import onnx
import torch
from generate import ARTICLES, TOPICS, letter
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import nn

FOLDER = Path(__file__).parent
LETTERS, WIDTH, LONGEST, ROUNDS = 6_000, 16, 64, 600
NUMBER = [article for _, article, _ in ARTICLES]


def tokenizer(texts: list[str]) -> Tokenizer:
    """Lower-case words. What training has not seen, such as the number of an order, is one word of its own."""
    made = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    words = trainers.WordLevelTrainer(min_frequency=5, special_tokens=["[PAD]", "[UNK]"], show_progress=False)
    made.train_from_iterator(texts, words)
    made.enable_padding(pad_id=0, pad_token="[PAD]")
    made.enable_truncation(LONGEST)
    return made


class TextModel(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, WIDTH)
        self.topic, self.article = nn.Linear(WIDTH, len(TOPICS)), nn.Linear(WIDTH, len(ARTICLES))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The mean of a text's words."""
        weights = mask.unsqueeze(-1).float()
        return (self.words(ids) * weights).sum(1) / weights.sum(1).clamp(min=1)


def trained(encode: Tokenizer, letters: list[tuple[str, str, str]]) -> TextModel:
    encoded = encode.encode_batch([text for _, _, text in letters])
    ids, mask = (torch.tensor([getattr(one, name) for one in encoded]) for name in ("ids", "attention_mask"))
    topics = torch.tensor([TOPICS.index(topic) for topic, _, _ in letters])
    articles = torch.tensor([NUMBER.index(article) for _, article, _ in letters])
    model = TextModel(encode.get_vocab_size())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-5)
    held_out = len(letters) // 5
    for _ in range(ROUNDS):
        chosen = torch.randint(held_out, len(letters), (256,))
        vectors = model(ids[chosen], mask[chosen])
        loss = nn.functional.cross_entropy(model.topic(vectors), topics[chosen])
        loss = loss + nn.functional.cross_entropy(model.article(vectors), articles[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = model.topic(model(ids[:held_out], mask[:held_out])).argmax(1)
    right = (found == topics[:held_out]).float().mean()
    print(f"{right:.1%} of {held_out:,} held-out letters get their topic; {encode.get_vocab_size()} words")
    return model


def export(model: TextModel, path: Path) -> None:
    """input_ids, attention_mask [N, S] → probabilities [N, 5], score [N], vector [N, 16] of length one."""
    constants = {
        "words": model.words.weight.detach().numpy(),
        "weights": model.topic.weight.detach().numpy(),
        "bias": model.topic.bias.detach().numpy(),
        "one": np.array(1, dtype=np.float32),
        "last": np.array([-1]),
        "tokens": np.array([1]),
    }
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["beside"]),
        helper.make_node("Mul", ["embedded", "beside"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "tokens"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "tokens"], ["count"], keepdims=1),
        helper.make_node("Max", ["count", "one"], ["divisor"]),
        helper.make_node("Div", ["sum", "divisor"], ["mean"]),
        helper.make_node("LpNormalization", ["mean"], ["vector"], axis=1, p=2),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ReduceMax", ["probabilities", "tokens"], ["score"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "documents",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens_of_text"])
         for name in ("input_ids", "attention_mask")],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", len(TOPICS)]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"]),
            helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["rows", WIDTH]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    path.write_bytes(made.SerializeToString(deterministic=True))


def main() -> None:
    torch.manual_seed(5)
    torch.set_num_threads(1)
    random = Random(77)
    letters = [letter(random) for _ in range(LETTERS)]
    encode = tokenizer([text for _, _, text in letters])
    export(trained(encode, letters), FOLDER / "documents.onnx")
    encode.save(str(FOLDER / "tokenizer.json"))
    print("topics:", ", ".join(TOPICS))


if __name__ == "__main__":
    main()
