"""Which nodes call functions that have challengers, and the plans of both. In: what was compiled. Out: challenges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.catalog import ProjectCompiler
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import ProjectError, SqlinferError
from sqlinfer.project import FunctionConfig, Node
from sqlinfer.relation import fold
from sqlinfer.runner.challenging import Challenge
from sqlinfer.runner.inputs import row_key
from sqlinfer.spec.function import FunctionContract, PreparedFunction
from sqlinfer.spec.names import CHALLENGER

if TYPE_CHECKING:
    from sqlinfer.jobs.night import Night


def challenges(
    night: Night, compiler: ProjectCompiler, compiled: dict[str, CompiledNode | SqlinferError]
) -> dict[str, Challenge]:
    """By node. A challenger that could not take its champion's place is an error of the nodes that call it."""
    found = {}
    for unique_id, item in compiled.items():
        if isinstance(item, CompiledNode):
            try:
                challenge = _challenge(night, compiler, night.project.nodes[unique_id], item)
            except SqlinferError as error:
                compiled[unique_id] = error
                continue
            if challenge is not None:
                found[unique_id] = challenge
    return found


def _challenge(night: Night, compiler: ProjectCompiler, node: Node, item: CompiledNode) -> Challenge | None:
    called = dict.fromkeys(call.function for call in item.plan.calls)
    configs = night.functions.configs
    pairs = {name: config.challenger for name in called if (config := configs.get(name)) and config.challenger}
    if not pairs:
        return None
    from sqlinfer.jobs.impact import decision_of  # on use: few nodes have a challenger, and decisions are parsed

    champion, challenger = ", ".join(pairs), ", ".join(pairs.values())
    _refuse_taken(night, node, configs[next(iter(pairs))])
    try:
        functions = {name: _renamed(night.functions[other], name) for name, other in pairs.items()}
    except SqlinferError as error:
        return Challenge(champion, challenger, problem=error.message)
    for name in pairs:
        refuse_other_signature(configs[name], night.functions[name].contract, functions[name].contract)
    key = item.unique_key or row_key(node)
    if not key:
        return Challenge(champion, challenger, problem=f"{node.name} has no unique_key, by which rows are compared")
    try:
        contracts = {name: prepared.contract for name, prepared in functions.items()}
        plan = compiler.with_others(node, contracts, f"{node.unique_id}{CHALLENGER}")
        decision = decision_of(node, item.columns, key, item.plan)
    except SqlinferError as error:
        return Challenge(champion, challenger, problem=error.message)
    return Challenge(champion, challenger, key, plan, functions, decision.sql if decision else None)


def _renamed(prepared: PreparedFunction, name: str) -> PreparedFunction:
    return replace(prepared, contract=replace(prepared.contract, name=name))


def _refuse_taken(night: Night, node: Node, config: FunctionConfig) -> None:
    name = f"{node.relation.name}{CHALLENGER}"
    wanted = replace(node.relation, name=name).folded()
    other = next((one for one in night.project.nodes.values() if one.relation.folded() == wanted), None)
    if other is not None:
        raise ProjectError(
            f"'{other.name}' has the name of the table that compares '{node.name}' with its challenger",
            hint="rename it", location=config.challenged_at,
        )  # fmt: skip


def refuse_other_signature(config: FunctionConfig, champion: FunctionContract, challenger: FunctionContract) -> None:
    """Raises ProjectError where the two do not take or return the same: names, order and types."""
    for what, one, other in (
        ("takes", _arguments(champion), _arguments(challenger)),
        ("returns", _returns(champion), _returns(challenger)),
    ):
        if one != other:
            raise ProjectError(
                f"challenger '{config.challenger}' {what} ({_listed(other)}), '{config.name}' {what} ({_listed(one)})",
                hint="a challenger has the same arguments and returns as its champion: names, order and types",
                location=config.challenged_at,
            )


def _arguments(contract: FunctionContract) -> list[tuple[str, str]]:
    return [(fold(one.name), one.data_type) for one in contract.arguments]


def _returns(contract: FunctionContract) -> list[tuple[str, str]]:
    return [(fold(one.name), one.data_type) for one in contract.outputs]


def _listed(pairs: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind.lower()}" for name, kind in pairs)
