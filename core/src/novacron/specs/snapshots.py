"""A snapshot as asked for."""

from __future__ import annotations

from typing import Literal

from novacron.specs.spec import Name, Spec


class SnapshotSpec(Spec):
    """A snapshot of a VM's disks, and of its memory if wanted.

    Attributes:
        name: Name of the snapshot.
        description: Your own text, of one or more lines.
        memory: Whether the memory of a running VM is saved too, so that a revert resumes it. Without it the memory is saved where
            the driver can do so.
        quiesce: Whether the guest agent flushes and freezes the guest's file systems first. The agent must run. Default: false.
        kind: "internal" stores the snapshot in the disk's own file, "external" in new files. Without it the driver chooses.
    """

    name: Name
    description: str = ""
    memory: bool | None = None
    quiesce: bool = False
    kind: Literal["internal", "external"] | None = None


__all__ = ["SnapshotSpec"]
