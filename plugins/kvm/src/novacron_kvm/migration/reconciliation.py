"""After a migration that ended in doubt: look at both hosts, roll back what can be rolled back, and say what can't be known.

Of two running copies none is ever stopped: which one is right is for a person, or a fencing device, to say.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import libvirt

from novacron.errors import MigrationError, NovaCronError, VMNotFoundError
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.inventory.records import vm_record

RECONCILE_SECONDS = 12.0
"""How long both hosts are watched until their states fit together: libvirt cleans up after itself within a few seconds."""
LOOK_SECONDS = 5.0

ABSENT, UNREACHABLE, STARTING_UP = "absent", "unreachable", "starting up"


class Located(NamedTuple):
    """Where the VM is, and what each host said."""

    connection: KVMConnection
    source: str
    destination: str


def reconcile(source: KVMConnection, destination: KVMConnection, before: VM, error: NovaCronError | None) -> Located:
    """Return the host that has the VM, in the state it should have there.

    Args:
        before: the VM before the migration.
        error: how the migration ended.

    Raises:
        MigrationError: outcome "unknown"; names both hosts with what was last seen there.
    """
    deadline = time.monotonic() + RECONCILE_SECONDS
    while True:
        here, there = look(source, before.id), look(destination, before.id)
        place = _judge(source, destination, before, here, there)
        if place is not None:
            return place
        if time.monotonic() > deadline:
            break
        time.sleep(0.25)
    raise MigrationError(
        f"where {before.name!r} is after its migration is not known: {source.name} says {here}, {destination.name} says {there}",
        resource=before.name,
        outcome="unknown",
        details={"source": here, "destination": there},
        hint="look at both hosts; when both run it, stop the wrong one by hand before its disks are damaged",
    ) from error


def look(connection: KVMConnection, vm: str) -> str:
    """Return a VM's status on a host, "starting up", "absent" or "unreachable"."""
    try:
        record = connection.bounded(lambda: vm_record(connection, connection.domain(vm), sizes=False), timeout=LOOK_SECONDS)
    except VMNotFoundError:
        return ABSENT
    except NovaCronError:
        return UNREACHABLE
    # at the destination this is a VM that waits for its memory; it doesn't run, and may go away again
    return STARTING_UP if record.status_reason == STARTING_UP else record.status


def _judge(source: KVMConnection, destination: KVMConnection, before: VM, here: str, there: str) -> Located | None:
    """Decide, act on what is certain, and return None while nothing is."""
    wanted = before.status
    if here == ABSENT and there == wanted:
        return Located(destination, here, there)
    if there == ABSENT and here == wanted:
        return Located(source, here, there)
    if there == ABSENT and here == "crashed":
        return Located(source, here, there)  # its QEMU ended meanwhile
    if there == ABSENT and wanted == "running" and here == "suspended":
        _try(source, before.id, lambda d: d.resume())  # rolled back, but libvirt left it halted
    elif here == wanted == "running" and there == "stopped":
        _try(destination, before.id, lambda d: d.undefine())  # a definition that was written too early
    elif here == ABSENT and wanted == "running" and there == "suspended":
        _try(destination, before.id, lambda d: d.resume())
    elif there == wanted == "running" and here == "stopped":
        _try(source, before.id, lambda d: d.undefine())  # it has moved; only the old definition is left
    return None


def _try(connection: KVMConnection, vm: str, action: Any) -> None:
    try:
        connection.bounded(lambda: action(connection.domain(vm)), timeout=LOOK_SECONDS)
    except (NovaCronError, libvirt.libvirtError):
        pass  # looked at again


__all__ = ["Located", "look", "reconcile"]
