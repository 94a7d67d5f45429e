"""Creating, changing and deleting VMs."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, SpecProblem, UnsupportedOperationError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.vm import VM, Deleted, NativeDefinition
from novacron.specs.storage import DiskSpec
from novacron.specs.vm import VMSpec, VMUpdate
from novacron_vmware import definition as text
from novacron_vmware import serialport
from novacron_vmware.area import Area
from novacron_vmware.autostart import set_autostart, standalone
from novacron_vmware.devices import Adding, card, places, problems_of_disk, problems_of_nic
from novacron_vmware.diskfiles import add_disk, attach, disk_path, drive
from novacron_vmware.errors import translated
from novacron_vmware.placement import DEFAULT, Place, backing, datastores, place_for
from novacron_vmware.records import FACTS_PATH, facts_of, facts_option, keep_tags
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

REFUSED = (
    "kernel", "display", "cpu_model", "cpu_features", "watchdog", "vsock", "virt_type", "numa", "memory_backing", "iothreads", "features",
    "clock", "launch_security", "channels", "video", "sound", "host_devices", "filesystems", "balloon", "serial",
)  # fmt: skip
"""Fields of VMSpec that vSphere has no like of, or not through this driver: refused rather than passed over."""
GUEST = "otherGuest64"


class VMwareLifecycle(Area):
    """Creates, changes and deletes VMs."""

    @hookimpl
    def vm_create(self, spec: VMSpec, job: Job[VM]) -> VM:
        """Create it with its disks and NICs, and start it if asked; destroyed again when a step fails."""
        connection = self._connection
        check(spec, connection)
        refuse_taken(connection, spec.name, str(spec.id) if spec.id else None)
        place = place_for(connection, spec.name, node=spec.node, memory=spec.memory, native=spec.native)
        config = new_config(connection, spec)
        job.report("creating", 0.0)
        with translated(spec.name):
            made = connection.wait(
                place.folder.CreateVM_Task(config, place.pool, place.node), resource=spec.name, job=job, part=(0.0, 0.3)
            )
            return finish(connection, made, spec, place, job)

    @hookimpl
    def vm_delete(self, vm: str, keep_disks: bool, force: bool) -> Deleted:
        """Destroy it with its files; disks that were there before it, or all when asked, are taken from it first."""
        thing, record = self._changing(vm, "delete")
        if record.status not in ("stopped", "unknown") and not force:
            raise InvalidStateError(f"can't delete {record.name!r}: it is {record.status}", resource=record.name,
                hint="stop it first, or use force")  # fmt: skip
        connection = self._connection
        with translated(record.name):
            if record.status not in ("stopped", "unknown"):
                connection.wait(thing.PowerOffVM_Task(), resource=record.name)
            kept = self._keep(thing, record.name, everything=keep_disks)
            sources = [d.source for d in record.disks or () if d.source and d.device == "disk"]
            connection.wait(thing.Destroy_Task(), resource=record.name)
        return Deleted(
            name=record.name, id=record.id, removed=tuple(s for s in sources if s not in kept), kept=tuple(sorted(kept))
        )

    def _keep(self, thing: Any, name: str, *, everything: bool) -> set[str]:
        """Take the disks that must outlive the VM from it, and return their paths."""
        read = self._connection.read(thing, ["config.hardware.device", "snapshot", FACTS_PATH])
        foreign = set(facts_of(read).get("kept_disks", ()))
        going = [
            d for _, d in places(read.get("config.hardware.device") or ())
            if isinstance(d, vim.vm.device.VirtualDisk) and (everything or d.backing.uuid in foreign)
        ]  # fmt: skip
        if going:
            if read.get("snapshot"):  # a disk with snapshots is several files; its content now is what is kept
                self._connection.wait(thing.RemoveAllSnapshots_Task(), resource=name)
                devices = self._connection.read(thing, ["config.hardware.device"])["config.hardware.device"]
                going = [d for d in devices if d.key in {each.key for each in going}]
            Change = vim.vm.device.VirtualDeviceSpec
            self._reconfigure(thing, name, deviceChange=[Change(operation="remove", device=d) for d in going])
        return {d.backing.fileName for d in going}

    @hookimpl
    def vm_clone(self, vm: str, name: str, linked: bool, job: Job[VM]) -> VM:
        """Copy a stopped VM; a linked clone begins at a snapshot, which is taken when there is none."""
        thing, record = self._changing(vm, "clone", "stopped")
        refuse_taken(self._connection, name, None)
        made = clone(self._connection, thing, record.name, name, linked=linked, job=job)
        try:
            job.raise_if_cancelled()
            keep_tags(self._connection, made, name, record.tags or ())
            return self._read(made)
        except BaseException:
            self._connection.wait(made.Destroy_Task(), resource=name)
            raise

    @hookimpl
    def vm_clone_instant(self, vm: str, name: str, job: Job[VM]) -> VM:
        """Let vCenter fork a running VM. An ESXi alone can't. Its tags and metadata are copied."""
        thing, record = self._changing(vm, "clone", "running")
        connection = self._connection
        if standalone(connection):
            raise UnsupportedOperationError("only a vCenter makes instant clones", resource=record.name, outcome="not_sent",
                hint="connect to the vCenter, or stop the VM and clone it")  # fmt: skip
        refuse_taken(connection, name, None)
        read = connection.read(thing, ["resourcePool", "parent", FACTS_PATH])
        kept = {key: value for key, value in facts_of(read).items() if key in ("tags", "metadata")}
        wanted = vim.vm.InstantCloneSpec(
            name=name,
            location=vim.vm.RelocateSpec(pool=read.get("resourcePool"), folder=read["parent"]),
            config=[facts_option(kept)],
        )
        with translated(record.name):
            made = connection.wait(thing.InstantClone_Task(wanted), resource=record.name, job=job)
        try:
            job.raise_if_cancelled()
            keep_tags(connection, made, name, record.tags or ())
            return self._read(made)
        except BaseException:
            undo(connection, made, name)
            raise

    @hookimpl
    def vm_rename(self, vm: str, name: str) -> VM:
        """Rename a stopped VM; its files keep their names until its disks move."""
        thing, record = self._changing(vm, "rename", "stopped")
        refuse_taken(self._connection, name, None)
        with translated(record.name):
            self._connection.wait(thing.Rename_Task(name), resource=record.name)
        return self._read(thing)

    @hookimpl
    def vm_update(self, vm: str, changes: VMUpdate) -> VM:
        """Change only what is given; a running VM's CPUs and memory by hot add, where it was made for that."""
        thing, record = self._changing(vm, "update")
        if changes.autostart is not None and not standalone(self._connection):
            raise InvalidSpecError(
                "a vCenter can't change that", resource=record.name, problems=[no_autostart(changes.autostart)]
            )
        config: dict[str, Any] = {}
        if changes.vcpus is not None and changes.vcpus != record.vcpus:
            config["numCPUs"] = changes.vcpus
        if changes.memory is not None and changes.memory != record.memory_bytes:
            largest = max(int(r.get("summary.hardware.memorySize", 0))
                          for _, r in self._connection.collect(vim.HostSystem, ["summary.hardware.memorySize"]))  # fmt: skip
            if changes.memory > largest:
                problem = SpecProblem("memory", str(changes.memory), f"at most what a node has, {largest} bytes")
                raise InvalidSpecError("no node can run that VM", resource=record.name, problems=[problem])
            config["memoryMB"] = megabytes(changes.memory, record.name)
        if config and record.status != "stopped":
            self._check_hot_add(thing, record, changes)
        if changes.description is not None:
            config["annotation"] = changes.description
        if changes.tags is not None or changes.metadata is not None:
            facts = facts_of(self._connection.read(thing, [FACTS_PATH]))
            merged = {**facts.get("metadata", {}), **(changes.metadata or {})}
            tags = facts.get("tags", [])
            if changes.tags is not None:
                tags = sorted(self._connection.tags.own(thing, changes.tags, record.name))
            facts |= {"tags": tags, "metadata": {key: value for key, value in merged.items() if value is not None}}
            config["extraConfig"] = [facts_option(facts)]
        with translated(record.name):
            if config:
                try:
                    self._reconfigure(thing, record.name, **config)
                except BaseException:
                    if changes.tags is not None:
                        self._connection.tags.own(thing, record.tags or (), record.name)
                    raise
            if changes.autostart is not None:
                set_autostart(self._connection, thing, enabled=changes.autostart)
        return self._read(thing)

    def _check_hot_add(self, thing: Any, record: VM, changes: VMUpdate) -> None:
        read = self._connection.read(thing, ["config.cpuHotAddEnabled", "config.memoryHotAddEnabled"])
        for what, now, wanted, able in (
            ("vcpus", record.vcpus, changes.vcpus, read.get("config.cpuHotAddEnabled")),
            ("memory", record.memory_bytes, changes.memory, read.get("config.memoryHotAddEnabled")),
        ):
            if wanted is not None and wanted != now and (wanted < now or not able or record.status != "running"):
                raise InvalidStateError(
                    f"can't give the {record.status} {record.name!r} {what} {wanted}: " + ("less than now" if able else "no hot add"),
                    resource=record.name, hint=f"stop it first, or create it with {what}_max",
                )  # fmt: skip

    @hookimpl
    def vm_export(self, vm: str) -> NativeDefinition:
        """Return its configuration as vSphere's API writes it: XML of a ConfigSpec, its disks by their files."""
        thing = self._find(vm)
        read = self._connection.read(thing, ["config"])
        return NativeDefinition(
            vm=read["config"].instanceUuid, format=text.FORMAT, text=text.written(read["config"], self._connection.api_version)
        )

    @hookimpl
    def vm_import(self, definition: str) -> VM:
        """Make a VM of what `vm_export` wrote; its disks must be there. A datastore path of a .vmx registers the VM that it is of."""
        connection = self._connection
        if definition.strip().startswith("[") and definition.strip().endswith(".vmx"):
            return self._registered(definition.strip())
        config = text.parsed(definition)
        refuse_taken(connection, config.name, config.instanceUuid)
        place = place_for(connection, config.name)
        with translated(config.name):
            made = connection.wait(place.folder.CreateVM_Task(config, place.pool, None), resource=config.name)
            return self._read(made)

    def _registered(self, path: str) -> VM:
        """Take a VM that is on a datastore into the inventory, under the name of its file."""
        name = path.rpartition("/")[2].rpartition("]")[2].strip().removesuffix(".vmx")
        refuse_taken(self._connection, name, None)
        place = place_for(self._connection, name)
        with translated(name):
            task = place.folder.RegisterVM_Task(path, name, False, place.pool, None)
            return self._read(self._connection.wait(task, resource=name))


def check(spec: VMSpec, connection: VMwareConnection) -> None:
    """Raise InvalidSpecError with everything in a spec that vSphere can't do."""
    problems = [
        SpecProblem(field, str(getattr(spec, field)), "left out: vSphere has no such setting through this driver")
        for field in REFUSED
        if getattr(spec, field) != type(spec).model_fields[field].default
    ]
    if spec.autostart and not standalone(connection):
        problems.append(no_autostart(True))
    if spec.arch not in (None, "x86_64"):
        problems.append(SpecProblem("arch", str(spec.arch), "x86_64"))
    if spec.cpu_mode not in ("default", "host-passthrough"):
        problems.append(SpecProblem("cpu_mode", spec.cpu_mode, "default or host-passthrough"))
    if spec.topology and spec.topology.threads != 1:
        problems.append(SpecProblem("topology.threads", str(spec.topology.threads), "1"))
    if (wanted := spec.native.get(serialport.KEY)) is not None and (problem := serialport.problem_of(wanted)) is not None:
        problems.append(problem)
    if spec.memory % 2**20:
        problems.append(SpecProblem("memory", str(spec.memory), "whole MiB"))
    for number, disk in enumerate(spec.disks):
        problems += [SpecProblem(f"disks.{number}.{p.path}", p.given, p.allowed) for p in problems_of_disk(disk)]
    for number, nic in enumerate(spec.nics):
        problems += [SpecProblem(f"nics.{number}.{p.path}", p.given, p.allowed) for p in problems_of_nic(nic)]
    if problems:
        raise InvalidSpecError("this host can't make that VM", resource=spec.name, problems=problems)


def no_autostart(value: bool) -> SpecProblem:
    """Return why a vCenter starts no VM with its node."""
    return SpecProblem(
        "autostart", str(value), "left out: vSphere HA starts a cluster's VMs; only a single ESXi has a list of its own"
    )


def refuse_taken(connection: VMwareConnection, name: str, identity: str | None) -> None:
    """Raise AlreadyExistsError when a VM or template of that name or UUID is there. (vSphere allows a name once in each folder.)"""
    if connection.inventory.taken(name, identity):
        raise AlreadyExistsError(f"a VM {name!r} is already there", resource=name, hint="give another name, or delete that one")


def megabytes(size: int, name: str) -> int:
    """Return a size in vSphere's unit. Raises InvalidSpecError for a part of it."""
    if size % 2**20:
        raise InvalidSpecError(
            "vSphere counts memory in MiB", resource=name, problems=[SpecProblem("memory", str(size), "whole MiB")]
        )
    return size // 2**20


def new_config(connection: VMwareConnection, spec: VMSpec) -> Any:
    """Return the configuration of a new VM, with all disks but those that are copied from images."""
    where = datastores(connection, {d.pool for d in spec.disks} | {DEFAULT})
    config = vim.vm.ConfigSpec(
        name=spec.name, numCPUs=spec.vcpus, memoryMB=spec.memory // 2**20, annotation=spec.description or None,
        guestId=str(spec.native.get("guest_id", GUEST)), firmware="bios" if spec.firmware == "bios" else "efi", version=spec.machine,
        files=vim.vm.FileInfo(vmPathName=f"[{where[DEFAULT]}]"), instanceUuid=str(spec.id or uuid.uuid4()),
        cpuHotAddEnabled=bool(spec.vcpus_max) or None, memoryHotAddEnabled=bool(spec.memory_max) or None,
        numCoresPerSocket=spec.topology.cores if spec.topology else None,
    )  # fmt: skip
    if spec.firmware == "uefi-secure":
        config.bootOptions = vim.vm.BootOptions(efiSecureBootEnabled=True)
    config.extraConfig = list(_extra(spec))
    adding = Adding()
    for disk in at_once(spec):
        add_disk(connection, adding, disk, where[disk.pool])
    for each in spec.disks:
        if each.device != "disk":
            drive(connection, adding, each.path or each.source or "", each)
    if spec.iso:
        drive(connection, adding, spec.iso, None)
    for nic in spec.nics:
        adding.add(card(nic, backing(connection, str(nic.network)), adding.next_key()))
    if serialport.KEY in spec.native:
        adding.add(serialport.network_port(str(spec.native[serialport.KEY]), adding.next_key()))
    if spec.tpm:
        adding.add(vim.vm.device.VirtualTPM(key=adding.next_key()))
    config.deviceChange = adding.changes
    return config


def disks_of(spec: VMSpec) -> list[DiskSpec]:
    """Return the specs of disks, without drives."""
    return [disk for disk in spec.disks if disk.device == "disk"]


def at_once(spec: VMSpec) -> list[DiskSpec]:
    """Return the disks that a VM is made with: those before the first copy of an image, so that the disks' order is the spec's."""
    return list(itertools.takewhile(lambda disk: not disk.source, disks_of(spec)))


def finish(
    connection: VMwareConnection, made: Any, spec: VMSpec, place: Place, job: Job[VM], *, made_with: int | None = None
) -> VM:
    """Give a new VM the disks after the first `made_with`, and start it if asked; it is destroyed when that fails."""
    from novacron_vmware.records import read_vm

    try:
        there = len(at_once(spec)) if made_with is None else made_with
        attach(connection, made, spec.name, disks_of(spec)[there:], place.datacenter, job)
        _note_kept(connection, made, spec)
        keep_tags(connection, made, spec.name)
        if spec.autostart:
            set_autostart(connection, made, enabled=True)
        _boot_order(connection, made, spec)
        if spec.start:
            job.report("starting", 0.9)
            connection.wait(made.PowerOnVM_Task(), resource=spec.name, job=job, part=(0.9, 1.0))
        job.raise_if_cancelled()
        return read_vm(connection, made)
    except BaseException:
        undo(connection, made, spec.name)
        raise


def undo(connection: VMwareConnection, made: Any, name: str) -> None:
    """Destroy a VM that could not be finished; disks that were there before it stay."""
    area = VMwareLifecycle(connection)
    if connection.read(made, ["runtime.powerState"]).get("runtime.powerState") != "poweredOff":
        connection.wait(made.PowerOffVM_Task(), resource=name)
    area._keep(made, name, everything=False)
    connection.wait(made.Destroy_Task(), resource=name)


def _note_kept(connection: VMwareConnection, made: Any, spec: VMSpec) -> None:
    """Remember which disks were there before the VM: they stay when it is deleted."""
    paths = {disk_path(connection, d.path, d.pool) for d in disks_of(spec) if d.path}
    if not paths:
        return
    read = connection.read(made, ["config.hardware.device", FACTS_PATH])
    disks = [d for d in read["config.hardware.device"] if isinstance(d, vim.vm.device.VirtualDisk)]
    facts = facts_of(read) | {"kept_disks": sorted(d.backing.uuid for d in disks if d.backing.fileName in paths)}
    change = vim.vm.ConfigSpec(extraConfig=[facts_option(facts)])
    connection.wait(made.ReconfigVM_Task(change), resource=spec.name)


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
    options = Boot(bootOrder=[entry for _, entry in ordered])
    if spec.firmware == "uefi-secure":
        options.efiSecureBootEnabled = True
    connection.wait(made.ReconfigVM_Task(vim.vm.ConfigSpec(bootOptions=options)), resource=spec.name)


def _extra(spec: VMSpec) -> Iterator[Any]:
    facts = {"tags": sorted(spec.tags), "metadata": spec.metadata}
    if any(facts.values()):
        yield facts_option(facts)
    yield from seed(spec)


def seed(spec: VMSpec) -> Iterator[Any]:
    """Yield what cloud-init's VMware datasource reads, as its documentation says: guestinfo.metadata and guestinfo.userdata.

    Source: https://docs.cloud-init.io/en/latest/reference/datasources/vmware.html
    """
    asked = spec.cloud_init
    if asked is None:
        return
    about: dict[str, Any] = {"instance-id": str(uuid.uuid4()), "local-hostname": asked.hostname or spec.name}
    if asked.ssh_keys:
        about["public-keys-data"] = "\n".join(asked.ssh_keys)
    if asked.network_config:
        about |= {"network": base64.b64encode(asked.network_config.encode()).decode(), "network.encoding": "base64"}
    parts = {"metadata": json.dumps(about), "userdata": asked.user_data}
    for name, content in parts.items():
        if content:
            yield vim.option.OptionValue(key=f"guestinfo.{name}", value=base64.b64encode(content.encode()).decode())
            yield vim.option.OptionValue(key=f"guestinfo.{name}.encoding", value="base64")


def clone(
    connection: VMwareConnection, thing: Any, source: str, name: str, *, linked: bool, job: Job[Any], template: bool = False,
    config: Any = None, place: Place | None = None, facts: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """Copy a VM or template under a new name and return vSphere's VM; a linked copy shares the disks of a snapshot."""
    read = connection.read(thing, ["snapshot", "resourcePool", "parent", FACTS_PATH])
    pool = read.get("resourcePool") or (place.pool if place else None)
    relocate = vim.vm.RelocateSpec(pool=place.pool if place else pool, host=place.node if place else None)
    wanted = vim.vm.CloneSpec(location=relocate, powerOn=False, template=template)
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


BASE = "novacron-base"
"""The snapshot that linked clones begin at, when the VM had none."""

__all__ = ["BASE", "VMwareLifecycle", "check", "clone", "finish", "megabytes", "new_config", "refuse_taken", "seed", "undo"]
