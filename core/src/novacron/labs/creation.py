"""Compares fields that no host reports, such as the bus of a disk, with what a resource was created with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from novacron.labs.comparison import Change, same

FIXED = {"firmware": "firmware", "arch": "arch", "machine": "machine"}
"""Fields of a VM that can't be changed, and where the record has them."""
NIC_FIELDS = (
    "network",
    "model",
    "link_up",
    "vlan",
    "filter",
    "isolated",
    "inbound_bytes_per_second",
    "outbound_bytes_per_second",
)
"""Fields of a NIC that are compared and changed in place."""
FIRST_BOOT = {"cloud_init", "start", "metadata"}
"""Fields of a VM that are used once, or that the lab itself adds to."""
READ = {
    "pool": {"type", "path"},
    "volume": {"format", "capacity"},
    "network": {
        "type",
        "bridge",
        "device",
        "cidr",
        "dhcp_start",
        "dhcp_end",
        "dhcp_hosts",
        "dns_hosts",
        "domain",
        "autostart",
    },
    "disk": {"size"},
    "nic": {*NIC_FIELDS, "bridge", "device"},
}
"""Fields that are read from the host and compared with it, by the kind of resource."""


def to_remember(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a new resource that can't be read from its host later."""
    if kind == "image":
        return {}
    return {name: value for name, value in fields.items() if name not in _read(kind)}


def changed_since(kind: str, fields: Mapping[str, Any], created: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the differences between what a lab says now and what a resource was created with. They can't be removed in place.

    Args:
        kind: the kind of the resource.
        fields: the fields that the lab gives now. Fields that it leaves out are not compared.
        created: what `to_remember` returned when the resource was created.
    """
    found: list[Change] = []
    for name, asked in to_remember(kind, fields).items():
        if kind == "vm" and name in ("disks", "nics"):
            found += _changed_devices(name, asked or (), created.get(name) or ())
        elif not same(before := created.get(name, _default(kind, name)), asked):
            found.append((name, before, asked, "never"))
    return tuple(found)


def _changed_devices(name: str, asked: Any, created: Any) -> list[Change]:
    """Compare the devices that the VM was created with by position. Others were attached later, with what the lab said then."""
    kind, found = name.removesuffix("s"), list[Change]()
    for number, (now, before) in enumerate(zip(asked, created, strict=False)):
        found += ((f"{name}.{number}.{field}", *values) for field, *values in changed_since(kind, now, before))
    return found


def _read(kind: str) -> set[str]:
    from novacron.specs import VMUpdate

    return {*VMUpdate.model_fields, *FIXED, *FIRST_BOOT} if kind == "vm" else READ[kind]


def _default(kind: str, name: str) -> Any:
    """Return what a field is if it is left out."""
    from pydantic_core import to_jsonable_python

    from novacron import specs

    classes: dict[str, Any] = {
        "pool": specs.StoragePoolSpec,
        "volume": specs.VolumeSpec,
        "network": specs.NetworkSpec,
        "vm": specs.VMSpec,
        "disk": specs.DiskSpec,
        "nic": specs.NICSpec,
    }
    return to_jsonable_python(classes[kind].model_fields[name].get_default(call_default_factory=True))


__all__ = ["FIXED", "NIC_FIELDS", "READ", "changed_since", "to_remember"]
