"""Checks of a libvirt host: versions, KVM, the kind of connection, confinement, UEFI, and folders that QEMU must be able to enter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libvirt

from novacron.plugins import HostURI
from novacron.records.diagnosis import Finding, ok, problem, warning
from novacron_kvm.capabilities import best_virt_type, guests
from novacron_kvm.connection import KVMConnection
from novacron_kvm.diagnosis.folders import closed_folder, qemu_user
from novacron_kvm.domain_capabilities import DomainCapabilities
from novacron_kvm.storage.deletion_notes import notes
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.other_hosts import look_elsewhere
from novacron_kvm.storage.volume_files import find_path, needed_elsewhere
from novacron_kvm.versions import too_old, version_number, version_text
from novacron_kvm.xml.parsing import parse, text_of

CONFINING = ("apparmor", "selinux")
OLD_QEMU = "5.0.0"
"""QEMU before this version lacks features that operations rely on, such as `-blockdev` for all disks."""


def host_findings(connection: KVMConnection) -> Iterator[Finding]:
    """Yield the findings of all checks of a host."""
    capabilities = parse(connection.read.getCapabilities())
    for check in (_versions, _virt_type, _session, _confinement, _firmware, _pool_folders, _left_files):
        yield from check(connection, capabilities)


def is_local(uri: str) -> bool:
    """Whether a URI means the system's or the user's own daemon on this machine, whose files have the same paths here.

    Example:
        >>> is_local("qemu:///system"), is_local("qemu+ssh://kvm1/system"), is_local("qemu+unix:///system?socket=/run/other")
        (True, False, False)
    """
    parsed = HostURI.parse(uri)
    return parsed.scheme.startswith("qemu") and not parsed.host and not parsed.query and parsed.path in ("/system", "/session")


def _versions(connection: KVMConnection, _: Any) -> Iterator[Finding]:
    name, daemon = connection.name, connection.libvirt_version
    limited = sorted(too_old(daemon))
    if limited:
        hint = "upgrade libvirt on the host"
        yield warning("version", name, f"libvirt {version_text(daemon)} is too old for {', '.join(limited)}", hint)
    else:
        yield ok("version", name, f"libvirt {version_text(daemon)}")
    if connection.read.getType() == "QEMU":
        qemu = connection.read.getVersion()
        if qemu < version_number(OLD_QEMU):
            yield warning("version", name, f"QEMU {version_text(qemu)} is older than {OLD_QEMU}", "upgrade QEMU on the host")
        else:
            yield ok("version", name, f"QEMU {version_text(qemu)}")


def _virt_type(connection: KVMConnection, capabilities: Any) -> Iterator[Finding]:
    arch = text_of(capabilities, "host/cpu/arch") or ""
    if connection.read.getType() != "QEMU" or arch not in guests(connection.read):
        return
    virt_type, reason = best_virt_type(connection, arch)
    if virt_type == "kvm":
        yield ok("kvm", connection.name, reason)
        return
    hint = (
        "VMs are emulated and slow. Enable virtualisation (VT-x, AMD-V) in the firmware of the host, load the kernel module kvm_intel or"
        " kvm_amd, and check that /dev/kvm is there; within a VM, enable nested virtualisation on its host"
    )
    yield warning("kvm", connection.name, reason, hint)


def _session(connection: KVMConnection, _: Any) -> Iterator[Finding]:
    path = HostURI.parse(connection.read.getURI()).path
    if path == "/session":
        text = "this is a user session: it has no bridges or NAT networks, no host devices, and its VMs end with the user's processes"
        yield warning("session", connection.name, text, "join the group `libvirt` and use qemu:///system")
    elif path == "/system":
        yield ok("session", connection.name, "this is the daemon of the system")


def _confinement(connection: KVMConnection, capabilities: Any) -> Iterator[Finding]:
    models = [text_of(each, "model") for each in capabilities.iterfind("host/secmodel")]
    if connection.read.getType() != "QEMU":
        return
    confining = [model for model in models if model in CONFINING]
    if confining:
        yield ok("confinement", connection.name, f"{', '.join(confining)} confines QEMU to the files of its VM")
    else:
        hint = "enable AppArmor or SELinux on the host, and leave security_driver out of qemu.conf; then restart libvirtd"
        yield warning("confinement", connection.name, "neither AppArmor nor SELinux confines QEMU", hint)


def _firmware(connection: KVMConnection, capabilities: Any) -> Iterator[Finding]:
    arch = text_of(capabilities, "host/cpu/arch") or ""
    known = guests(connection.read).get(arch)
    if connection.read.getType() != "QEMU" or not known:
        return
    virt_type = "kvm" if "kvm" in known["virt_types"] else known["virt_types"][0]
    offered = DomainCapabilities.of(connection.read, arch, None, virt_type).values("os", "firmware")
    if offered is None:
        return
    if "efi" in offered:
        yield ok("firmware", connection.name, "UEFI firmware is installed")
    else:
        yield warning("firmware", connection.name, "no UEFI firmware is installed", "install ovmf (edk2-ovmf) on the host")


def _left_files(connection: KVMConnection, _: Any) -> Iterator[Finding]:
    """Report files of VMs whose deletion was killed, but not those that something uses: such a VM may have been moved to another host."""
    conn = connection.read
    for note in notes(conn):
        there = {path for path in note.files if find_path(conn, path) is not None}
        unneeded = there - needed_elsewhere(HostFiles(conn), there) if there else there
        if files := sorted(unneeded - {*look_elsewhere(connection, conn, unneeded).users}):
            text = f"the deletion of the VM {note.name!r} was killed; of its files are left: {', '.join(files)}"
            later = "the next `novacron vm delete` on this host deletes them, unless something uses them"
            hint = later if note.certain else "delete them if nobody needs them (`novacron volume delete`)"
            yield warning("deletion", note.name, text, hint)


def _pool_folders(connection: KVMConnection, capabilities: Any) -> Iterator[Finding]:
    """Check that QEMU's user can enter the folders of the pools; only the daemon's own machine can be looked at."""
    user = qemu_user(capabilities)
    if user is None or not is_local(connection.uri):
        return
    for pool in connection.read.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        folder = text_of(parse(pool.XMLDesc(0)), "target/path")
        closed = closed_folder(folder, *user) if folder else None
        if closed is not None:
            text = f"QEMU, which runs as the user {user[0]}, can't enter {closed}, where the storage pool {pool.name()!r} is"
            yield problem("permissions", pool.name(), text, f"chmod o+x {closed}")
        elif folder:
            yield ok("permissions", pool.name(), f"QEMU can enter {folder}")


__all__ = ["host_findings", "is_local"]
