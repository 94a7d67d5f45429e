"""A migration from one vCenter to another: what has to be so on both sides, and what the source's vCenter is told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from novacron.errors import NetworkNotFoundError, NovaCronError
from novacron.records.vm import VM
from novacron_vmware.placement import backing, find_placement, find_store
from novacron_vmware.records import apply_tags
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec
    from novacron_vmware.connection import VMwareConnection


def failures(here: VMwareConnection, there: VMwareConnection, record: VM, name: str, spec: MigrationSpec) -> Iterator[str]:
    """Yield what keeps a VM from going to another vCenter, named `name`."""
    for connection, host in ((here, here.name), (there, name)):
        if connection.is_esxi:
            yield f"{host} is a single ESXi, and only vCenters hand VMs over to each other"
    if spec.storage != "copy":
        yield "two vCenters share no disks for NovaCron: say storage='copy'"
    if there.inventory.taken("", record.id):
        yield f"a VM with the UUID {record.id} is already on {name}"
    known = {read["name"] for _, read in there.collect(vim.Network, ["name"])}
    for network in sorted({nic.network for nic in record.nics or () if nic.network} - known):
        yield f"{name} has no network {network!r}"
    with suppress(NovaCronError):
        find_placement(there, record.name, memory=record.memory_bytes)
        return
    yield f"{name} has no node that could run {record.name!r}"


def relocation(here: VMwareConnection, there: VMwareConnection, thing: Any, record: VM, spec: MigrationSpec) -> Any:
    """Return where the VM is to be, with whom to speak there, and its NICs on the networks that are called the same there.

    The other vCenter is named by its address as this connection uses it, and trusted by its certificate's thumbprint.
    """
    place = find_placement(there, record.name, node=spec.node, memory=record.memory_bytes)
    _, store = find_store(there, "default")
    host, port = there.address
    digest = hashlib.sha1(there.session.certificate(), usedforsecurity=False).hexdigest().upper()
    service = vim.ServiceLocator(
        instanceUuid=there.content.about.instanceUuid,
        url=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        credential=there.session.credential(),
        sslThumbprint=":".join(re.findall("..", digest)),
    )
    return vim.vm.RelocateSpec(
        service=service,
        host=place.able,
        pool=place.pool,
        folder=place.folder,
        datastore=store,
        deviceChange=list(_plugged(here, there, thing, record)),
    )


def _plugged(here: VMwareConnection, there: VMwareConnection, thing: Any, record: VM) -> Iterator[Any]:
    devices = here.read(thing, ["config.hardware.device"]).get("config.hardware.device") or ()
    cards = [device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    for card, nic in zip(cards, record.nics or (), strict=True):
        if not nic.network:
            raise NetworkNotFoundError(f"the NIC {nic.mac} of {record.name!r} is on no network", resource=record.name)
        card.backing = backing(there, nic.network)
        yield vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)


def arrived(there: VMwareConnection, record: VM) -> dict[str, Any]:
    """Let the VM have its tags there too: vSphere's are not handed over. Returns what went wrong, for the report: the VM is there."""
    try:
        apply_tags(there, there.inventory.find(record.id), record.name, record.tags or ())
    except NovaCronError as error:
        return {"tags_lost": str(error)}
    return {}


__all__ = ["arrived", "failures", "relocation"]
