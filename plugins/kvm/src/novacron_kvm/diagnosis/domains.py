"""Checks of a VM: accelerator, confinement, files, space, the channel of the guest agent, and what libvirt itself warns of."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

import libvirt

from novacron.records.diagnosis import Finding, ok, problem, warning
from novacron.units import format_size
from novacron_kvm.capabilities import best_virt_type
from novacron_kvm.connection import KVMConnection
from novacron_kvm.diagnosis.folders import closed_folder, qemu_user
from novacron_kvm.diagnosis.hosts import is_local
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.sources import boot_file, sources

AGENT = "org.qemu.guest_agent.0"


def vm_findings(connection: KVMConnection, native: Any, vm: str) -> Iterator[Finding]:
    """Yield the findings of all checks of a VM. `native` is a connection of libvirt's for slow calls."""
    domain = connection.domain(vm, native)
    name, root = domain.name(), parse(domain.XMLDesc(0))
    yield from _accelerator(connection, root, name)
    yield from _confinement(root, name)
    yield from _channel(root, name)
    if connection.shared:
        yield from _files(connection, native, root, name)
        yield from _space(native, domain, root, name)
    yield from _disk_errors(domain, name)
    yield from _messages(domain, name)


def _accelerator(connection: KVMConnection, root: Any, name: str) -> Iterator[Finding]:
    kind, arch = root.get("type"), text_of(root, "os/type/@arch") or ""
    if kind not in ("kvm", "qemu") or connection.read.getType() != "QEMU":
        return
    best, reason = best_virt_type(connection, arch)
    if kind == "qemu" and best == "kvm":
        hint = f"stop it and define it with the type kvm: `novacron vm export {name}`, change it, `novacron vm import`"
        yield warning("kvm", name, "the VM is emulated, although KVM works on its host", hint)
    elif kind == "kvm" and best != "kvm":
        yield problem("kvm", name, f"the VM needs KVM: {reason}", "run the diagnosis of its host, which says how to enable KVM")
    else:
        yield ok("kvm", name, "the VM runs with KVM" if kind == "kvm" else f"the VM is emulated: {reason}")


def _confinement(root: Any, name: str) -> Iterator[Finding]:
    for label in root.iterfind("seclabel"):
        if label.get("type") == "none" and label.get("model") in (None, "apparmor", "selinux"):
            hint = "remove <seclabel type='none'> from its definition"
            yield warning("confinement", name, "neither AppArmor nor SELinux confines this VM", hint)
            return


def _channel(root: Any, name: str) -> Iterator[Finding]:
    states = [each.get("state") for each in root.iterfind(f"devices/channel/target[@name='{AGENT}']")]
    if not states:
        text = "the VM has no channel for a guest agent"
        hint = f"add a channel {AGENT!r} to its definition: `novacron vm export {name}`, then `novacron vm import`"
        yield warning("guest agent", name, text, hint)
    elif states[0] == "disconnected":
        hint = "install and start qemu-guest-agent in the guest"
        yield warning("guest agent", name, "no guest agent is connected to the VM's channel", hint)
    else:
        yield ok("guest agent", name, "the VM has a channel for a guest agent")


def _files(connection: KVMConnection, native: Any, root: Any, name: str) -> Iterator[Finding]:
    """Check that each file of the VM is there, and that QEMU's user can enter its folder."""
    files = HostFiles(native)
    keys = {key: None for source in sources(root) if (key := files.name_of(source)) and key.startswith("/")}
    nvram, loader = boot_file(root, "os/nvram"), boot_file(root, "os/loader")
    asked = [("disk", key) for key in keys if not key.startswith(("/dev/", "/proc/"))]
    asked += [("firmware", loader)] if loader else []
    asked += [("nvram", nvram)] if nvram and root.get("id") else []  # a stopped VM gets a new one from its template
    user = qemu_user(parse(connection.read.getCapabilities())) if is_local(connection.uri) else None
    for check, path in asked:
        closed = closed_folder(posixpath.dirname(path), *user) if user else None
        if files.file(path) is None:
            hint = f"restore the file, or start the storage pool that has it: `novacron pool list`; `novacron disk list {name}`"
            yield problem(check, name, f"{path} is missing, or libvirt can't read its folder", hint)
        elif closed is not None and check == "disk":
            yield problem("permissions", name, f"QEMU can't enter {closed}, where {path} is", f"chmod o+x {closed}")
        else:
            yield ok(check, name, f"{path} is there")


def _space(native: Any, domain: Any, root: Any, name: str) -> Iterator[Finding]:
    """Check that the thin disks of the VM can grow to their full size."""
    growth: dict[str, int] = {}
    pools: dict[str, Any] = {}
    for source in root.iterfind("devices/disk[@device='disk']/source"):
        try:
            path = source.get("file")
            volume = native.storageVolLookupByPath(path) if path else None
            if volume is None:
                continue
            _, capacity, allocation = volume.info()
            pool = volume.storagePoolLookupByVolume()
        except libvirt.libvirtError:
            continue  # the check of the files names it
        pools[pool.name()] = pool
        growth[pool.name()] = growth.get(pool.name(), 0) + max(0, capacity - allocation)
    for pool_name, bytes_ in growth.items():
        free = pools[pool_name].info()[3]
        text = f"the disks can grow by {format_size(bytes_)}; the storage pool {pool_name!r} has {format_size(free)} left"
        if bytes_ > free:
            hint = f"enlarge the pool, or move disks: `novacron vm migrate-storage {name} POOL`"
            yield warning("space", name, text, hint)
        else:
            yield ok("space", name, text)


def _disk_errors(domain: Any, name: str) -> Iterator[Finding]:
    if not domain.isActive():
        return
    try:
        errors = domain.diskErrors()
    except libvirt.libvirtError:
        return  # the hypervisor reports none
    for target, code in errors.items():
        full = code == libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE
        text = f"the disk {target} has an I/O error" + (": no space is left in its storage pool" if full else "")
        hint = "make space in the pool" if full else "check the storage of the disk and the kernel log of the host"
        yield problem("disk", name, text, f"{hint}, then `novacron resume {name}`")


def _messages(domain: Any, name: str) -> Iterator[Finding]:
    try:
        messages = domain.messages(0)
    except (libvirt.libvirtError, AttributeError):
        return  # libvirt is older than 7.1
    for message in messages:
        yield warning("libvirt", name, message, "change the definition of the VM so that it does not use this any more")


__all__ = ["vm_findings"]
