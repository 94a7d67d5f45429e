"""Reads stored flows and flow files. They are data: they can only name steps, flows and functions that are registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from novacron.conversion import convert
from novacron.errors import WorkflowError
from novacron.redaction import without_quotations
from novacron.store.encryption import KEY_NAME, unreadable
from novacron.workflow.composition import Workflow
from novacron.workflow.flows import Flows, default_flows
from novacron.workflow.functions import find_function
from novacron.workflow.kinds.registry import StepKinds, default_kinds
from novacron.workflow.nodes import FORMAT, AnyNode, StepNode, Stored, all_nodes
from novacron.workflow.references import check_name

LIST_STEPS = "`novacron flow steps` lists all with their arguments"


def read_flow(stored: Any, kinds: StepKinds | None = None, flows: Flows | None = None) -> Workflow:
    """Return the flow that plain values describe. Nothing is imported.

    A person may write `{"step": "snapshot", "name": "before"}` for a step, with the arguments and defaults that it has in
    `novacron.workflow.steps`, and `{"node": "flow", "name": ..., "arguments": {...}}` for a flow by name.

    Args:
        stored: the plain values.
        kinds: the step kinds that can be named; those of the default site when None.
        flows: the flows that can be named; those of the default site when None.

    Raises:
        WorkflowError: it is no flow, has another format, or a value in it is not allowed.
        InvalidSpecError: arguments of a step are wrong.
    """
    kinds = default_kinds() if kinds is None else kinds
    flows = default_flows() if flows is None else flows
    if not isinstance(stored, Mapping):
        raise WorkflowError(
            f"a flow is a mapping with `format` and `flow`, got {'nothing' if stored is None else type(stored).__name__}",
            hint="`novacron flow show STEP... -o yaml` writes such a file",
        )
    if stored.get("format") != FORMAT:
        raise WorkflowError(
            f"the flow has the format {stored.get('format')!r}, supported is {FORMAT}",
            hint=f"write `format: {FORMAT}` at the top",
        )
    try:
        _check_readable(stored)
        found = convert(_expanded(dict(stored), kinds, flows), Stored)
    except msgspec.ValidationError as error:
        raise WorkflowError(
            f"not a stored flow: {without_quotations(str(error))}", hint="compare it with `novacron flow show STEP... -o yaml`"
        ) from None
    except RecursionError:
        raise WorkflowError("the flow is nested too deeply", hint="split it into several flows") from None
    used, functions = {}, {}
    for node in all_nodes(found.flow):
        _check_values(node)
        for name in node.functions():
            if (function := find_function(name)) is not None:
                functions[name] = function
        if isinstance(node, StepNode) and (kind := _check_step(node, kinds)) is not None:
            used[node.kind] = kind
    return Workflow(found.flow, name=found.name, kinds=used, functions=functions)


def step_function(name: str, kinds: StepKinds | None = None) -> Callable[..., Workflow]:
    """Return a function that makes a flow of a step, by the name of its kind. Raises WorkflowError if there is no such step."""
    from novacron.workflow import steps

    typed, name = name, name.replace("-", "_")
    if name in steps.__all__:
        found: Callable[..., Workflow] = getattr(steps, name)
        return found
    try:
        kind = (kinds or default_kinds()).find(name)
    except WorkflowError as error:
        error.message = error.message.replace(repr(name), repr(typed))  # as it was typed, it may be the name of a VM
        raise
    return lambda **arguments: Workflow(StepNode(kind=name, arguments=kind.prepare(**arguments)), kinds={name: kind})


def _check_readable(stored: Any) -> None:
    if unreadable(stored):
        raise WorkflowError(
            "the flow has values that were encrypted with another key",
            hint=f"machines that share a database need the same secret {KEY_NAME!r}; see SECURITY.md",
        )


def _expanded(stored: Any, kinds: StepKinds, flows: Flows) -> Any:
    """Replace what a person writes for short by the nodes that it means."""
    if isinstance(stored, Mapping):
        if "step" in stored:
            return _step(dict(stored), kinds)
        if stored.get("node") == "flow":
            return _named_flow(stored, flows)
        if stored.get("node") == "step":
            return stored  # its arguments are values, not nodes
        return {key: _expanded(value, kinds, flows) for key, value in stored.items()}
    if isinstance(stored, list | tuple):
        return [_expanded(value, kinds, flows) for value in stored]
    return stored


def _named_flow(stored: Mapping[str, Any], flows: Flows) -> Any:
    strange = sorted(map(str, set(stored) - {"node", "name", "arguments"}))
    arguments = stored.get("arguments", {})
    if strange or not isinstance(stored.get("name"), str) or not isinstance(arguments, Mapping):
        raise WorkflowError(
            "not a stored flow: a flow by name has `name` and `arguments`", hint=f"got {', '.join(map(str, stored))}"
        )
    return flows[stored["name"]](**{str(name): value for name, value in arguments.items()}).as_dict()["flow"]


def _step(stored: dict[Any, Any], kinds: StepKinds) -> Any:
    name = str(stored.pop("step"))
    function = step_function(name, kinds)
    named = {str(key): value for key, value in stored.items()}
    first = positional(function, named)
    if wrong := misfit(function, first, named):
        raise WorkflowError(f"step {name}: {wrong}", hint=LIST_STEPS)
    try:
        made = function(*first, **named)
    except (AttributeError, TypeError, ValueError) as error:
        raise WorkflowError(f"step {name}: a value has a wrong type: {error}", hint=LIST_STEPS) from None
    return made.as_dict()["flow"]


def misfit(function: Callable[..., Any], first: Sequence[Any], named: Mapping[str, Any]) -> str:
    """Return why a function of a step can't be called with these arguments; "" if it can.

    Example:
        >>> from novacron.workflow import steps
        >>> misfit(steps.revert, [], {}), misfit(steps.revert, ["a"], {"force": True}), misfit(steps.stop, ["now"], {})
        ('name is missing', 'it has no force, it has name', 'it takes no value')
    """
    parameters = inspect.signature(function).parameters.values()
    plain = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters)
    if len(first) > len(plain) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        if not (names or any_name):
            return "it takes no value"
        wanted = f"{', '.join(names)} by name, as NAME=VALUE" if names else "NAME=VALUE"
        return f"{first[len(plain)]!r} has no name: give {wanted}"
    if unknown := [name for name in named if name not in names and not any_name]:
        return f"it has no {', '.join(unknown)}" + (f", it has {', '.join(names)}" if names else "; it has no arguments")
    given = {*named, *(p.name for p in plain[: len(first)])}
    required = [p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [name for name in required if name not in given]
    for name, value in named.items():
        kind = str(getattr(inspect.signature(function).parameters.get(name), "annotation", ""))
        if kind == "str" and not isinstance(value, str):
            return f"{name}: got {str(value)!r}, allowed: text; YAML needs quotes around it"
        if kind == "bool" and str(value).lower() not in ("true", "false"):
            return f"{name}: got {str(value)!r}, allowed: true or false"
    return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing" if missing else ""


def positional(function: Callable[..., Any], named: dict[str, Any]) -> list[Any]:
    """Take the arguments that can only be given by position out of `named`: those for `*names`, and all before them."""
    parameters = list(inspect.signature(function).parameters.values())
    several = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    if several not in named:
        return []
    values = named.pop(several)
    first = [named.pop(p.name) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in named]
    return [*first, *(values if isinstance(values, list | tuple) else [values])]


def _check_values(node: AnyNode) -> None:
    for field, value, allowed in node.problems():
        tag = type(node).__struct_config__.tag
        raise WorkflowError(f"{tag}: {field}: got {value}, allowed: {allowed}", hint='see docs/tutorial.md, "Ready-made flows"')


def _check_step(node: StepNode, kinds: StepKinds) -> Any:
    """Return the kind of a step, None if its code is not here: whoever runs the flow says so."""
    if node.name:
        check_name(node.name)
    try:
        kind = kinds.find(node.kind)
    except WorkflowError:
        return None
    try:
        kind.describe(node.arguments)
    except Exception as error:  # noqa: BLE001 - a kind of a plugin may raise anything
        raise WorkflowError(
            f"the step {node.kind!r} lacks an argument: {error}",
            hint=f"written as {{step: {node.kind}, ...}} it has its defaults",
        ) from None
    return kind


__all__ = ["misfit", "positional", "read_flow", "step_function"]
