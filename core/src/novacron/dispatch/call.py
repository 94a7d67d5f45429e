"""One operation under way, as policies see it."""

from __future__ import annotations

import time
from typing import Any

from novacron.hookspecs.operation import Operation
from novacron.identity import Identity
from novacron.jobs import Job


class Call:
    """An operation with its arguments, on a host, for somebody, until a deadline.

    Attributes:
        operation: the operation's properties.
        host: name of the host.
        resource: what it is done to (a VM's id or name), None for the host itself.
        arguments: all arguments of the hook but `job`.
        locked: what the lock policy holds meanwhile: a VM's id, however the caller named it; None when nothing is held.
        deadline: `time.monotonic()` at which the caller stops waiting.
        actor: who asked.
        executor: who executes it for the actor; the actor when that is the same.
        identity: both.
        job: the job of a long operation, otherwise None.
    """

    __slots__ = ("arguments", "deadline", "host", "identity", "job", "locked", "operation", "resource")

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

    @property
    def actor(self) -> str:
        """Who asked."""
        return self.identity.actor

    @property
    def executor(self) -> str:
        """Who executes it."""
        return self.identity.executor or self.identity.actor

    def remaining(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    def __repr__(self) -> str:
        return f"<Call {self.operation.name} {self.resource or ''} on {self.host} by {self.actor}>"


def resource_of(arguments: dict[str, Any]) -> str | None:
    """Return the name of what the arguments are about: a VM before a pool, a spec's name last."""
    for key in ("vm", "volume", "pool", "network", "template", "filter"):
        value = arguments.get(key)
        if value:
            return str(value)
    spec = arguments.get("spec")
    return getattr(spec, "name", None)


__all__ = ["Call", "resource_of"]
