"""NICs of a VM: attach, detach, change, plug and unplug."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.nics import NIC
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import NICSpec, NICUpdate


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def nic_attach(vm: str, spec: NICSpec) -> NIC:
    """Give a VM a NIC, at once when it runs, and persistently."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running stopped")
def nic_detach(vm: str, nic: str) -> VM:
    """Take a NIC (by MAC address) from a VM."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def nic_update(vm: str, nic: str, spec: NICUpdate) -> NIC:
    """Change a NIC: network, filter, QoS (bytes per second), MTU.

    A driver changes the fields that were given (`spec.model_fields_set`) and nothing else. A field that it can't change raises
    InvalidStateError (not while the VM runs) or InvalidSpecError (never).
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def nic_link_set(vm: str, nic: str, up: bool) -> NIC:
    """Plug or unplug a NIC's cable."""
    raise NotImplementedError
