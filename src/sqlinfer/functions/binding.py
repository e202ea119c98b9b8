"""Declared arguments + graph inputs → InputBindings, or one error that names both sides (design 1.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlinfer import types
from sqlinfer.errors import FunctionError, Location, did_you_mean
from sqlinfer.functions.graph import Port
from sqlinfer.spec.function import Argument, InputBinding, Layout

TOKEN_FIELDS = ("input_ids", "attention_mask", "token_type_ids")
_INTEGER_BITS = {
    "BOOLEAN": (0, 1), "TINYINT": (1, 7), "SMALLINT": (1, 15), "INT": (1, 31), "INTEGER": (1, 31), "BIGINT": (1, 63),
    "UTINYINT": (0, 8), "USMALLINT": (0, 16), "UINTEGER": (0, 32), "UBIGINT": (0, 64),
}  # fmt: skip
_ELEMENT_BITS = {
    "int8": (1, 7), "int16": (1, 15), "int32": (1, 31), "int64": (1, 63),
    "uint8": (0, 8), "uint16": (0, 16), "uint32": (0, 32), "uint64": (0, 64),
}  # fmt: skip
_FLOAT_ELEMENTS = frozenset({"float", "double", "float16"})


@dataclass(frozen=True, slots=True)
class Declared:
    """What the declaration says about the inputs."""

    function: str
    arguments: tuple[Argument, ...]
    inputs: Mapping[str, tuple[str, ...]]
    text_arguments: tuple[str, ...] = ()
    """One, or two for a model that reads pairs of texts."""
    image_argument: str | None = None
    max_tokens: int | None = None
    """``max_length:`` of the tokenizer, where the declaration says it."""
    row_wise_forced: bool = False
    location: Location | None = None

    def error(self, message: str, ports: Sequence[Port], hint: str | None = None) -> FunctionError:
        """``message`` with both sides under it."""
        arguments = ", ".join(f"{a.name} {a.data_type}" for a in self.arguments) or "none"
        inputs = ", ".join(map(str, ports)) or "none"
        text = f"function '{self.function}': {message}\n  arguments declared: {arguments}\n  graph inputs: {inputs}"
        return FunctionError(text, hint=hint, location=self.location)


def bind(declared: Declared, ports: Sequence[Port]) -> tuple[InputBinding, ...]:
    """One binding per graph input, in the graph's order.

    Raises:
        FunctionError: count, rank, element type, width or a name does not fit.
    """
    binder = _Binder(declared, tuple(ports))
    found = binder.run()
    return tuple(found[port.name] for port in ports)


class _Binder:
    """Takes ports and arguments off two lists, rule by rule; what is left over at the end is an error."""

    def __init__(self, declared: Declared, ports: tuple[Port, ...]) -> None:
        self.declared, self.ports = declared, ports
        self.by_name = {a.name.casefold(): a for a in declared.arguments}
        self.open_ports = list(ports)
        self.open_arguments = list(declared.arguments)
        self.found: dict[str, InputBinding] = {}

    def run(self) -> dict[str, InputBinding]:
        for port in self.ports:
            self._check_port(port)
        self._explicit()
        self._tokens()
        self._image()
        if not self._named():
            self._single()
        if self.open_ports or self.open_arguments:
            raise self._left_over()
        return self.found

    def _check_port(self, port: Port) -> None:
        if not port.is_tensor:
            raise self.error(f"graph input '{port.name}' is no tensor", "only tensor inputs can be fed from SQL")
        batch = port.shape[0] if port.shape else None
        if port.rank == 0:
            raise self.error(f"graph input '{port.name}' is a scalar: it has no batch axis", _DYNAMIC_HINT)
        if isinstance(batch, int) and not (batch == 1 and self.declared.row_wise_forced):
            raise self.error(f"graph input '{port.name}' has a fixed batch of {batch}", _DYNAMIC_HINT)

    def _explicit(self) -> None:
        names = {port.name: port for port in self.ports} | {p.name.casefold(): p for p in reversed(self.ports)}
        for name, wanted in self.declared.inputs.items():
            port = names.get(name) or names.get(name.casefold())
            if port is None:
                hint = did_you_mean(name, [p.name for p in self.ports])
                raise self.error(f"'inputs:' names '{name}', which the graph does not have", hint)
            self._take(port, [self._argument(port, item) for item in wanted])

    def _argument(self, port: Port, name: str) -> Argument:
        found = self.by_name.get(name.casefold())
        if found is None:
            hint = did_you_mean(name, [a.name for a in self.declared.arguments])
            raise self.error(f"'inputs:' feeds '{port.name}' from '{name}', which is not an argument", hint)
        return found

    def _tokens(self) -> None:
        arguments = [self._special("tokenizer", name) for name in self.declared.text_arguments]
        if not arguments:
            return
        for argument in arguments:
            if not types.is_text(argument.data_type):
                raise self.error(f"the tokenizer's argument '{argument.name}' is {argument.data_type}, not varchar")
        ports = [p for p in self.open_ports if p.name in TOKEN_FIELDS]
        if not any(p.name == "input_ids" for p in ports):
            raise self.error("a tokenizer is declared, but the graph has no input 'input_ids'")
        widths = {p.width for p in ports}
        if len(widths) > 1:
            raise self.error("the graph's token inputs differ in their length", "export them with one dynamic axis")
        most = self.declared.max_tokens
        for port in ports:
            self._expect(port, port.rank in (2, None) and port.element_type in ("int64", "int32"), "[N,T] of integers")
            if most is not None and port.width is not None and most > port.width:
                raise self.error(
                    f"'max_length: {most}' is more than the {port.width} tokens that graph input '{port.name}' takes",
                    f"set 'max_length: {port.width}', or export the model with a dynamic second axis",
                )
            self._bind(port, "tokens", arguments, port.width, port.name)

    def _image(self) -> None:
        name = self.declared.image_argument
        if name is None:
            return
        argument = self._special("image", name)
        if argument.data_type != "BLOB" and not types.is_text(argument.data_type):
            raise self.error(
                f"the image argument '{name}' is {argument.data_type}; it must be blob, or varchar (a path)"
            )
        port = next((p for p in self.open_ports if p.rank == 4), None)
        if port is None and len(self.open_ports) == 1 and (self.open_ports[0].shape is None or not self._others(name)):
            port = self.open_ports[0]
        if port is None:
            raise self.error("an image is declared, but the graph has no input of rank 4 ([N,C,H,W] or [N,H,W,C])")
        self._bind(port, "image", (argument,), None)

    def _others(self, name: str) -> bool:
        return any(a.name.casefold() != name.casefold() for a in self.open_arguments)

    def _special(self, key: str, name: str) -> Argument:
        found = self.by_name.get(name.casefold())
        if found is None:
            hint = did_you_mean(name, [a.name for a in self.declared.arguments])
            raise self.error(f"'{key}:' names the argument '{name}', which is not declared", hint)
        return found

    def _named(self) -> bool:
        """One input per argument by name; all or none."""
        arguments = {a.name.casefold(): a for a in self.open_arguments}
        names = {p.name.casefold() for p in self.open_ports}
        if not self.open_ports or len(names) < len(self.open_ports) or names != set(arguments):
            return False
        for port in tuple(self.open_ports):
            self._take(port, [arguments[port.name.casefold()]])
        return True

    def _single(self) -> None:
        """One input left: a lone argument feeds it, or all numeric arguments are packed in declared order."""
        if len(self.open_ports) != 1 or not self.open_arguments:
            return
        port = self.open_ports[0]
        if len(self.open_arguments) > 1 and port.rank == 1:
            return
        self._take(port, list(self.open_arguments))

    def _take(self, port: Port, arguments: list[Argument]) -> None:
        if len(arguments) == 1 and types.is_array(arguments[0].data_type):
            self._array(port, arguments[0])
        elif len(arguments) == 1 and (port.rank == 1 or port.shape is None):
            self._element(port, arguments[0])
            self._bind(port, "vector", arguments, None)
        elif len(arguments) == 1 and port.rank == 2 and port.width in (1, None):
            self._element(port, arguments[0])
            self._bind(port, "column", arguments, 1)
        else:
            self._packed(port, arguments)

    def _array(self, port: Port, argument: Argument) -> None:
        self._expect(port, port.rank in (2, None), f"[N,K], to be fed from the list argument '{argument.name}'")
        declared, actual = types.array_width(argument.data_type), port.width
        if declared is not None and actual is not None and declared != actual:
            raise self.error(
                f"argument '{argument.name}' has {declared} elements, graph input '{port.name}' takes {actual}",
                f"declare it as {types.element_type(argument.data_type).lower()}[{actual}]",
            )
        self._element(port, argument)
        self._bind(port, "array", (argument,), actual or declared)

    def _packed(self, port: Port, arguments: list[Argument]) -> None:
        names = ", ".join(a.name for a in arguments)
        self._expect(port, port.rank in (2, None), f"[N,F], to be packed from {names}")
        for argument in arguments:
            if not types.is_numeric(argument.data_type):
                raise self.error(
                    f"argument '{argument.name}' is {argument.data_type}: only numeric arguments can be packed into "
                    f"graph input '{port.name}'",
                    "give the graph one input per column, or feed text through an encoder in the graph",
                )
            self._element(port, argument)
        if port.width is not None and port.width != len(arguments):
            raise self.error(
                f"graph input '{port.name}' takes {port.width} features, {len(arguments)} "
                f"argument{'s' if len(arguments) != 1 else ''} would be packed into it ({names})",
                f"declare {port.width} arguments in the order of training, or spell 'inputs:'",
            )
        self._bind(port, "packed", arguments, len(arguments))

    def _element(self, port: Port, argument: Argument) -> None:
        if not fits(types.element_type(argument.data_type), port.element_type):
            raise self.error(
                f"argument '{argument.name}' is {argument.data_type}, graph input '{port.name}' takes "
                f"{port.element_type}",
                _element_hint(port.element_type),
            )

    def _expect(self, port: Port, holds: bool, wanted: str) -> None:
        if not holds:
            raise self.error(f"graph input '{port}' should be {wanted}")

    def _bind(
        self, port: Port, layout: Layout, arguments: Sequence[Argument], width: int | None, token: str | None = None
    ) -> None:
        if port.name in self.found:
            raise self.error(f"graph input '{port.name}' is bound twice")
        names = tuple(a.name for a in arguments)
        self.found[port.name] = InputBinding(port.name, layout, port.element_type, names, width, token)
        self.open_ports.remove(port)
        self.open_arguments = [a for a in self.open_arguments if a.name not in names]

    def _left_over(self) -> FunctionError:
        ports = ", ".join(f"'{p.name}'" for p in self.open_ports)
        arguments = ", ".join(f"'{a.name}'" for a in self.open_arguments)
        if not self.open_arguments:
            return self.error(f"nothing feeds graph input {ports}", _SPELL_HINT)
        if not self.open_ports:
            return self.error(f"argument {arguments} feeds no graph input", "remove it, or spell 'inputs:'")
        known = [p.name for p in self.open_ports]
        near = [did_you_mean(a.name, known) for a in self.open_arguments] if len(known) > 1 else []
        hint = next((h for h in near if h and h.startswith("did you mean")), None)
        return self.error(f"arguments {arguments} do not match graph inputs {ports} by name", hint or _SPELL_HINT)

    def error(self, message: str, hint: str | None = None) -> FunctionError:
        return self.declared.error(message, self.ports, hint)


_DYNAMIC_HINT = "export the model with a dynamic first axis (the batch), e.g. dynamic_axes or dynamic_shapes in torch"
_SPELL_HINT = "name the arguments like the inputs, or spell 'inputs: {<graph input>: [<arguments>]}' under 'model:'"


def fits(data_type: str, element_type: str) -> bool:
    """Whether every value of a SQL type can stand in a tensor of that element type (rounding to float allowed)."""
    if element_type == "string":
        return types.is_text(data_type)
    if element_type in _FLOAT_ELEMENTS:
        return types.is_numeric(data_type)
    if element_type == "bool":
        return data_type == "BOOLEAN"
    if element_type not in _ELEMENT_BITS or data_type not in _INTEGER_BITS:
        return False
    (signed, bits), (to_signed, to_bits) = _INTEGER_BITS[data_type], _ELEMENT_BITS[element_type]
    return bits <= to_bits and signed <= to_signed


def _element_hint(element_type: str) -> str | None:
    sql = types.ONNX_TO_SQL.get(element_type)
    return f"declare the argument as {sql.lower()}; it is cast in the warehouse" if sql else None
