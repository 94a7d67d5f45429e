"""Creating and deleting VMs."""

from __future__ import annotations

import json
import uuid
from typing import Any

from novacron.errors import (
    AlreadyExistsError,
    InvalidSpecError,
    InvalidStateError,
    NetworkNotFoundError,
    SpecProblem,
    StoragePoolNotFoundError,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.vm import VM, Deleted
from novacron.specs.vm import VMSpec
from novacron_vmware.connection import VMwareConnection
from novacron_vmware.errors import translated
from novacron_vmware.operations.host import VMwareHost
from novacron_vmware.operations.listing import FACTS, find_vm, plain_name, read_vm
from novacron_vmware.sdk import vim

NOT_YET = (
    "tpm", "kernel", "iso", "cloud_init", "autostart", "display", "memory_max", "vcpus_max", "cpu_model", "cpu_features", "topology",
    "hugepages", "watchdog", "vsock",
)  # fmt: skip
"""Fields of VMSpec that this driver refuses rather than pass over."""


class VMwareLifecycle:
    """Creates and deletes VMs."""

    def __init__(self, connection: VMwareConnection) -> None:
        self._connection = connection

    @hookimpl
    def vm_create(self, spec: VMSpec, job: Job[VM]) -> VM:
        """Create it with blank disks and NICs, and start it if asked; destroyed again when starting fails."""
        connection = self._connection
        _refuse(spec)
        taken = connection.collect(vim.VirtualMachine, ["name", "config.instanceUuid"])
        if any(
            plain_name(r["name"]) == spec.name or (spec.id and r.get("config.instanceUuid") == str(spec.id)) for _, r in taken
        ):
            raise AlreadyExistsError(
                f"a VM {spec.name!r} is already there", resource=spec.name, hint="give another name, or delete that one"
            )
        folder, pool, node = self._place(spec)
        with translated(spec.name):
            result = connection.wait(folder.CreateVM_Task(self._config(spec), pool, node), resource=spec.name, job=job)
            try:
                if spec.start:
                    connection.wait(result.PowerOnVM_Task(), resource=spec.name, job=job)
                job.raise_if_cancelled()
                return read_vm(connection, result)
            except BaseException:
                if read_vm(connection, result).status == "running":
                    connection.wait(result.PowerOffVM_Task(), resource=spec.name)
                connection.wait(result.Destroy_Task(), resource=spec.name)
                raise

    @hookimpl
    def vm_delete(self, vm: str, keep_disks: bool, force: bool) -> Deleted:
        """Destroy it with all its files, or take it from the inventory when its disks are to be kept."""
        thing = find_vm(self._connection, vm)
        record = read_vm(self._connection, thing)
        sources = tuple(d.source for d in record.disks or () if d.source)
        if record.status not in ("stopped", "unknown") and not force:
            raise InvalidStateError(f"can't delete {record.name!r}: it is {record.status}", resource=record.name,
                hint="stop it first, or use force")  # fmt: skip
        with translated(record.name):
            if record.status not in ("stopped", "unknown"):
                self._connection.wait(thing.PowerOffVM_Task(), resource=record.name)
            if keep_disks:
                thing.UnregisterVM()
                return Deleted(name=record.name, id=record.id, kept=sources)
            self._connection.wait(thing.Destroy_Task(), resource=record.name)
        return Deleted(name=record.name, id=record.id, removed=sources)

    def _place(self, spec: VMSpec) -> tuple[Any, Any, Any]:
        """Return the folder, resource pool and node for a new VM."""
        nodes = {r["name"]: (t, r["parent"]) for t, r in self._connection.collect(vim.HostSystem, ["name", "parent"])}
        if spec.node and spec.node not in nodes:
            raise InvalidSpecError(
                "no such node", problems=[SpecProblem("node", spec.node, "one of " + ", ".join(sorted(nodes)))]
            )
        if not nodes:
            raise InvalidStateError(f"{self._connection.name} has no host that could run it", resource=spec.name)
        largest = max(n.memory_bytes for n in VMwareHost(self._connection).node_list())
        if spec.memory > largest:
            problem = SpecProblem("memory", str(spec.memory), f"at most what a node has, {largest} bytes")
            raise InvalidSpecError("no node can run that VM", resource=spec.name, problems=[problem])
        node, compute = nodes[spec.node or min(nodes)]
        datacenter = compute
        while not isinstance(datacenter, vim.Datacenter):
            datacenter = self._connection.read(datacenter, ["parent"])["parent"]
        folder = self._connection.read(datacenter, ["vmFolder"])["vmFolder"]
        return folder, self._connection.read(compute, ["resourcePool"])["resourcePool"], node if spec.node else None

    def _config(self, spec: VMSpec) -> Any:
        pools = {d.pool for d in spec.disks}
        stores = {
            r["name"]: r["summary.freeSpace"] for _, r in self._connection.collect(vim.Datastore, ["name", "summary.freeSpace"])
        }
        missing = sorted(pools - {"default"} - set(stores))
        if missing or not stores:
            raise StoragePoolNotFoundError(
                f"no datastore {', '.join(missing)}", hint=f"there are: {', '.join(sorted(stores)) or 'none'}"
            )
        roomiest = max(stores, key=lambda name: stores[name])
        where = {pool: roomiest if pool == "default" else pool for pool in pools | {"default"}}
        config = vim.vm.ConfigSpec(
            name=spec.name, numCPUs=spec.vcpus, memoryMB=spec.memory // 2**20, annotation=spec.description or None,
            guestId=str(spec.native.get("guest_id", "otherGuest64")), firmware="bios" if spec.firmware == "bios" else "efi",
            files=vim.vm.FileInfo(vmPathName=f"[{where['default']}]"), instanceUuid=str(spec.id or uuid.uuid4()),
        )  # fmt: skip
        facts = {"tags": sorted(spec.tags), "metadata": spec.metadata}
        if any(facts.values()):
            config.extraConfig = [vim.option.OptionValue(key=FACTS, value=json.dumps(facts, sort_keys=True))]
        Add, Device = vim.vm.device.VirtualDeviceSpec, vim.vm.device
        config.deviceChange = []
        if spec.disks:
            controller = Device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
            config.deviceChange.append(Add(operation="add", device=controller))
        for number, disk in enumerate(spec.disks):
            backing = Device.VirtualDisk.FlatVer2BackingInfo(
                fileName=f"[{where[disk.pool]}]", diskMode="persistent", thinProvisioned=not disk.preallocate
            )
            unit = number if number < 7 else number + 1  # 7 is the controller's own
            size = Device.VirtualDisk(
                key=-10 - number, controllerKey=-1, unitNumber=unit, capacityInKB=(disk.size or 0) // 1024, backing=backing
            )
            config.deviceChange.append(Add(operation="add", fileOperation="create", device=size))
        known = {r["name"]: t for t, r in self._connection.collect(vim.Network, ["name"])} if spec.nics else {}
        for number, nic in enumerate(spec.nics):
            if nic.network not in known:
                raise NetworkNotFoundError(f"no network {nic.network!r}", hint=f"there are: {', '.join(sorted(known))}")
            card = Device.VirtualVmxnet3(
                key=-100 - number, macAddress=nic.mac, addressType="manual" if nic.mac else "generated",
                backing=self._backing(nic.network, known[nic.network]),
                connectable=Device.VirtualDevice.ConnectInfo(startConnected=nic.link_up, allowGuestControl=True, connected=False),
            )  # fmt: skip
            config.deviceChange.append(Add(operation="add", device=card))
        return config

    def _backing(self, name: str | None, network: Any) -> Any:
        """Return how a NIC is plugged into a network: a switch's port group of one node, or of all (distributed)."""
        if not isinstance(network, vim.dvs.DistributedVirtualPortgroup):
            return vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=name)
        group = self._connection.read(network, ["key", "config.distributedVirtualSwitch"])
        switch = self._connection.read(group["config.distributedVirtualSwitch"], ["uuid"])["uuid"]
        port = vim.dvs.PortConnection(portgroupKey=group["key"], switchUuid=switch)
        return vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)


def _refuse(spec: VMSpec) -> None:
    problems = [
        SpecProblem(field, str(getattr(spec, field)), "not offered by this driver yet")
        for field in NOT_YET
        if getattr(spec, field)
    ]
    for number, disk in enumerate(spec.disks):
        if disk.source or disk.path or disk.device != "disk":
            problems.append(SpecProblem(f"disks.{number}", disk.source or disk.path or disk.device, "a new, blank disk"))
    if problems:
        raise InvalidSpecError("this host can't make that VM", resource=spec.name, problems=problems)


__all__ = ["NOT_YET", "VMwareLifecycle"]
