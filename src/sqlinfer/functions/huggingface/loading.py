"""Models and tokenizers in their own libraries, from our copy of a folder alone: no code, no pickles, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlinfer.functions.huggingface.export import first_line
from sqlinfer.functions.huggingface.folder import PICKLED
from sqlinfer.functions.huggingface.metadata import Metadata
from sqlinfer.functions.sources.original import Refused

LOCAL: Final[Mapping[str, Any]] = {"local_files_only": True, "trust_remote_code": False}
DEFAULT_TOKENS: Final = 512
_UNSET: Final = 1 << 24
"""Tokenizers say 10^30 where they do not know."""
_AFTER_PADDING: Final = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer", "esm")
"""Whose positions begin after that of the padding token."""
_UNUSED: Final = ("pooler.", "position_ids")
"""Weights that a vector of tokens does not depend on."""


def quietly(doing: Callable[[], Any], what: str) -> Any:
    """Raises Refused for whatever a library raises."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return doing()
    except (MemoryError, Refused):
        raise
    except ImportError as error:
        raise Refused(f"{what}: {first_line(error)}", "pip install 'sqlinfer[huggingface]'") from error
    except Exception as error:  # every way in which a folder can be wrong
        if "allocate memory" in str(error) or "alloc_cpu" in str(error):
            raise MemoryError from error
        raise Refused(f"{what}: {first_line(error)}", "the folder is damaged, or of another version") from error


def model(meta: Metadata, auto: str, *, headless: bool = False) -> Any:
    """In float32. ``auto``: a class of transformers.

    Raises:
        Refused: weights are missing, or the library refuses the folder.
    """
    import transformers

    safe = not (meta.base / PICKLED).is_file()
    options = {**LOCAL, "use_safetensors": safe, "attn_implementation": "eager", "output_loading_info": True}

    def load() -> Any:
        try:
            return getattr(transformers, auto).from_pretrained(str(meta.base), **options)
        except ValueError as error:  # an architecture without the plain form of attention
            if "attn_implementation" not in str(error):
                raise
        return getattr(transformers, auto).from_pretrained(str(meta.base), **options | {"attn_implementation": "sdpa"})

    found, said = quietly(load, "transformers does not load it")
    missing = sorted(name for name in said.get("missing_keys", ())
                     if not (headless and any(one in name for one in _UNUSED)))  # fmt: skip
    wrong = [str(one[0]) for one in said.get("mismatched_keys", ())]
    if missing or wrong:
        shown = ", ".join([*wrong, *missing][:4])
        count = f"{len(missing) + len(wrong):,}"
        raise Refused(f"its weights lack {count} tensors that {type(found).__name__} has: {shown}",
                      "transformers would fill them with random numbers")  # fmt: skip
    return found.float().eval()


def tokenizer(meta: Metadata) -> Any:
    """The fast one. Raises Refused where there is none."""
    import transformers

    if not any((meta.base / name).is_file() for name in (
        "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"
    )):  # fmt: skip
        raise Refused("the folder has no tokenizer.json", "save the tokenizer beside the model (save_pretrained)")
    found = quietly(lambda: transformers.AutoTokenizer.from_pretrained(str(meta.base), **LOCAL),
                    "its tokenizer is not read")  # fmt: skip
    check_tokenizer(found)
    return found


def check_tokenizer(found: Any) -> None:
    if not getattr(found, "is_fast", False):
        raise Refused(f"its tokenizer {type(found).__name__} is not a fast one, which writes tokenizer.json",
                      "save it from AutoTokenizer.from_pretrained(…, use_fast=True)")  # fmt: skip


def most_tokens(tokenizer: Any, config: Any) -> int:
    """``model_max_length``, else the truncation of tokenizer.json; never more than the model has positions."""
    places = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    known = []
    if isinstance(places, int) and places > 0:
        known.append(places - _first_place(config))
    said = tokenizer.model_max_length
    if isinstance(said, (int, float)) and 0 < said < _UNSET:
        known.append(int(said))
    else:
        truncation = tokenizer.backend_tokenizer.truncation or {}
        known.append(int(truncation.get("max_length") or (known[0] if known else DEFAULT_TOKENS)))
    return min(known)


def _first_place(config: Any) -> int:
    """The position of a text's first token."""
    kind = getattr(config, "model_type", "")
    if kind == "mpnet":  # whatever its padding token is
        return 2
    return (getattr(config, "pad_token_id", 0) or 0) + 1 if kind in _AFTER_PADDING else 0


def tokenizer_json(tokenizer: Any, most: int) -> str:
    """The tokenizer as its library uses it."""
    from tokenizers import Tokenizer

    found = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    found.enable_truncation(most, strategy="longest_first", direction=tokenizer.truncation_side)
    padding = {} if tokenizer.pad_token is None else {"pad_token": tokenizer.pad_token}
    found.enable_padding(direction=tokenizer.padding_side, pad_id=tokenizer.pad_token_id or 0,
                         pad_type_id=tokenizer.pad_token_type_id, **padding)  # fmt: skip
    text: str = found.to_str()
    return text
