"""functions/*.yml → FunctionConfig (design 1.1). Artifacts are named here and opened elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sqlinfer import types
from sqlinfer.errors import Location, ProjectError, SqlinferError, did_you_mean
from sqlinfer.project import files
from sqlinfer.project import function_schema as schema
from sqlinfer.project.jinja import Engine
from sqlinfer.project.strings import render_values
from sqlinfer.project.validation import validate
from sqlinfer.project.values import FunctionConfig, ImageConfig, ReturnField, TokenizerConfig
from sqlinfer.project.yamlfile import Keys, YamlFile, read_yaml
from sqlinfer.spec.function import Argument, OnNull
from sqlinfer.storage import Access, is_url

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("path",), "torch": ("entrypoint",), "sklearn": (), "xgboost": ("path",), "lightgbm": ("path",),
    "catboost": ("path",), "mlflow": ("uri",), "huggingface": ("path",), "python": ("entrypoint",),
}  # fmt: skip
_OWN_GRAPH = frozenset({"onnx", "torch"})
"""Sources whose graph is all there is: no library answers for them."""
YAML = (".yml", ".yaml")
_TYPE = re.compile(r"[A-Za-z_][\w ]*(\([0-9, ]*\))?[A-Za-z ]*(\[[1-9]?[0-9]{0,17}\])*")
"""Named types with numbers in parentheses, and arrays of them."""
_LIMITS = {
    name: (0, 2**bits - 1) if name.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for bits, names in {
        8: "TINYINT UTINYINT",
        16: "SMALLINT USMALLINT",
        32: "INT UINTEGER",
        64: "BIGINT UBIGINT",
    }.items()
    for name in names.split()
}
_FETCHED = ("onnx", "sklearn", "xgboost", "lightgbm", "catboost", "huggingface")
"""Sources whose file or folder may lie in a bucket."""
_TRUST = re.compile(r"^(sha256:)?[0-9a-fA-F]{64}$")


def load_functions(paths: Sequence[Path], root: Path, engine: Engine, context: Mapping[str, Any],
                   dialect: str = "duckdb") -> dict[str, FunctionConfig]:  # fmt: skip
    """Every enabled function of the yml files below ``paths``, by name."""
    found: dict[str, FunctionConfig] = {}
    for path in files.found(paths, root, YAML):
        for function in read_functions(path, engine, context, dialect):
            twin = next((f for name, f in found.items() if name.casefold() == function.name.casefold()), None)
            if twin is not None:
                raise ProjectError(f"duplicate function '{function.name}'", hint=f"also declared at {twin.location}",
                                   location=function.location)  # fmt: skip
            found[function.name] = function
            tokenizer = function.tokenizer.path if function.tokenizer else None
            for one in (function.path, function.weights, tokenizer, function.sample_inputs, function.expected,
                        *function.files):  # fmt: skip
                if isinstance(one, Path):
                    files.refuse_links_out(one, root, function.location)
    enabled = {name: function for name, function in found.items() if function.enabled}
    _refuse_unknown_challengers(enabled)
    return enabled


def read_functions(path: Path, engine: Engine, context: Mapping[str, Any], dialect: str) -> list[FunctionConfig]:
    file = read_yaml(path)
    if file.data is None:
        return []
    data = render_values(file.data, (), file, engine, context)
    props = validate(schema.FunctionsFile, file, data)
    return [
        _function(function, file, ("functions", index), dialect) for index, function in enumerate(props.functions or ())
    ]


def _function(props: schema.FunctionProps, file: YamlFile, keys: Keys, dialect: str) -> FunctionConfig:
    assert file.path is not None
    folder = file.path.parent.absolute()
    arguments = _arguments(props, file, keys, dialect)
    names = [argument.name for argument in arguments]
    model = props.model
    _source_keys(props, file, keys)
    _paths(props, file, keys)
    declared, returns = props.returns, _returns(props.returns, file, (*keys, "returns"), dialect)
    tokenizer, image = _tokenizer(props, file, keys, names, folder), _image(props, file, keys, names)
    settings = props.config
    return FunctionConfig(
        name=props.name, folder=folder, location=file.locate((*keys, "name"), value=True),
        description=props.description, source=model.source,
        path=None if _is_remote(model.path) else _resolved(folder, model.path),
        remote=model.path if _is_remote(model.path) else None, sha256=model.sha256, uri=model.uri,
        tracking_uri=_either(props, "tracking_uri", file, keys),
        registry_uri=_either(props, "registry_uri", file, keys),
        entrypoint=model.entrypoint, weights=_resolved(folder, model.weights), trust=model.trust,
        sample_inputs=_sample(folder, model.sample_inputs), inputs=_inputs(model, file, keys, names),
        files=tuple(path for one in model.files if (path := _resolved(folder, one))), packages=tuple(model.packages),
        runtime=_runtime(props, file, keys), expected=_resolved(folder, model.expected),
        arguments=arguments,
        open_nulls=tuple(one.name for one in props.arguments if "on_null" not in one.model_fields_set),
        returns=returns, is_struct=bool(declared and declared.fields), tokenizer=tokenizer,
        image=image, batch_size=None if settings.batch_size == "auto" else settings.batch_size,
        device=settings.device, reuse=settings.reuse, on_invalid=settings.on_invalid or "null",
        precision=settings.precision, tolerance=settings.tolerance, row_wise=settings.row_wise,
        min_cosine=settings.min_cosine,
        isolation=settings.isolation, max_error_rate=settings.max_error_rate, cost=settings.cost,
        tags=tuple(dict.fromkeys((*props.tags, *settings.tags))), enabled=settings.enabled,
        meta={**(props.meta or {}), **settings.meta}, challenger=props.challenger or settings.challenger,
        challenged_at=_challenged_at(props, file, keys),
    )  # fmt: skip


def _challenged_at(props: schema.FunctionProps, file: YamlFile, keys: Keys) -> Location | None:
    """``challenger:`` may stand in the function or in its ``config:``."""
    inner, outer = props.config.challenger, props.challenger
    here = (*keys, "config", "challenger") if inner is not None else (*keys, "challenger")
    if inner is not None and outer is not None:
        raise file.error("'challenger' is given twice", here, hint="also beside 'model'")
    if props.name.casefold() == (inner or outer or "").casefold():
        raise file.error(f"'{props.name}' cannot be its own challenger", here, value=True)
    return None if inner is None and outer is None else file.locate(here, value=True)


def _refuse_unknown_challengers(functions: Mapping[str, FunctionConfig]) -> None:
    for function in functions.values():
        if function.challenger is not None and function.challenger not in functions:
            others = [name for name in functions if name != function.name]
            raise ProjectError(
                f"the challenger of '{function.name}' is '{function.challenger}', which is no enabled function",
                hint=did_you_mean(function.challenger, others) or "declare it under 'functions:', too",
                location=function.challenged_at,
            )


def _resolved(folder: Path, path: str | None) -> Path | None:
    return None if path is None else (folder / Path(path).expanduser()).absolute()


def _either(props: schema.FunctionProps, key: str, file: YamlFile, keys: Keys) -> str | None:
    """A key of ``source: mlflow`` that may stand under ``model:`` or ``config:``."""
    inner, outer = getattr(props.model, key), getattr(props.config, key)
    if inner is not None and outer is not None and inner != outer:
        raise file.error(f"{key} is given twice", (*keys, "config", key), value=True, hint="also under 'model'")
    found: str | None = inner if inner is not None else outer
    if found is not None and props.model.source != "mlflow":
        raise file.error(f"'{key}' is for source 'mlflow', not '{props.model.source}'",
                         (*keys, "model" if inner is not None else "config", key))  # fmt: skip
    return found


def _runtime(props: schema.FunctionProps, file: YamlFile, keys: Keys) -> Literal["onnx", "native"]:
    """``runtime:`` may stand under ``model:`` or ``config:``."""
    inner, outer = props.model.runtime, props.config.runtime
    if inner is not None and outer is not None and inner != outer:
        raise file.error(f"runtime is '{outer}' under 'config' and '{inner}' under 'model'",
                         (*keys, "config", "runtime"), value=True, hint="say it once")  # fmt: skip
    chosen = inner or outer or ("native" if props.model.source == "python" else "onnx")
    here = (*keys, "model" if inner is not None else "config", "runtime")
    if chosen == "native" and props.model.source in _OWN_GRAPH:
        raise file.error(f"runtime: source '{props.model.source}' has no library of its own that could predict", here,
                         value=True, hint="leave 'runtime' out")  # fmt: skip
    if chosen == "onnx" and props.model.source == "python":
        raise file.error("runtime: source 'python' is code and runs as it is", here, value=True,
                         hint="leave 'runtime' out")  # fmt: skip
    return chosen


def _paths(props: schema.FunctionProps, file: YamlFile, keys: Keys) -> None:
    named = [(key, getattr(props.model, key)) for key in ("path", "weights", "expected")]
    for key, text in [*named, *(("files", one) for one in props.model.files)]:
        if text is not None and ("\0" in text or not text.strip()):
            raise file.error(f"{key}: not the name of a file", (*keys, "model", key), value=True)
        if key == "path" and text is not None and is_url(text):
            _remote(props, text, file, (*keys, "model", key))
        elif text is not None and "://" in text:
            raise file.error(f"{key}: '{text}' is a URL; nothing is downloaded", (*keys, "model", key), value=True,
                             hint="copy the file into the project")  # fmt: skip


def _is_remote(path: str | None) -> bool:
    return path is not None and is_url(path)


def _remote(props: schema.FunctionProps, url: str, file: YamlFile, keys: Keys) -> None:
    try:
        Access.checked(url)
    except SqlinferError as error:
        raise file.error(f"path: {error.message}", keys, value=True,
                         hint="s3://, gs:// or az://, or copy the file into the project") from error  # fmt: skip
    if props.model.source not in _FETCHED:
        raise file.error(f"path: source '{props.model.source}' reads no URL", keys, value=True,
                         hint="copy the file into the project")  # fmt: skip


def _sample(folder: Path, text: str | None) -> str | Path | None:
    """``package.module:callable`` stays text, anything else is a file."""
    if text is None or re.match(r"^[\w.]+:\w+$", text):
        return text
    return _resolved(folder, text)


def _source_keys(props: schema.FunctionProps, file: YamlFile, keys: Keys) -> None:
    model = props.model
    for key in _NEEDS[model.source]:
        if getattr(model, key) is None:
            raise file.error(
                f"function '{props.name}': '{key}' is missing for source '{model.source}'", (*keys, "model")
            )
    if model.source == "sklearn" and model.path is None and model.entrypoint is None:
        raise file.error(f"function '{props.name}': source 'sklearn' needs 'path' or 'entrypoint'", (*keys, "model"))
    if model.entrypoint is not None and not re.match(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", model.entrypoint):
        raise file.error(f"entrypoint '{model.entrypoint}' is not of the form package.module:callable",
                         (*keys, "model", "entrypoint"), value=True)  # fmt: skip
    if model.trust is not None and not _TRUST.match(model.trust):
        raise file.error("trust must be the sha256 of the file (64 hex digits)", (*keys, "model", "trust"), value=True)
    if model.path is not None and model.entrypoint is not None and model.source != "torch":
        raise file.error(f"function '{props.name}': 'path' and 'entrypoint' exclude each other",
                         (*keys, "model", "entrypoint"))  # fmt: skip
    if model.expected is not None and model.source != "onnx":
        raise file.error(f"'expected' is for source 'onnx'; source '{model.source}' is compared with its own library",
                         (*keys, "model", "expected"))  # fmt: skip
    if model.source == "mlflow" and (model.path or model.entrypoint):
        raise file.error("source 'mlflow' takes 'uri', which may be the path of a folder",
                         (*keys, "model", "path" if model.path else "entrypoint"))  # fmt: skip
    for key in ("files", "packages"):
        if model.source != "python" and getattr(model, key):
            raise file.error(f"'{key}' is for source 'python', not '{model.source}'", (*keys, "model", key))
    if model.source != "torch" and model.weights is not None:
        raise file.error(f"'weights' is for source 'torch', not '{model.source}'", (*keys, "model", "weights"))


def _type(text: str, file: YamlFile, keys: Keys, dialect: str) -> str:
    try:
        if not _TYPE.fullmatch(text.strip()):  # the parser would take the beginning of it
            raise ProjectError(f"'{text}' is not a type that a function can take or give")
        return types.canonical(text, dialect)
    except ProjectError as error:
        raise file.error(
            error.message, keys, value=True, hint="for example integer, double, varchar, float[384]"
        ) from error


def _arguments(props: schema.FunctionProps, file: YamlFile, keys: Keys, dialect: str) -> tuple[Argument, ...]:
    seen: dict[str, int] = {}
    result = []
    for index, argument in enumerate(props.arguments):
        here = (*keys, "arguments", index)
        if argument.name.casefold() in seen:
            first = file.locate((*keys, "arguments", seen[argument.name.casefold()], "name")).line
            raise file.error(f"duplicate argument '{argument.name}'", (*here, "name"), value=True,
                             hint=f"first given at line {first}")  # fmt: skip
        seen[argument.name.casefold()] = index
        data_type = _type(argument.data_type, file, (*here, "data_type"), dialect)
        on_null, default = _on_null(argument, data_type, file, here, props.model.source)
        result.append(Argument(argument.name, data_type, on_null, default, argument.on_cast_error or "error"))
    return tuple(result)


def _on_null(argument: schema.ArgumentProps, data_type: str, file: YamlFile, keys: Keys,
             source: str) -> tuple[OnNull, float | int | str | bool | None]:  # fmt: skip
    value, here = argument.on_null, (*keys, "on_null")
    if value is None or value == "null":
        return "null", None
    if value == "error":
        return "error", None
    if value == "nan":
        text = types.is_text(data_type) and source not in _OWN_GRAPH
        if not (text or types.is_float(data_type) or types.is_array(data_type)):
            raise file.error(f"on_null: nan needs a floating-point argument, '{argument.name}' is {data_type}", here,
                             value=True)  # fmt: skip
        return "nan", None
    if isinstance(value, dict):
        default = validate(schema.OnNullDefault, file, value, here).default
        if types.is_numeric(data_type) and isinstance(default, str):
            raise file.error(f"the default of '{argument.name}' is text, its type is {data_type}", (*here, "default"),
                             value=True)  # fmt: skip
        low, high = _LIMITS.get(data_type, (None, None))
        if low is not None and high is not None and not (isinstance(default, str) or low <= default <= high):
            raise file.error(f"the default {default} of '{argument.name}' is out of range for {data_type}",
                             (*here, "default"), value=True)  # fmt: skip
        return "default", default
    hint = did_you_mean(str(value), ("null", "error", "nan")) if isinstance(value, str) else None
    raise file.error(
        f"on_null: '{value}' is not one of null, error, nan, {{default: value}}", here, value=True, hint=hint
    )


def _returns(props: schema.ReturnsProps | None, file: YamlFile, keys: Keys, dialect: str) -> tuple[ReturnField, ...]:
    """The declared outputs; none where nothing is said of them, then the graph's are taken."""
    if props is None or not props.model_fields_set - {"description"}:
        return ()
    struct = (props.data_type or "").strip().lower() == "struct"
    if props.fields is None:
        if struct:
            raise file.error("data_type: struct needs 'fields'", (*keys, "data_type"))
        return (_field("value", props, file, keys, dialect),)
    if props.data_type is not None and not struct:
        raise file.error(f"'fields' needs data_type: struct, not '{props.data_type}'", (*keys, "data_type"), value=True)
    if not props.fields:
        raise file.error("'fields' is empty", (*keys, "fields"))
    seen: set[str] = set()
    for index, one in enumerate(props.fields):
        if one.name.casefold() in seen:
            raise file.error(f"duplicate field '{one.name}'", (*keys, "fields", index, "name"), value=True)
        seen.add(one.name.casefold())
    return tuple(_field(one.name, one, file, (*keys, "fields", i), dialect) for i, one in enumerate(props.fields))


def _field(name: str, props: schema.ReturnProps, file: YamlFile, keys: Keys, dialect: str) -> ReturnField:
    data_type = None if props.data_type is None else _type(props.data_type, file, (*keys, "data_type"), dialect)
    if props.index is not None and props.index < 0:
        raise file.error("index counts from 0", (*keys, "index"), value=True)
    if props.argmax and props.index is not None:
        raise file.error("'argmax' and 'index' exclude each other", (*keys, "argmax"))
    own = props.labels is True
    if own and (props.index is not None or props.key is not None or props.argmax):
        raise file.error("'labels: true' takes what 'predict' gives; 'index', 'key' and 'argmax' are for probabilities",
                         (*keys, "labels"))  # fmt: skip
    labels = tuple(props.labels) if props.labels is not None and props.labels is not True else None
    return ReturnField(name, data_type, props.output, props.index, props.key, labels, own, props.activation,
                       props.pooling, props.normalize, props.argmax, file.locate(keys))  # fmt: skip


def _inputs(model: schema.ModelSource, file: YamlFile, keys: Keys, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    for name, arguments in (model.inputs or {}).items():
        for index, argument in enumerate(arguments):
            if names and argument not in names:  # left out: the model knows them, when it is prepared
                here = (*keys, "model", "inputs", name, index)
                raise file.error(f"input '{name}' names the unknown argument '{argument}'", here, value=True,
                                 hint=did_you_mean(argument, names))  # fmt: skip
    return {name: tuple(arguments) for name, arguments in (model.inputs or {}).items()}


def _one_of(props: schema.FunctionProps, key: str, file: YamlFile, keys: Keys) -> tuple[Any, Keys]:
    """``tokenizer:`` and ``image:`` may stand in the function or in its ``model:``."""
    outer, inner = getattr(props, key), getattr(props.model, key)
    if outer is not None and inner is not None:
        raise file.error(f"'{key}' is given twice", (*keys, key), hint="also under 'model'")
    return (inner, (*keys, "model", key)) if inner is not None else (outer, (*keys, key))


def _known_argument(name: str | None, names: Sequence[str], file: YamlFile, keys: Keys) -> None:
    if names and name is not None and name not in names:
        here = keys if isinstance(keys[-1], int) else (*keys, "argument")
        raise file.error(f"unknown argument '{name}'", here, value=True, hint=did_you_mean(name, names))


def _tokenizer(props: schema.FunctionProps, file: YamlFile, keys: Keys, names: Sequence[str],
               folder: Path) -> TokenizerConfig | None:  # fmt: skip
    given, here = _one_of(props, "tokenizer", file, keys)
    if given is None:
        return None
    if given.argument is not None and given.arguments is not None:
        raise file.error("'argument' and 'arguments' exclude each other", (*here, "argument"))
    _known_argument(given.argument, names, file, here)
    for index, name in enumerate(given.arguments or ()):
        _known_argument(name, names, file, (*here, "arguments", index))
    texts = [given.argument] if given.argument is not None else [*(given.arguments or ())]
    if len(set(texts)) < len(texts):
        raise file.error(f"'{texts[0]}' is given twice", (*here, "arguments"), value=True)
    path = _resolved(folder, given.path)
    assert path is not None
    first, second = (*texts, None, None)[:2]
    return TokenizerConfig(path, first, given.max_length, second, given.padding)


def _image(props: schema.FunctionProps, file: YamlFile, keys: Keys, names: Sequence[str]) -> ImageConfig | None:
    given, here = _one_of(props, "image", file, keys)
    if given is None:
        return None
    _known_argument(given.argument, names, file, here)
    size = [given.size, given.size] if isinstance(given.size, int) else given.size
    if size is not None and (len(size) != 2 or min(size) < 1 or max(size) > 16_384):
        raise file.error("size must be [height, width], each from 1 to 16384", (*here, "size"), value=True)
    if given.mean == [] or given.std == []:
        raise file.error("one number for all channels, or one for each", (*here, "std" if given.mean else "mean"),
                         value=True)  # fmt: skip
    if 0 in (given.std or ()):
        raise file.error("std must not be 0", (*here, "std"), value=True)
    if given.resize_size is not None and given.resize == "exact" and given.crop is None:
        raise file.error("'resize_size' needs 'resize: shortest' or 'crop: center'", (*here, "resize_size"))
    if given.resize_size is not None and size is not None and given.resize_size < max(size):
        raise file.error(f"resize_size {given.resize_size} is less than the size {max(size)} that is cropped from it",
                         (*here, "resize_size"), value=True)  # fmt: skip
    return ImageConfig(
        given.argument, None if size is None else (size[0], size[1]), tuple(given.mean or (0.0,)),
        tuple(given.std or (1.0,)), given.layout, given.resize, given.resize_size, given.crop, given.resample,
    )  # fmt: skip
