"""Migration to another vCenter: the checks of both sides, and the RelocateSpec for the source's vCenter."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from novacron.errors import NetworkNotFoundError, NovaCronError
from novacron.records.vm import VM
from novacron_vmware.placement import DEFAULT, backing, find_placement, find_store
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


def relocation(here: VMwareConnection, there: VMwareConnection, thing: Any, record: VM, spec: MigrationSpec) -> Any:
    """Return where the VM is to be, with whom to speak there, and its NICs on the networks that are called the same there.

    The other vCenter is named by its address as this connection uses it, and trusted by its certificate's thumbprint.
    """
    native = {"folder": spec.folder} if spec.folder else {}
    place = find_placement(there, record.name, node=spec.node, memory=record.memory_bytes, native=native)
    _, store = find_store(there, spec.pool or DEFAULT, place.datacenter)
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
        deviceChange=list(rewired(here, there, thing, record, spec, place.datacenter)),
    )


def rewired(
    here: VMwareConnection, there: VMwareConnection, thing: Any, record: VM, spec: MigrationSpec, datacenter: Any
) -> Iterator[Any]:
    """Yield the changes that put a VM's NICs on networks of the destination: those of the same names, or those of `spec.networks`.

    Raises:
        NetworkNotFoundError: the destination has no such network, or a NIC is on none.
    """
    devices = here.read(thing, ["config.hardware.device"]).get("config.hardware.device") or ()
    cards = [device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    for card, nic in zip(cards, record.nics or (), strict=True):
        if not nic.network:
            raise NetworkNotFoundError(f"the NIC {nic.mac} of {record.name!r} is on no network", resource=record.name)
        card.backing = backing(there, spec.networks.get(nic.network, nic.network), datacenter)
        yield vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)


def arrived(there: VMwareConnection, record: VM) -> dict[str, Any]:
    """Let the VM have its tags there too: vSphere's are not handed over. Returns what went wrong, for the report: the VM is there."""
    try:
        apply_tags(there, there.inventory.find(record.id), record.name, record.tags or ())
    except NovaCronError as error:
        return {"tags_lost": str(error)}
    return {}


__all__ = ["arrived", "failures", "relocation", "rewired"]
