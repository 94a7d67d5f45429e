"""Finding VMs and reading them: two calls for a summary of all, never one per VM."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from novacron.errors import InvalidSpecError, VMNotFoundError
from novacron.plugins import hookimpl
from novacron.records.vm import NIC, VM, Disk, Status
from novacron.specs import VMQuery
from novacron_vmware.connection import VMwareConnection
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim

FACTS = "novacron.facts"
"""The key in a VM's extra configuration that holds NovaCron's tags and metadata as JSON; it travels with the VM."""

SUMMARY = (
    "name", "config.instanceUuid", "config.template", "config.hardware.numCPU", "config.hardware.memoryMB",
    "runtime.powerState", "runtime.connectionState", "runtime.host",
)  # fmt: skip
FULL = (
    *SUMMARY,
    "config.hardware.device",
    "config.annotation",
    "config.firmware",
    "config.version",
    "config.guestId",
    "config.createDate",
    f'config.extraConfig["{FACTS}"]',
)
STATUSES: dict[str, Status] = {"poweredOn": "running", "poweredOff": "stopped", "suspended": "suspended"}


class VMwareListing:
    """Reads VMs."""

    def __init__(self, connection: VMwareConnection) -> None:
        self._connection = connection

    @hookimpl
    def vm_list(self, query: VMQuery) -> list[VM]:
        """Read all VMs, templates left out."""
        found = self._connection.collect(vim.VirtualMachine, FULL if query.detail == "full" else SUMMARY)
        nodes = {thing: name["name"] for thing, name in self._connection.collect(vim.HostSystem, ["name"])}
        return [vm_record(self._connection.name, read, nodes) for _, read in found if not read.get("config.template")]

    @hookimpl
    def vm_get(self, vm: str) -> VM:
        """Read one VM."""
        return read_vm(self._connection, find_vm(self._connection, vm))


def find_vm(connection: VMwareConnection, vm: str) -> Any:
    """Return vSphere's VM by instance UUID or name.

    Raises:
        VMNotFoundError
        InvalidSpecError: several VMs, in different folders, have that name.
    """
    found = connection.collect(vim.VirtualMachine, ["name", "config.instanceUuid", "config.template"])
    usable = [(thing, read) for thing, read in found if not read.get("config.template")]
    try:
        identity = str(uuid.UUID(vm)) if len(vm) == 36 else None
    except ValueError:
        identity = None
    chosen = [t for t, read in usable if identity and read.get("config.instanceUuid") == identity]
    chosen = chosen or [t for t, read in usable if plain_name(read["name"]) == vm]
    if not chosen:
        raise VMNotFoundError(f"no VM {vm!r}", resource=vm)
    if len(chosen) > 1:
        raise InvalidSpecError(
            f"{len(chosen)} VMs are named {vm!r}", resource=vm, hint="name it by its UUID, or connect to one datacenter"
        )
    return chosen[0]


def read_vm(connection: VMwareConnection, thing: Any) -> VM:
    """Return the full record of one VM."""
    read = connection.read(thing, FULL)
    if "name" not in read:
        raise VMNotFoundError("the VM was deleted meanwhile")
    node = read.get("runtime.host")
    with translated():
        nodes = {node: connection.read(node, ["name"])["name"]} if node is not None else {}
    return vm_record(connection.name, read, nodes)


def vm_record(host: str, read: dict[str, Any], nodes: dict[Any, str]) -> VM:
    """Return the record of what was read; an inaccessible VM has no config and its status is unknown."""
    connected = read.get("runtime.connectionState", "connected") == "connected"
    record = VM(
        id=read.get("config.instanceUuid", ""), name=plain_name(read["name"]), host=host,
        status=STATUSES.get(str(read.get("runtime.powerState")), "unknown") if connected else "unknown",
        status_reason="" if connected else str(read["runtime.connectionState"]), node=nodes.get(read.get("runtime.host")),
        vcpus=int(read.get("config.hardware.numCPU", 0)), memory_bytes=int(read.get("config.hardware.memoryMB", 0)) * 2**20,
    )  # fmt: skip
    devices, created, facts = read.get("config.hardware.device"), read.get("config.createDate"), facts_of(read)
    if devices is None:
        return record
    firmware = read.get("config.firmware")
    full: VM = record.replace(
        machine=read.get("config.version"), firmware="uefi" if firmware == "efi" else firmware,
        disks=tuple(_disks(devices)), nics=tuple(_nics(devices)), description=read.get("config.annotation") or "",
        tags=frozenset(facts.get("tags", ())), metadata=facts.get("metadata", {}), native={"guest_id": read.get("config.guestId")},
        created_at=created.isoformat() if created else None,
    )  # fmt: skip
    return full


def facts_of(read: dict[str, Any]) -> dict[str, Any]:
    """Return NovaCron's own facts about a VM; nothing where another tool broke them."""
    option = read.get(f'config.extraConfig["{FACTS}"]')
    try:
        found = json.loads(option.value) if option is not None else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def plain_name(name: str) -> str:
    """Return a name as people see it: vSphere hands out `%`, `/` and `\\` escaped."""
    return re.sub(r"%(25|2[fF]|5[cC])", lambda match: chr(int(match[1], 16)), name)


def _disks(devices: Any) -> Any:
    for number, disk in enumerate(d for d in devices if isinstance(d, vim.vm.device.VirtualDisk)):
        path, parent = getattr(disk.backing, "fileName", None), getattr(disk.backing, "parent", None)
        pool = re.match(r"\[(.+?)\] (.+)", path or "")
        yield Disk(
            target=f"sd{chr(ord('a') + number)}", source=path, bus="scsi", format="vmdk", pool=pool[1] if pool else None,
            volume=pool[2] if pool else None, backing=parent.fileName if parent else None,
            size_bytes=int(disk.capacityInBytes or (disk.capacityInKB or 0) * 1024),
        )  # fmt: skip


def _nics(devices: Any) -> Any:
    for card in devices:
        if isinstance(card, vim.vm.device.VirtualEthernetCard):
            up = card.connectable is None or bool(card.connectable.startConnected)
            model = type(card).__name__.rpartition(".")[2].removeprefix("Virtual").lower()
            port = getattr(card.backing, "port", None)  # a distributed port group is named by its key
            network = getattr(card.backing, "deviceName", None) or (port.portgroupKey if port else None)
            yield NIC(mac=(card.macAddress or "").lower(), network=network, model=model, link_up=up)


__all__ = ["FACTS", "VMwareListing", "facts_of", "find_vm", "plain_name", "read_vm", "vm_record"]
