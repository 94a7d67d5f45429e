"""Creates VMs: the configuration, the disks, tags, boot order, and the roll-back when a step fails."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from novacron import cloud_init
from novacron.jobs import Job
from novacron.records.vm import VM
from novacron.secrets import Secrets
from novacron_vmware.autostart import set_autostart
from novacron_vmware.console import serial_port
from novacron_vmware.devices import Adding, card, places
from novacron_vmware.evc import apply_model
from novacron_vmware.lifecycle.hardware import Hardware
from novacron_vmware.lifecycle.passthrough import passthrough
from novacron_vmware.placement import DEFAULT, Placement, backing, datastores, find_placement
from novacron_vmware.records import FACTS_PATH, apply_tags, facts_of, facts_option, read_vm
from novacron_vmware.sdk import vim
from novacron_vmware.storage.disk_files import add_disk, attach, disk_path, drive
from novacron_vmware.storage.disk_users import chain, refuse_shared
from novacron_vmware.undoing import undone_on_failure

if TYPE_CHECKING:
    from novacron.specs import DiskSpec, VMSpec
    from novacron_vmware.connection import VMwareConnection

GUEST = "otherGuest64"
"""The guest id of a VM whose spec names none."""


def placement_of(connection: VMwareConnection, spec: VMSpec, *, memory: int) -> Placement:
    """Return where a VM goes: what its spec says, in the datacenter that has its datastores and networks."""
    networks = [nic.network for nic in spec.nics if nic.network]
    pools = [disk.pool for disk in spec.disks]
    return find_placement(
        connection, spec.name, node=spec.node, memory=memory, native=spec.native, pools=pools, networks=networks
    )


def new_config(connection: VMwareConnection, spec: VMSpec, place: Placement) -> Any:
    """Return the configuration of a new VM at a place, with all disks but those that are copied from images.

    Its own files go to the datastore of its first disk.
    """
    datacenter = place.datacenter
    home = next((disk.pool for disk in disks_of(spec)), DEFAULT)
    where = datastores(connection, {d.pool for d in spec.disks} | {home}, datacenter)
    config = vim.vm.ConfigSpec(
        name=spec.name,
        numCPUs=spec.vcpus,
        memoryMB=spec.memory // 2**20,
        annotation=spec.description or None,
        guestId=str(spec.native.get("guest_id", GUEST)),
        version=spec.machine,
        files=vim.vm.FileInfo(vmPathName=f"[{where[home]}]"),
        instanceUuid=str(spec.id or uuid.uuid4()),
        cpuHotAddEnabled=bool(spec.vcpus_max) or None,
        memoryHotAddEnabled=bool(spec.memory_max) or None,
    )
    hardware = hardware_of(spec)
    for name, value in hardware.config.items():
        setattr(config, name, value)
    if spec.host_devices:
        config.memoryReservationLockedToMax = True
    config.extraConfig = [*_extra(spec, connection.secrets), *hardware.options]
    adding = Adding()
    for disk in at_once(spec):
        add_disk(connection, adding, spec.name, disk, where[disk.pool], datacenter)
    for each in spec.disks:
        if each.device != "disk":
            drive(connection, adding, each.path or each.source or "", each, datacenter)
    if spec.iso:
        drive(connection, adding, spec.iso, None, datacenter)
    for nic in spec.nics:
        adding.add(card(nic, backing(connection, str(nic.network), datacenter), adding.next_key()))
    if serial_port.KEY in spec.native:
        adding.add(serial_port.network_port(str(spec.native[serial_port.KEY]), adding.next_key()))
    given = [passthrough(connection, place.able, str(each.pci), spec.name) for each in spec.host_devices]
    for device in hardware.added + given:
        device.key = adding.next_key()
        adding.add(device)
    config.deviceChange = adding.changes
    return config


def hardware_of(spec: VMSpec) -> Hardware:
    """Return the hardware that a spec asks for, beyond CPUs, memory, disks and NICs."""
    hardware = Hardware()
    hardware.take({"firmware": spec.firmware} | {name: getattr(spec, name) for name in spec.model_fields_set}, spec.name)
    return hardware


def disks_of(spec: VMSpec) -> list[DiskSpec]:
    """Return the specs of disks, without drives."""
    return [disk for disk in spec.disks if disk.device == "disk"]


def at_once(spec: VMSpec) -> list[DiskSpec]:
    """Return the disks that a VM is made with: those before the first copy of an image, so that the disks' order is the spec's."""
    return list(itertools.takewhile(lambda disk: not disk.source, disks_of(spec)))


def finish(
    connection: VMwareConnection, made: Any, spec: VMSpec, place: Placement, job: Job[VM], *, made_with: int | None = None
) -> VM:
    """Give a new VM the disks after the first `made_with`, and start it if asked; it is destroyed when that fails."""
    given = set[str]()
    with undone_on_failure(spec.name, f"the VM {spec.name!r}", lambda: undo(connection, made, spec.name, given)):
        given = {disk_path(connection, d.path, d.pool, place.datacenter) for d in disks_of(spec) if d.path}
        there = len(at_once(spec)) if made_with is None else made_with
        attach(connection, made, spec.name, disks_of(spec)[there:], place.datacenter, job)
        remember_kept_disks(connection, made, spec.name, given)
        apply_tags(connection, made, spec.name)
        if spec.autostart:
            set_autostart(connection, made, enabled=True)
        _boot_order(connection, made, spec)
        if spec.cpu_model:
            apply_model(connection, made, spec.cpu_model, spec.name)
        if spec.start:
            job.report("starting", 0.9)
            connection.wait(made.PowerOnVM_Task(), resource=spec.name, job=job, part=(0.9, 1.0))
        job.raise_if_cancelled()
        return read_vm(connection, made)


def undo(connection: VMwareConnection, made: Any, name: str, given: Collection[str] = ()) -> None:
    """Destroy a VM whose creation failed; disks that existed before it are kept, and so are those at the paths `given`."""
    if connection.read(made, ["runtime.powerState"]).get("runtime.powerState") != "poweredOff":
        connection.wait(made.PowerOffVM_Task(), resource=name)
    detach_kept_disks(connection, made, name, everything=False, given=given)
    connection.wait(made.Destroy_Task(), resource=name)


def detach_kept_disks(
    connection: VMwareConnection, vm: Any, name: str, *, everything: bool, given: Collection[str] = ()
) -> set[str]:
    """Detach the disks that must outlive a VM, and return their paths.

    Args:
        connection: where the VM is.
        vm: vSphere's VM.
        name: its name, for errors.
        everything: True keeps all disks; False those that existed before the VM.
        given: paths of disks that are known to have existed before the VM.
    """
    read, kept = _kept_disks(connection, vm, everything, given)
    if kept:
        if read.get("snapshot"):  # a disk with snapshots is several files; its current content is what is kept
            connection.wait(vm.RemoveAllSnapshots_Task(), resource=name)
            keys = {device.key for device in kept}
            devices = connection.read(vm, ["config.hardware.device"])["config.hardware.device"]
            kept = [device for device in devices if device.key in keys]
        removals = [vim.vm.device.VirtualDeviceSpec(operation="remove", device=device) for device in kept]
        connection.wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=removals)), resource=name)
    return {device.backing.fileName for device in kept}


def refuse_lost_disks(connection: VMwareConnection, vm: Any, name: str, *, everything: bool) -> bool:
    """Raise InvalidStateError if deleting a VM would delete or change a file that another VM needs.

    Such files are the disks that the VM does not keep, and the files below them in its folder. If disks are kept and there are snapshots,
    the disks' files are merged: linked clones of the VM would lose the content that they were made with.

    Args:
        connection: where the VM is.
        vm: vSphere's VM.
        name: its name, for the error.
        everything: whether all disks are kept.

    Returns:
        Whether the VM has disks that outlive it, see `detach_kept_disks`.
    """
    read, kept = _kept_disks(connection, vm, everything, ())
    home = str(read.get("config.files.vmPathName") or "").rpartition("/")[0]
    files = [(device, path) for device in _disks(read) for path in chain(device)]
    lost = {path for d, path in files if d not in kept and (path == d.backing.fileName or path.startswith(f"{home}/"))}
    merged = {path for d, path in files if d in kept} if read.get("snapshot") else set()
    hint = "delete that VM first" if merged else "keep the disks with keep_disks=True (--keep-disks), or delete that VM first"
    refuse_shared(connection, vm, name, "delete", lost | merged, hint)
    return bool(kept)


def _kept_disks(
    connection: VMwareConnection, vm: Any, everything: bool, given: Collection[str]
) -> tuple[dict[str, Any], list[Any]]:
    """Return what is read of a VM, and those of its disks that outlive it."""
    read = connection.read(vm, ["config.hardware.device", "config.files.vmPathName", "snapshot", FACTS_PATH])
    foreign = set(facts_of(read).get("kept_disks", ()))
    return read, [d for d in _disks(read) if everything or d.backing.uuid in foreign or d.backing.fileName in given]


def _disks(read: dict[str, Any]) -> list[Any]:
    devices = places(read.get("config.hardware.device") or ())
    return [device for _, device in devices if isinstance(device, vim.vm.device.VirtualDisk)]


def remember_kept_disks(connection: VMwareConnection, made: Any, name: str, paths: set[str]) -> None:
    """Record which disks existed before the VM; they are kept when the VM is deleted."""
    if not paths:
        return
    read = connection.read(made, ["config.hardware.device", FACTS_PATH])
    disks = [d for d in read["config.hardware.device"] if isinstance(d, vim.vm.device.VirtualDisk)]
    facts = facts_of(read) | {"kept_disks": sorted(d.backing.uuid for d in disks if d.backing.fileName in paths)}
    change = vim.vm.ConfigSpec(extraConfig=[facts_option(facts)])
    connection.wait(made.ReconfigVM_Task(change), resource=name)


def _boot_order(connection: VMwareConnection, made: Any, spec: VMSpec) -> None:
    """Let the VM boot from its disks and NICs in the order that their specs say."""
    if not any([disk.boot_order for disk in spec.disks] + [nic.boot_order for nic in spec.nics]):
        return
    Boot = vim.vm.BootOptions
    devices = connection.read(made, ["config.hardware.device"])["config.hardware.device"]
    disks = [d for d in devices if isinstance(d, vim.vm.device.VirtualDisk)]
    nics = [d for d in devices if isinstance(d, vim.vm.device.VirtualEthernetCard)]
    entries = [
        (asked.boot_order, Boot.BootableDiskDevice(deviceKey=d.key)) for asked, d in zip(disks_of(spec), disks, strict=False)
    ]
    entries += [
        (asked.boot_order, Boot.BootableEthernetDevice(deviceKey=d.key)) for asked, d in zip(spec.nics, nics, strict=False)
    ]
    entries += [(asked.boot_order, Boot.BootableCdromDevice()) for asked in spec.disks if asked.device == "cdrom"][:1]
    ordered = sorted(((order, entry) for order, entry in entries if order), key=lambda each: each[0])
    options = hardware_of(spec).config.get("bootOptions") or Boot()
    options.bootOrder = [entry for _, entry in ordered]
    connection.wait(made.ReconfigVM_Task(vim.vm.ConfigSpec(bootOptions=options)), resource=spec.name)


def _extra(spec: VMSpec, secrets: Secrets) -> Iterator[Any]:
    facts = {"tags": sorted(spec.tags), "metadata": spec.metadata}
    if any(facts.values()):
        yield facts_option(facts)
    yield from seed(spec, secrets)


def seed(spec: VMSpec, secrets: Secrets) -> Iterator[Any]:
    """Yield what cloud-init's VMware datasource reads, as its documentation says: guestinfo.metadata and guestinfo.userdata.

    Source: https://docs.cloud-init.io/en/latest/reference/datasources/vmware.html
    """
    if spec.cloud_init is None:
        return
    documents = cloud_init.seed(spec.cloud_init, spec.name, secrets.get)
    about: dict[str, Any] = {"instance-id": str(uuid.uuid4()), "local-hostname": spec.cloud_init.hostname or spec.name}
    if documents.network_config:
        about |= {"network": base64.b64encode(documents.network_config.encode()).decode(), "network.encoding": "base64"}
    parts = {"metadata": json.dumps(about), "userdata": documents.user_data, "vendordata": documents.vendor_data}
    for name, content in parts.items():
        if content:
            yield vim.option.OptionValue(key=f"guestinfo.{name}", value=base64.b64encode(content.encode()).decode())
            yield vim.option.OptionValue(key=f"guestinfo.{name}.encoding", value="base64")


__all__ = [
    "at_once",
    "detach_kept_disks",
    "disks_of",
    "finish",
    "new_config",
    "placement_of",
    "refuse_lost_disks",
    "seed",
    "undo",
]
