"""What the contract says of an operation besides its signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import pluggy

PROJECT = "novacron"
_mark = pluggy.HookspecMarker(PROJECT)
F = TypeVar("F", bound=Callable[..., Any])


class Operation(NamedTuple):
    """An operation's properties, that policies, API, command line and docs go by.

    Attributes:
        mandatory: every driver must offer it.
        idempotent: doing it again changes nothing more, so it may be repeated after a lost connection.
        reads: it changes nothing.
        long: it runs as a job, with progress and cancellation.
        locks: the argument naming what it needs alone ("vm"), or None.
        statuses: those of a VM in which it may be called, in any other it raises InvalidStateError (for the guest agent's
            operations GuestAgentUnavailableError); empty when it may always be. A crashed VM is as a stopped one.
        timeout: seconds after which the caller is told that it did not end, unless the caller says otherwise.
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
        )
        return _mark(function, firstresult=True)

    return mark


__all__ = ["PROJECT", "Operation", "operation"]
