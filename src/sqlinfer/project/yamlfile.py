"""A YAML file → plain values plus the place of every key and value. Safe: plain tags only, bounded size."""

from __future__ import annotations

import io
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sqlinfer.errors import Location, ProjectError
from sqlinfer.project.pieces import copied, current, digest
from sqlinfer.project.witness import seen

MAX_BYTES = 10_000_000
MAX_NODES = 500_000
"""Values after aliases are expanded; a bomb of nested aliases passes this at once."""
MAX_DEPTH = 100

Keys = tuple[str | int, ...]
Span = tuple[int, int]
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class YamlFile:
    path: Path | None
    text: str
    data: Any
    keys: Mapping[Keys, Span] = field(repr=False, default_factory=dict)
    values: Mapping[Keys, Span] = field(repr=False, default_factory=dict)

    def locate(self, keys: Sequence[str | int], *, value: bool = False) -> Location:
        """The place of a key (or its value); of the nearest parent where the path does not exist."""
        path = tuple(keys)
        while path:
            spans = (self.values, self.keys) if value else (self.keys, self.values)
            for span in (spans[0].get(path), spans[1].get(path)):
                if span is not None:
                    return Location.in_source(self.text, *span, path=self.path)
            path = path[:-1]
        return Location.in_source(self.text, 0, 1, path=self.path) if self.text else Location(self.path, 1)

    def error(self, message: str, keys: Sequence[str | int], *, value: bool = False, hint: str | None = None,
              kind: type[ProjectError] = ProjectError) -> ProjectError:  # fmt: skip
        return kind(message, hint=hint, location=self.locate(keys, value=value))


def read_text(path: Path, kind: type[ProjectError] = ProjectError, limit: int = MAX_BYTES) -> str:
    """The text of a project file, without its BOM, lines ended by ``\\n``."""
    where = Location(path)
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise kind(f"{path.name} is not a regular file", location=where)
        if info.st_size > limit:
            raise kind(f"{path.name} is larger than {limit // 1_000_000} MB", location=where)
        raw = path.read_bytes()
        for witness in seen():
            witness.read(path, raw)
    except OSError as error:
        raise kind(f"cannot read {path.name}: {error.strerror or error}", location=where) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise kind(
            f"{path.name} is not UTF-8 (byte 0x{raw[error.start]:02x})",
            hint="save the file as UTF-8",
            location=Location(path, line),
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_yaml(path: Path, kind: type[ProjectError] = ProjectError) -> YamlFile:
    text, pieces = read_text(path, kind), current()
    if pieces is None or kind is not ProjectError:  # profiles hold secrets
        return parse_yaml(text, path, kind)
    key = digest("yaml", text)
    known = pieces.find(key)
    if known is not None:
        return YamlFile(path, text, copied(known["data"]), _spans(known["keys"]), _spans(known["values"]))
    file = parse_yaml(text, path, kind)
    if _is_json(file.data):
        told = {name: [[*keys, *span] for keys, span in spans.items()]
                for name, spans in (("keys", file.keys), ("values", file.values))}  # fmt: skip
        pieces.keep(key, {"data": file.data, **told})
    return file


def _spans(told: list[list[Any]]) -> dict[Keys, Span]:
    return {tuple(one[:-2]): (one[-2], one[-1]) for one in told}


def _is_json(value: Any) -> bool:
    """Whether JSON gives the value back as it is."""
    if type(value) is dict:
        return all(type(key) is str and _is_json(inner) for key, inner in value.items())
    if type(value) is list:
        return all(map(_is_json, value))
    return value is None or type(value) in (str, int, float, bool)


def parse_yaml(text: str, path: Path | None = None, kind: type[ProjectError] = ProjectError) -> YamlFile:
    """Parse one document. Raises ``kind`` with the place for anything that is not plain, safe YAML."""
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        index = mark.index if mark is not None else 0
        what = error.problem or error.context or "cannot be read"
        hint = "indent with spaces" if "\\t" in what else None
        where = Location.in_source(text, index, index + 1, path=path)
        raise kind(f"not valid YAML: {what}", hint=hint, location=where) from error
    except RecursionError as error:
        raise kind("not valid YAML: nested too deeply", location=Location(path, 1)) from error
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError, AssertionError, ArithmeticError) as error:
        # the reader has no error of its own for unknown versions, odd escapes and the like
        what = "it cannot be read" if isinstance(error, LookupError) else str(error).split("\n", 1)[0]
        raise kind(f"not valid YAML: {what}", location=Location(path, 1)) from error
    builder = _Builder(text, path, kind, yaml)
    data = builder.build(root, (), 0) if root is not None else None
    return YamlFile(path, text, data, builder.keys, builder.values)


class _Builder:
    """Composed nodes → values; records spans. Ours rather than ruamel's constructor, to be sure what is accepted."""

    def __init__(self, text: str, path: Path | None, kind: type[ProjectError], yaml: YAML) -> None:
        self.text, self.path, self.kind = text, path, kind
        self.scalars = yaml.constructor
        self.keys: dict[Keys, Span] = {}
        self.values: dict[Keys, Span] = {}
        self.count = 0

    def fail(self, message: str, node: Node, hint: str | None = None) -> ProjectError:
        where = Location.in_source(self.text, *self.span(node), path=self.path)
        return self.kind(message, hint=hint, location=where)

    @staticmethod
    def span(node: Node) -> Span:
        return node.start_mark.index, node.end_mark.index

    def build(self, node: Node, keys: Keys, depth: int) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise self.fail("too many values once aliases are expanded", node)
        if depth > MAX_DEPTH:
            raise self.fail(f"nested more than {MAX_DEPTH} deep", node)
        self.values[keys] = self.span(node)
        if isinstance(node, ScalarNode):
            return self.scalar(node)
        if isinstance(node, SequenceNode) and str(node.tag) == _TAG + "seq":
            return [self.build(item, (*keys, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, MappingNode) and str(node.tag) == _TAG + "map":
            return self.mapping(node, keys, depth)
        raise self.fail(f"the tag {node.tag} is not allowed", node, "only plain YAML values are read")

    def mapping(self, node: MappingNode, keys: Keys, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.value == "<<" and key_node.style is None:
                self.merge(value_node, keys, depth, merged)
                continue
            key = self.scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if key is None or isinstance(key, float):
                raise self.fail("a key must be a name", key_node)
            if key in result:
                first = Location.in_source(self.text, *self.keys[(*keys, key)], path=self.path)
                raise self.fail(f"duplicate key '{key}'", key_node, f"first given at line {first.line}")
            self.keys[(*keys, key)] = self.span(key_node)
            result[key] = self.build(value_node, (*keys, key), depth + 1)
        return merged | result

    def merge(self, node: Node, keys: Keys, depth: int, into: dict[Any, Any]) -> None:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        for part in reversed(parts):
            if not isinstance(part, MappingNode):
                raise self.fail("'<<' merges mappings only", part)
            into.update(self.build(part, keys, depth + 1))

    def scalar(self, node: ScalarNode) -> Any:
        tag = str(node.tag)
        text: str = node.value
        if tag == _TAG + "str":
            return text
        if tag == _TAG + "timestamp":
            return text
        if tag not in {_TAG + name for name in ("int", "float", "bool", "null")}:
            raise self.fail(f"the tag {tag} is not allowed", node, "only plain YAML values are read")
        if tag == _TAG + "null":
            return None
        try:
            return self.scalars.construct_object(node)
        except (ValueError, YAMLError, KeyError, OverflowError) as error:
            raise self.fail(f"'{text[:40]}' is not a value of type {tag.removeprefix(_TAG)}", node) from error
