"""The properties of an operation, besides its signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar

import pluggy

PROJECT = "novacron"
_mark = pluggy.HookspecMarker(PROJECT)
F = TypeVar("F", bound=Callable[..., Any])


class Operation(NamedTuple):
    """The properties of an operation, which policies, API, command line and docs use.

    Attributes:
        mandatory: every driver must implement it.
        idempotent: repeating it has no further effect, so it may be repeated after a lost connection.
        reads: it changes nothing.
        long: it runs as a job, with progress and cancellation.
        locks: the argument that names what it locks ("vm", "network", "filter", "template"; "spec" for a new VM's name), or None.
        statuses: statuses of the VM in which it is allowed; empty for all. In any other status it raises InvalidStateError. Operations
            of the guest agent raise GuestAgentUnavailableError instead. A crashed VM is treated as stopped.
        timeout: default deadline in seconds. After it the caller gets OperationTimeoutError.
        types: the declared type of each argument, as text.
        defaults: arguments that may be left out; only native operations have some.
        destroys: something is lost by it; a command asks before it.
    """

    name: str
    area: str
    arguments: tuple[str, ...]
    mandatory: bool = False
    idempotent: bool = False
    reads: bool = False
    long: bool = False
    locks: str | None = None
    statuses: tuple[str, ...] = ()
    timeout: float = 60.0
    summary: str = ""
    types: Mapping[str, str] = MappingProxyType({})
    defaults: Mapping[str, Any] = MappingProxyType({})
    destroys: bool = False


def operation(
    *,
    kind: Literal["read", "change", "job"],
    mandatory: bool = False,
    idempotent: bool | None = None,
    locks: str | None = None,
    statuses: str = "",
    timeout: float | None = None,
) -> Callable[[F], F]:
    """Mark a function as an operation of the contract: a first-result hook with these properties."""

    def mark(function: F) -> F:
        code = function.__code__
        marked: Any = function
        marked.operation = Operation(
            name=function.__name__,
            area=function.__module__.rpartition(".")[2],
            arguments=code.co_varnames[: code.co_argcount],
            mandatory=mandatory,
            idempotent=kind == "read" if idempotent is None else idempotent,
            reads=kind == "read",
            long=kind == "job",
            locks=locks,
            statuses=tuple(statuses.split()),
            timeout=timeout if timeout is not None else 3600.0 if kind == "job" else 60.0,
            summary=(function.__doc__ or "").partition("\n")[0],
            types={name: str(text) for name, text in function.__annotations__.items() if name != "return"},
        )
        return _mark(function, firstresult=True)

    return mark


__all__ = ["PROJECT", "Operation", "operation"]
