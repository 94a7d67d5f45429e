"""What each operation does to the allocation of a VM. Every changing operation is in one of these tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from novacron.dispatch.call import Call
from novacron.records.capacity import Amounts
from novacron.records.vm import VM
from novacron.store.takers import Taker

Change = Callable[[Call, VM, Taker], Taker]
"""Returns what a VM takes after an operation, from the call, its record and what it takes now."""


def _active(call: Call, vm: VM, now: Taker) -> Taker:
    size = Amounts(vcpus=vm.vcpus, memory_bytes=vm.memory_bytes, storage_bytes=now.amounts.storage_bytes)
    return msgspec.structs.replace(now, amounts=size, active=True)


def _reverted(call: Call, vm: VM, now: Taker) -> Taker:
    """Return the amounts of the running VM: a snapshot with memory starts it."""
    return _active(call, vm, now)


def _resized(call: Call, vm: VM, now: Taker) -> Taker:
    """Return the larger amounts of an active VM: a change of its definition only is settled afterwards."""
    changes = call.arguments.get("changes")
    vcpus = call.arguments.get("count") or getattr(changes, "vcpus", None) or 0
    memory = call.arguments.get("size") or getattr(changes, "memory", None) or 0
    tags = getattr(changes, "tags", None)
    amounts = now.amounts
    if now.active and call.arguments.get("live", True):
        amounts = amounts.largest(Amounts(vcpus=vcpus, memory_bytes=memory))
    return msgspec.structs.replace(now, amounts=amounts, tags=now.tags if tags is None else tags)


def _with_disk(call: Call, vm: VM, now: Taker) -> Taker:
    spec = call.arguments["spec"]
    return msgspec.structs.replace(now, amounts=now.amounts + Amounts(storage_bytes=spec.size or 0))


def _with_larger_disk(call: Call, vm: VM, now: Taker) -> Taker:
    disk = next((disk for disk in vm.disks or () if disk.target == call.arguments["disk"]), None)
    growth = max(0, call.arguments["size"] - (disk.size_bytes or 0 if disk else 0))
    return msgspec.structs.replace(now, amounts=now.amounts + Amounts(storage_bytes=growth))


def _with_device(call: Call, vm: VM, now: Taker) -> Taker:
    """Return the taker with locked memory: VFIO pins the memory of a guest with a PCI device."""
    if call.arguments["spec"].usb or "devices of the host" in now.locked_memory:
        return now
    return msgspec.structs.replace(now, locked_memory=(*now.locked_memory, "devices of the host"))


GROWING: Mapping[str, Change] = {
    "vm_start": _active,
    "vm_restore": _active,
    "snapshot_revert": _reverted,
    "vcpus_set": _resized,
    "memory_set": _resized,
    "vm_update": _resized,
    "disk_attach": _with_disk,
    "disk_resize": _with_larger_disk,
    "device_attach": _with_device,
}
"""Operations after which a VM may take more. It is claimed before."""

SETTLING = frozenset(
    {"vm_stop", "vm_shutdown", "vm_save", "disk_detach", "device_detach", "vm_rename", "vm_resume", "vm_reset", "vm_reboot"}
)
"""Operations after which a VM takes the same or less. What it takes is stored afterwards."""

CREATING = frozenset({"vm_create", "vm_clone", "vm_clone_instant"})
"""Operations that create a VM whose size is known before."""

CREATING_UNSEEN = frozenset({"template_deploy", "appliance_import", "vm_import"})
"""Operations that create a VM whose size is known afterwards. The VM is created stopped, and then started if that was wanted."""

MOVING = frozenset({"vm_migrate"})
DELETING = frozenset({"vm_delete"})

NEUTRAL = frozenset(
    [
        "vm_suspend",
        "question_answer",
        "iothreads_set",
        "pinning_set",
        "limits_set",
        "disk_limit",
        "disk_change_media",
        "disk_pull",
        "disk_commit",
        "nic_attach",
        "nic_detach",
        "nic_update",
        "nic_link_set",
        "volume_create",
        "volume_resize",
        "volume_convert",
        "volume_clone",
        "volume_wipe",
        "volume_delete",
        "volume_upload",
        "volume_download",
        "pool_create",
        "pool_start",
        "pool_stop",
        "pool_refresh",
        "pool_delete",
        "network_create",
        "network_update",
        "network_start",
        "network_stop",
        "network_delete",
        "filter_create",
        "filter_update",
        "filter_delete",
        "snapshot_create",
        "snapshot_delete",
        "template_create",
        "template_update",
        "template_delete",
        "vm_migrate_storage",
        "migration_tune",
        "console_send_keys",
        "guest_exec",
        "guest_file_write",
        "guest_freeze",
        "guest_thaw",
        "guest_password_set",
        "guest_ssh_keys_set",
        "appliance_export",
    ]
)
"""Operations that change nothing of what a VM takes. Volumes without a VM and snapshots are not counted."""

CLAIMED = frozenset({*GROWING, *SETTLING, *CREATING, *CREATING_UNSEEN, *MOVING, *DELETING})
"""The operations that the claim policy handles."""

__all__ = ["CLAIMED", "CREATING", "CREATING_UNSEEN", "DELETING", "GROWING", "MOVING", "NEUTRAL", "SETTLING"]
