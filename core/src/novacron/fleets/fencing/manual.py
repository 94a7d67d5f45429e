"""The fence agent `manual`: a person switches the node off and confirms it with `novacron host confirm-fenced NODE`."""

from __future__ import annotations

from collections.abc import Sequence

from novacron.errors import InvalidStateError
from novacron.records.fencing import FenceTarget, PowerStatus


class Manual:
    """A node is off when a person has confirmed it for the failover that waits for it."""

    name = "manual"
    required: Sequence[str] = ()
    optional: Sequence[str] | None = ()

    def off(self, target: FenceTarget) -> None:
        """Raise the error that asks a person, unless somebody has confirmed already."""
        if not target.confirmed_by:
            raise InvalidStateError(
                f"a person must switch {target.node} off",
                resource=target.node,
                hint=f"switch it off, then run `novacron host confirm-fenced {target.node}`",
            )

    def status(self, target: FenceTarget) -> PowerStatus:
        """Return "off" if a person has confirmed it, otherwise "unknown"."""
        return "off" if target.confirmed_by else "unknown"


__all__ = ["Manual"]
