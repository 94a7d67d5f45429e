"""Who asks for an operation, and who carries it out."""

from __future__ import annotations

import os

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """The actor who asks for an operation. The executor carries it out for the actor; None when both are the same.

    Example:
        >>> Identity("svc").acting_for("ann")
        Identity(actor='ann', executor='svc')
        >>> Identity("ann").acting_for("ann")
        Identity(actor='ann', executor=None)
    """

    actor: str
    executor: str | None = None

    @classmethod
    def of_process(cls) -> Identity:
        """Return the user whose process this is: the name of the process's user ID. Environment variables are not used."""
        return cls(user_of_process())

    def acting_for(self, actor: str) -> Identity:
        """Return the identity for calls that this identity carries out because `actor` asked for them."""
        executor = self.executor or self.actor
        return Identity(actor, None if executor == actor else executor)

    def __str__(self) -> str:
        return self.actor if self.executor is None else f"{self.actor} (executed by {self.executor})"


def user_of_process() -> str:
    """Return the name of the user ID of this process, or the number if the system has no name for it."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError, AttributeError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"


__all__ = ["Identity", "user_of_process"]
