"""The resources of a lab, and the actions that bring them about."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.text import printable_line

SECTIONS = {"pools": "pool", "images": "image", "volumes": "volume", "networks": "network", "vms": "vm"}
"""The sections of a lab file, in the order in which their resources are created, and the kind of each."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that the lab shall have.

    Attributes:
        kind: "pool", "image", "volume", "network" or "vm".
        name: its name.
        host: the name of its host; None for the host of the lab.
        fields: the fields of its spec.
        pool: the storage pool of a volume or image.
        running: whether a VM shall run; None leaves it as it is.
    """

    kind: str
    name: str
    host: str | None
    fields: dict[str, Any]
    pool: str = ""
    running: bool | None = None

    def __repr__(self) -> str:
        """Return its kind and name. The fields may contain secrets."""
        return printable_line(f"<{self.kind} {self.name}>")


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between the lab and its host, and what is done about it.

    Attributes:
        action: "create", "update", "start", "stop", "attach", "resize" or "delete"; "differs" if the difference can't be removed in
            place.
        kind: kind of the resource: "pool", "image", "volume", "network", "vm", "nic" or "disk".
        name: its name; of disks and NICs of a VM the target or MAC address.
        host: the name of the host.
        fields: the new values.
        before: the present values, and where the resource is (`vm`, `pool`).
        changes: the differences by field: old and new value, and when the new one applies.
    """

    action: str
    kind: str
    name: str
    host: str
    fields: dict[str, Any] = {}
    before: dict[str, Any] = {}
    changes: tuple[tuple[str, Any, Any, str], ...] = ()

    def __repr__(self) -> str:
        """Return what is done. The fields may contain secrets."""
        return f"<{self}>"

    def __str__(self) -> str:
        of = f" of {self.before['vm']}" if self.kind in ("nic", "disk") else ""
        return printable_line(f"{self.action} {self.kind} {self.name}{of} on {self.host}")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        changes = [{"field": field, "before": old, "after": new, "applies": when} for field, old, new, when in self.changes]
        return {"action": self.action, "kind": self.kind, "name": self.name, "host": self.host, "changes": changes}


class LabContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a lab consists of.

    Attributes:
        name: identifies the lab. Resources that were created for a lab of this name belong to it.
        host: the name of the host in the fleet; None for the host that is given to `plan`.
        resources: all resources, in the order in which they are created.
    """

    name: str
    host: str | None
    resources: tuple[Resource, ...]


__all__ = ["SECTIONS", "Action", "LabContent", "Resource"]
