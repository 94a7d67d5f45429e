"""Switching a running VM's disk to another file, and the VMs that libvirtd loses when it dies meanwhile.

libvirtd keeps a record of each running VM, which it reads when it starts. One that died at the end of a block job leaves a record that it
refuses (libvirt 9.0: "unknown mirror job type ''"). It then takes the VM for stopped, but QEMU runs on and writes to the new file.
Starting such a VM, or deleting its files, would destroy data. So a VM's definition says which disk is being switched to which file, from
the moment when all is copied. A VM that libvirtd takes for stopped, without knowing why, in the middle of a switch is lost: whether QEMU
has the file open tells whether it still runs. A process that dies after the switch, and before the definition names the new file, leaves
the same note; the next start of the VM then finds the file that was written last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import libvirt

from novacron.errors import DiskLockedError
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.metadata import change_facts, facts_of
from novacron_kvm.errors import translated
from novacron_kvm.jobs.lost_vms import is_lost, lost_error
from novacron_kvm.jobs.switch_marks import mark, unmark
from novacron_kvm.storage.copies import own_disks, set_defined_disk_file, volume_of
from novacron_kvm.storage.helper_domain import existing_volume, helper_domain
from novacron_kvm.storage.volume_files import volume_record
from novacron_kvm.xml.parsing import parse, text_of

SECURE = libvirt.VIR_DOMAIN_XML_SECURE
TOGETHER = 2.0
"""Seconds within which the two files of a disk were last written as long as QEMU wrote to both, because it was not switched yet."""


@contextmanager
def switching(connection: KVMConnection, domain: Any, target: str, path: str) -> Iterator[Callable[[Any], None]]:
    """Give a function that notes in a VM's definition that a disk is being switched to another file.

    At the end the definition names the new file if the disk was switched, and the note is removed. It stays if libvirtd lost the VM.
    A transient VM has no definition that outlives libvirtd, so nothing is noted.
    """
    identity, noted, switched = domain.UUIDString(), False, False

    def note(there: Any) -> None:
        nonlocal noted
        if there.isPersistent():
            facts, noted = facts_of(there), True
            mark(there)
            change_facts(connection, there, facts, facts.changed(switching={**facts.switching, target: path}))

    try:
        yield note
        switched = True
    finally:
        if noted:
            end = partial(_end_switch, connection, identity, target, path, switched)
            connection.ensure_undone(end, f"the note that {target} is being switched")


def settle_switches(connection: KVMConnection, vm: str) -> None:
    """Let the definition of a stopped VM name the newest file of each disk whose switch was interrupted.

    Args:
        vm: its UUID.

    Raises:
        InvalidStateError: libvirtd lost the VM: QEMU still runs it.
    """
    known = connection.domain(vm)
    with translated(resource=vm):
        if known.isActive() or not facts_of(known).switching:
            return  # the usual case, which needs no connection of its own
    with connection.dedicated() as conn, translated(resource=vm):
        domain = connection.domain(vm, conn)
        if domain.isActive():
            return
        for target, path in facts_of(domain).switching.items():
            if _in_use(connection, conn, domain, path):
                _note_switched(connection, domain, target)
                raise lost_error(domain.name())
            _choose_file(connection, conn, domain, target, path)
            _forget(connection, domain, target)


def _end_switch(connection: KVMConnection, vm: str, target: str, path: str, switched: bool, conn: Any) -> None:
    """Forget a switch, unless libvirtd lost the VM: then note whether QEMU writes to the new file."""
    domain = conn.lookupByUUIDString(vm)
    if not is_lost(domain):
        if switched:  # before the note goes: this process may die between the two
            set_defined_disk_file(connection, conn, domain, target, volume_record(connection.name, existing_volume(conn, path)))
        _forget(connection, conn.lookupByUUIDString(vm), target)
    elif _in_use(connection, conn, domain, path):
        _note_switched(connection, domain, target)


def _in_use(connection: KVMConnection, conn: Any, domain: Any, path: str) -> bool:
    """Whether a QEMU process has a file open: another one that wants to write to it is refused."""
    try:
        with translated(resource=domain.name()), helper_domain(connection, conn, parse(domain.XMLDesc(SECURE)), path):
            return False
    except DiskLockedError:
        return True


def _choose_file(connection: KVMConnection, conn: Any, domain: Any, target: str, path: str) -> None:
    """Let a VM's definition use the newest of the two files of a disk."""
    elements = {text_of(e, "target/@dev"): e for e in own_disks(parse(domain.XMLDesc(0)))}
    if target not in elements:
        return  # somebody removed the disk from the definition
    old, new = volume_of(conn, elements[target]), existing_volume(conn, path)
    if old.path() == new.path():
        return
    if target in facts_of(domain).switched or _changed_at(new) - _changed_at(old) > TOGETHER:
        set_defined_disk_file(connection, conn, domain, target, volume_record(connection.name, new))


def _changed_at(volume: Any) -> float:
    return float(text_of(parse(volume.XMLDesc(0)), "target/timestamps/mtime") or 0)


def _note_switched(connection: KVMConnection, domain: Any, target: str) -> None:
    facts = facts_of(domain)
    change_facts(connection, domain, facts, facts.changed(switched=tuple(sorted({*facts.switched, target}))))


def _forget(connection: KVMConnection, domain: Any, target: str) -> None:
    facts = facts_of(domain)
    left = {name: path for name, path in facts.switching.items() if name != target}
    change_facts(
        connection,
        domain,
        facts,
        facts.changed(switching=left, switched=tuple(name for name in facts.switched if name != target)),
    )
    if not left:
        unmark(domain)


__all__ = ["settle_switches", "switching"]
