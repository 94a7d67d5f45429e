"""Nodes that return. After a failover, old definitions are deleted before a node is used again, so that nothing starts a second copy.

A node that was rebooted so quickly that no failover began has lost its VMs; they are started again there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from novacron.errors import NovaCronError, VMNotFoundError
from novacron.fleets.demand import INACTIVE
from novacron.fleets.failover.restarting import invoke_host
from novacron.records.failover import RestartedVM
from novacron.records.vm import VM
from novacron.specs.query import VMQuery

GONE = frozenset({"running", "moved", "placed", "failed"})
"""A VM with one of these statuses runs elsewhere, or may."""


def cleaned(
    host: Any, vms: Sequence[RestartedVM], places: Mapping[str, Sequence[VM]], check: Callable[[], object]
) -> tuple[list[str], list[str]]:
    """Delete the definitions of VMs that were restarted elsewhere. Their disks are kept.

    VMs that run or are paused are stopped first: libvirt releases the lease of a paused VM, which could overwrite its successor's data.
    A VM that no other host has is left alone, because it may have been moved back by hand.

    Args:
        host: the host that has returned.
        vms: the VMs of the failover.
        places: what the other hosts report, by the VM's UUID.
        check: raises an error if the controller has lost its right.

    Returns:
        What was done, and what is left to do, as texts.
    """
    gone = {vm.vm: vm for vm in vms if vm.status in GONE}
    done, left = [], []
    found = invoke_host(host, "vm_list", query=VMQuery(detail="full"))
    for record in sorted(found, key=lambda vm: vm.status != "suspended"):
        if record.id in gone:
            stopped = record.status in INACTIVE
            if not [other for other in places.get(record.id, ()) if stopped or other.status not in INACTIVE]:
                left.append(f"{record.name}: no other host {'has' if stopped else 'runs'} it; look where it belongs")
                continue
            check()
            try:
                if not stopped:
                    invoke_host(host, "vm_stop", vm=record.id)
                invoke_host(host, "vm_delete", vm=record.id, keep_disks=True, force=False)
                done.append(f"{record.name}: the old definition is deleted")
            except VMNotFoundError:
                continue
            except NovaCronError as error:
                left.append(f"{record.name}: {error}")
    waiting = [vm.name for vm in vms if vm.status == "pending"]
    if waiting:
        left.append(f"not restarted elsewhere yet: {', '.join(waiting[:5])}{' ...' if len(waiting) > 5 else ''}")
    return done, left


def ended_together(host: Any, vms: Collection[str]) -> bool:
    """Return whether none of some VMs runs on a host. So it is when the host was rebooted, and not when only its daemon was restarted."""
    return not any(vm.id in vms and vm.status not in INACTIVE for vm in invoke_host(host, "vm_list", query=VMQuery()))


def started_again(
    host: Any,
    vms: Sequence[str],
    places: Mapping[str, Sequence[VM]],
    unknown: Callable[[str], str],
    check: Callable[[], object],
) -> tuple[list[str], list[str]]:
    """Start the VMs that ran on a host before it was silent, and have ended since: it may have been off for a while.

    A VM that runs elsewhere, or may, is not started: it may have been migrated while the host was silent.

    Args:
        host: the host that answers again.
        vms: UUIDs of the VMs that ran there.
        places: what the other hosts report, by the VM's UUID.
        unknown: returns why a VM may run on another node that does not tell; empty if it can't.
        check: raises an error if the controller has lost its right.

    Returns:
        What was done, and what is left to do, as texts.
    """
    found = {vm.id: vm for vm in invoke_host(host, "vm_list", query=VMQuery())}
    done, left = [], []
    for vm in vms:
        record = found.get(vm)
        if record is None or record.status not in INACTIVE:
            continue
        if any(other.status not in INACTIVE for other in places.get(vm, ())):
            continue
        if why := unknown(vm):
            left.append(f"{record.name} is not started: {why}")
            continue
        check()
        try:
            invoke_host(host, "vm_start", vm=vm)
            done.append(f"{record.name}: started again")
        except NovaCronError as error:
            left.append(f"{record.name} is not started: {error}")
    return done, left


def stays_home(vm: RestartedVM, left: Sequence[str]) -> RestartedVM:
    """Return what becomes of a VM that no other node could take, and whose own node is used again.

    Args:
        vm: the VM.
        left: what could not be done there, as texts that begin with the name of a VM or concern them all.
    """
    why = "; ".join(text for text in left if text.startswith((f"{vm.name} is ", "it is ")))
    changes = {"status": "failed", "reason": why[:500]} if why else {"status": "moved", "reason": "its own node has returned"}
    changed: RestartedVM = vm.replace(**changes)
    return changed


def left_behind(vm: RestartedVM, node: str) -> RestartedVM:
    """Return what becomes of a VM that waits when its node leaves the fleet. One with a destination may run there already."""
    changes = {"status": "refused" if vm.destination is None else "failed", "reason": f"{node} has left the fleet"}
    changed: RestartedVM = vm.replace(**changes)
    return changed


__all__ = ["GONE", "cleaned", "ended_together", "left_behind", "started_again", "stays_home"]
