"""Copies VMs and templates."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from novacron.jobs import Job
from novacron_vmware.errors import translated
from novacron_vmware.placement import Placement
from novacron_vmware.records import FACTS_PATH, facts_of, facts_option
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

BASE = "novacron-base"
"""The name of the snapshot that linked clones share, taken when the VM has none."""


def clone(
    connection: VMwareConnection,
    thing: Any,
    source: str,
    name: str,
    *,
    linked: bool,
    job: Job[Any],
    template: bool = False,
    config: Any = None,
    place: Placement | None = None,
    facts: dict[str, Any] | None = None,
    customization: Any = None,
) -> Any:
    """Copy a VM or template under a new name and return vSphere's VM; a linked copy shares the disks of a snapshot."""
    read = connection.read(thing, ["snapshot", "resourcePool", "parent", FACTS_PATH])
    pool = read.get("resourcePool") or (place.pool if place else None)
    relocate = vim.vm.RelocateSpec(pool=place.pool if place else pool, host=place.node if place else None)
    wanted = vim.vm.CloneSpec(location=relocate, powerOn=False, template=template, customization=customization)
    with translated(source):
        if linked:
            base = read["snapshot"].currentSnapshot if read.get("snapshot") else None
            if base is None:
                base = connection.wait(
                    thing.CreateSnapshot_Task(BASE, f"linked clones of {source} begin here", False, False), resource=source
                )
            relocate.diskMoveType, wanted.snapshot = "createNewChildDiskBacking", base
        kept = {k: v for k, v in facts_of(read).items() if k in ("tags", "metadata")} if facts is None else facts
        wanted.config = config or vim.vm.ConfigSpec()
        wanted.config.instanceUuid = wanted.config.instanceUuid or str(uuid.uuid4())
        wanted.config.extraConfig = [*(wanted.config.extraConfig or ()), facts_option(kept)]
        folder = place.folder if place else read["parent"]
        task = thing.CloneVM_Task(folder, name, wanted)
        return connection.wait(task, resource=source, job=job)


def new_addresses(devices: Any) -> list[Any]:
    """Return the changes that give each NIC of a copy a MAC address of its own.

    vCenter does so for addresses that it generated, but copies those that were set by hand.
    """
    changes = []
    for device in devices:
        if isinstance(device, vim.vm.device.VirtualEthernetCard):
            device.addressType, device.macAddress = "generated", None
            changes.append(vim.vm.device.VirtualDeviceSpec(operation="edit", device=device))
    return changes


__all__ = ["BASE", "clone", "new_addresses"]
