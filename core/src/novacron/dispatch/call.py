"""A running operation, as policies see it."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any

from novacron.hookspecs.operation import Operation
from novacron.identity import Identity
from novacron.jobs import Job
from novacron.text import printable_line

deadline: ContextVar[float | None] = ContextVar("novacron-deadline", default=None)
"""`time.monotonic()` at which the caller of the running change stops waiting for it; None outside of changes."""
held_locks: ContextVar[tuple[object, ...]] = ContextVar("novacron-held-locks", default=())
"""The locks that the running code holds with `vm.locked()`; see `novacron.dispatch.locks`."""


class Call:
    """A running operation: arguments, host, identity and deadline.

    Attributes:
        operation: the operation's properties.
        host: name of the host.
        resource: id or name of the resource, such as a VM; None for the host itself.
        arguments: all arguments of the hook except `job`.
        locked: what the lock policy holds: a VM's id, even if the caller used the name; None if nothing is locked.
        held: the locks that the caller holds with `vm.locked()`.
        deadline: `time.monotonic()` at which the caller stops waiting.
        actor: who requested the operation.
        executor: who runs it for the actor; equal to the actor if that is the same user.
        identity: actor and executor.
        job: the job of a long operation, otherwise None.
    """

    __slots__ = ("arguments", "deadline", "held", "host", "identity", "job", "locked", "operation", "resource")

    def __init__(
        self,
        operation: Operation,
        host: str,
        arguments: dict[str, Any],
        deadline: float,
        job: Job[Any] | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.operation, self.host, self.arguments, self.deadline, self.job = operation, host, arguments, deadline, job
        self.resource = resource_of(arguments)
        self.locked = self.resource if operation.locks else None
        self.identity = identity or Identity.of_process()
        self.held = held_locks.get()

    @property
    def actor(self) -> str:
        """Who requested the operation."""
        return self.identity.actor

    @property
    def executor(self) -> str:
        """Who runs it."""
        return self.identity.executor or self.identity.actor

    def remaining(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    def __repr__(self) -> str:
        return printable_line(f"<Call {self.operation.name} {self.resource or ''} on {self.host} by {self.actor}>")


def time_left() -> float | None:
    """Return the seconds until the caller stops waiting for the change that runs in this thread, at least 0 (for drivers).

    A driver that waits for something, and gives up before that, can say what it waited for. None outside of a change.
    """
    until = deadline.get()
    return None if until is None else max(0.0, until - time.monotonic())


def resource_of(arguments: dict[str, Any]) -> str | None:
    """Return the name of the resource in the arguments: a VM before a pool, the name in a spec last."""
    for key in ("vm", "volume", "pool", "network", "template", "filter"):
        value = arguments.get(key)
        if value:
            return str(value)
    spec = arguments.get("spec")
    return getattr(spec, "name", None)


__all__ = ["Call", "deadline", "held_locks", "resource_of", "time_left"]
