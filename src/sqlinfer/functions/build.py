"""A declaration and its artifact → a prepared function in the cache. The only way that imports onnx."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import onnx

from sqlinfer import forest_kernel, types
from sqlinfer.errors import ArtifactError, FunctionError
from sqlinfer.functions import binding, cost, inferred
from sqlinfer.functions import graph as g
from sqlinfer.functions.cache import CONTRACT, dump, publish_folder
from sqlinfer.functions.check import artifact, bound_shapes, rowwise
from sqlinfer.functions.check.containment import read_regular
from sqlinfer.functions.fuse import half, outputs
from sqlinfer.functions.fuse.imaging import image_spec
from sqlinfer.functions.fuse.normal_form import drop_texts
from sqlinfer.functions.record import Record, Tokenising
from sqlinfer.functions.sources.base import Artifact
from sqlinfer.functions.tokenizer import check_tokenizer, tokenizer_file
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import ImageSpec, InputBinding

MODEL_FILE: Final = "model.onnx"
DATA_FILE: Final = "model.onnx.data"
TOKENIZER_FILE: Final = "tokenizer.json"
_INLINE_LIMIT: Final = 1_500_000_000
"""Above this many bytes the weights go to a file of their own (protobuf ends at 2 GiB)."""


@dataclass(frozen=True, slots=True)
class _Parts:
    record: Record
    model: onnx.ModelProto
    tokenizer: bytes | None


def build(
    config: FunctionConfig,
    made: Artifact,
    family: str,
    cache_dir: Path,
    fingerprint: Mapping[str, str],
    scratch: Path,
) -> Record:
    """Check, bind, fuse, analyse, and publish to the cache.

    Args:
        fingerprint: what the source key saw: hashes of the artifact's files, where they are the user's own.
        scratch: a folder of ours, for copies.

    Raises:
        FunctionError: the declaration and the artifact do not fit, or the artifact is refused.
    """
    model = artifact.load(made.path, scratch, fingerprint if "model" in fingerprint else None).model
    drop_texts(model)
    config = inferred.with_arguments(config, bound_shapes.ported(model))
    inputs, image = bind_inputs(config, model)
    notes = half.convert(config, model, family)  # before the post-processing, which stays in float32
    returns = outputs.Returns(config.name, config.returns, made.labels, config.location)
    fused = outputs.fuse(model, returns)
    record = replace(_record(config, (*made.warnings, *notes), model, inputs, fused, family), image=image)
    if config.precision == "int8":
        from sqlinfer.functions.fuse import quantising  # which imports what few functions need

        quantising.check_texts(config, record.text_arguments)
        model = quantising.quantised(config, model, family, scratch)  # after rows were seen not to mix otherwise
    tokenizer = _tokenizer(config, made, fingerprint)
    return _publish(config, _Parts(record, model, tokenizer), family, cache_dir)


def _tokenizer(config: FunctionConfig, made: Artifact, fingerprint: Mapping[str, str]) -> bytes | None:
    path = made.tokenizer or (tokenizer_file(config.tokenizer.path) if config.tokenizer else None)
    if path is None:
        return None
    data = read_regular(path, may_be_empty=True)  # whose outline is looked at below
    if fingerprint.get("tokenizer", sha := hashlib.sha256(data).hexdigest()) != sha:
        raise ArtifactError(f"the tokenizer {path} changed while it was read", hint="run again")
    check_tokenizer(path, data)
    return data


def _fed(inputs: Sequence[InputBinding], layout: str) -> tuple[str, ...]:
    """The arguments that feed inputs of a layout."""
    return next((binding.arguments for binding in inputs if binding.layout == layout), ())


def bind_inputs(config: FunctionConfig, model: onnx.ModelProto) -> tuple[tuple[InputBinding, ...], ImageSpec | None]:
    """What feeds each input, and how images are made where one takes them. Inputs without a shape get theirs."""
    ports = bound_shapes.ported(model)
    declared = binding.Declared(
        config.name,
        config.arguments,
        config.inputs,
        text_arguments(config, [port.name for port in ports]),
        image_argument(config),
        config.tokenizer.max_length if config.tokenizer else None,
        config.row_wise == "force",
        config.location,
    )
    found = binding.bind(declared, ports)
    refused, spec = partial(_refused, declared, ports), None
    if config.image is not None:
        bound = next(one for one in found if one.layout == "image")
        spec = image_spec(
            bound.arguments[0], config.image, next(port for port in ports if port.name == bound.name), refused
        )
    why = bound_shapes.name_shapes(model, found, spec)
    if why is not None:
        fed = ", ".join(f"{one.name} from {', '.join(one.arguments)}{_width(one)}" for one in found)
        raise refused(f"the graph does not take what feeds it ({fed}): {why}",
                      "declare as many arguments, or elements of a list, as the model was trained with")  # fmt: skip
    return found, spec


def _width(bound: InputBinding) -> str:
    return f" [N,{bound.width}]" if bound.width is not None else ""


def _refused(
    declared: binding.Declared, ports: Sequence[g.Port], message: str, hint: str | None = None
) -> FunctionError:
    return declared.error(message, ports, hint)


def text_arguments(config: FunctionConfig, inputs: Sequence[str]) -> tuple[str, ...]:
    """The tokenizer's arguments; where none is named, the one or two texts that feed no other input."""
    given = config.tokenizer
    if given is None:
        return ()
    if given.argument is not None:
        return (given.argument,) if given.pair is None else (given.argument, given.pair)
    fed = {name.casefold() for name in (*inputs, *(name for names in config.inputs.values() for name in names))}
    free = [a.name for a in config.arguments if types.is_text(a.data_type) and a.name.casefold() not in fed]
    if len(free) in (1, 2):
        return tuple(free)
    raise FunctionError(
        f"function '{config.name}': 'tokenizer:' names no argument, and {len(free) or 'none'} of the arguments "
        f"{'are' if free else 'is'} varchar",
        hint="add 'argument: <name>', or 'arguments: [<first>, <second>]' for pairs of texts, under 'tokenizer:'",
        location=config.location,
    )


def image_argument(config: FunctionConfig) -> str | None:
    if config.image is None:
        return None
    if config.image.argument is not None:
        return config.image.argument
    blobs = [a.name for a in config.arguments if a.data_type == "BLOB"]
    texts = [a.name for a in config.arguments if types.is_text(a.data_type)]
    if len(found := blobs or texts) == 1:
        return found[0]
    raise FunctionError(
        f"function '{config.name}': 'image:' names no argument, and {len(found) or 'none'} of the arguments "
        f"{'are' if found else 'is'} {'blob' if blobs or not texts else 'varchar (a path)'}",
        hint="add 'argument: <name>' under 'image:'",
        location=config.location,
    )


def _record(
    config: FunctionConfig,
    notes: tuple[str, ...],
    model: onnx.ModelProto,
    inputs: tuple[InputBinding, ...],
    fused: outputs.Fused,
    family: str,
) -> Record:
    warnings = list(notes)
    row_wise = _row_wise(config, model, warnings)
    kernel = family == "cpu" and forest_kernel.is_there()
    estimate = config.cost if config.cost is not None else cost.cost_per_row(model, kernel=kernel)
    nature = "text" if config.tokenizer else "image" if config.image else None
    fixed_width = all(types.is_fixed_width(a.data_type) for a in config.arguments)
    strategy, reason = cost.choose(config.reuse, estimate, always_store=nature, fixed_width=fixed_width)
    return Record(
        digest="", inputs=inputs, outputs=fused.outputs, bindings=fused.bindings, strategy=strategy,
        strategy_reason=reason, cost_per_row=estimate, row_wise=row_wise, warnings=tuple(warnings),
        is_struct=config.is_struct if config.returns else len(fused.outputs) > 1,
        text_arguments=_fed(inputs, "tokens"), origins=fused.origins, arguments=config.arguments,
        returns=config.returns, tokenizer=Tokenising.of(config.tokenizer),
    )  # fmt: skip


def _row_wise(config: FunctionConfig, model: onnx.ModelProto, warnings: list[str]) -> bool:
    mixing = rowwise.find_mixing(model)
    fixed = [p.name for p in g.input_ports(model.graph) if p.shape and isinstance(p.shape[0], int)]
    if not mixing and not fixed:
        return True
    why = str(mixing[0]) if mixing else f"input '{fixed[0]}' has a fixed batch of 1"
    if config.row_wise != "force":
        raise FunctionError(
            f"function '{config.name}' is not row-wise: node {why}, so a row's result would depend on its batch",
            hint="export the model for inference, or set 'config: {row_wise: force}' to score one row at a time (slow)",
            location=config.location,
        )
    warnings.append(f"scored one row at a time ({why})")
    return False


def _publish(config: FunctionConfig, parts: _Parts, family: str, cache_dir: Path) -> Record:
    """Serialise, hash, name the folder by the digest."""
    record = replace(parts.record, content=_hashes(parts))
    record = replace(record, digest=record.digest_for(config, family))

    def fill(folder: Path) -> None:
        _write_model(parts.model, folder)
        if parts.tokenizer is not None:
            (folder / TOKENIZER_FILE).write_bytes(parts.tokenizer)
        (folder / CONTRACT).write_bytes(dump(record.to_json()))

    return replace(record, files=publish_folder(cache_dir, record.digest, fill))


def _hashes(parts: _Parts) -> Mapping[str, str]:
    """Of the prepared model, tensor by tensor where it is too big to serialise at once, and of the tokenizer."""
    found = {"model": _model_hash(parts.model)}
    if parts.tokenizer is not None:
        found["tokenizer"] = hashlib.sha256(parts.tokenizer).hexdigest()
    return found


def _model_hash(model: onnx.ModelProto) -> str:
    if model.ByteSize() <= _INLINE_LIMIT:
        return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    digest = hashlib.sha256()
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(model)
    for tensor in artifact.tensors(skeleton):
        digest.update(tensor.name.encode() + b"\0" + hashlib.sha256(tensor.raw_data).digest())
        tensor.ClearField("raw_data")
    digest.update(skeleton.SerializeToString(deterministic=True))
    return digest.hexdigest()


def _write_model(model: onnx.ModelProto, folder: Path) -> None:
    if model.ByteSize() <= _INLINE_LIMIT:
        (folder / MODEL_FILE).write_bytes(model.SerializeToString(deterministic=True))
        return
    onnx.save_model(model, str(folder / MODEL_FILE), save_as_external_data=True, location=DATA_FILE)
