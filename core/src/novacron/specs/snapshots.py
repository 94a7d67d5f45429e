"""A snapshot as asked for."""

from __future__ import annotations

from typing import Literal

from novacron.specs.spec import Name, Spec


class SnapshotSpec(Spec):
    """A snapshot: with the running VM's memory or without, quiesced through the guest agent or not.

    `memory` None keeps the memory of a running VM where the driver can. `kind` None lets the driver choose.
    """

    name: Name
    description: str = ""
    memory: bool | None = None
    quiesce: bool = False
    kind: Literal["internal", "external"] | None = None


__all__ = ["SnapshotSpec"]
