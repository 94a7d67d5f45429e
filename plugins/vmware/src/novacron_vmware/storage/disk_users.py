"""Finds the VMs that use a disk file, so that no file is deleted or merged that another VM needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from novacron.errors import DiskLockedError, InvalidStateError
from novacron_vmware.devices import places
from novacron_vmware.names import plain_name
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection


def users_of(connection: VMwareConnection, path: str, datacenter: Any = None) -> list[str]:
    """Return the names of the VMs and templates that have a disk file, or a child of it."""
    found = []
    for _, read in connection.collect(vim.VirtualMachine, ["name", "config.hardware.device"], datacenter):
        for _, device in places(read.get("config.hardware.device") or ()):
            if path in chain(device):
                found.append(read["name"])
                break
    return sorted(found)


def refuse_users(connection: VMwareConnection, path: str, name: str, datacenter: Any) -> None:
    """Raise DiskLockedError if a VM or template has a disk file, or a child of it: a VM called `name` would write to it, too."""
    if users := users_of(connection, path, datacenter):
        raise DiskLockedError(
            f"the disk {path!r} is used by {', '.join(users)}",
            resource=name,
            hint="detach it there, or delete that VM and keep its disks, or make the disk shareable",
        )


def chain(device: Any) -> Iterator[str]:
    """Yield the paths of a disk's file and of its parents, such as those of its snapshots."""
    backing = device.backing
    while backing is not None:
        if path := getattr(backing, "fileName", None):
            yield str(path)
        backing = getattr(backing, "parent", None)


def refuse_shared(connection: VMwareConnection, thing: Any, name: str, verb: str, paths: Iterable[str], hint: str) -> None:
    """Raise InvalidStateError if another VM or template has one of these disk files, or a child of one.

    Only the VMs on the datastores of `thing` are read.

    Args:
        connection: where the VM is.
        thing: vSphere's VM, whose own use of the files does not count.
        name: its name, for the error.
        verb: what is about to be done, for the error.
        paths: the files that would be deleted or changed.
        hint: what to do instead.
    """
    wanted = set(paths)
    if not wanted:
        return
    stores = dict(connection.collect(vim.Datastore, ["summary.url", "vm"], connection.content.rootFolder))
    urls = {store: read.get("summary.url") or store for store, read in stores.items()}
    own = {urls[store] for store, read in stores.items() if thing in (read.get("vm") or ())}
    near = {vm for store, read in stores.items() if urls[store] in own for vm in read.get("vm") or ()} - {thing}
    found = connection.read_all(list(near), vim.VirtualMachine, ["name", "config.hardware.device"])
    for path, user in sorted(
        (path, plain_name(read["name"]))
        for _, read in found
        for _, device in places(read.get("config.hardware.device") or ())
        for path in chain(device)
        if path in wanted
    ):
        raise InvalidStateError(f"can't {verb} {name!r}: {user!r} uses its disk {path}", resource=name, hint=hint)


def disk_files(config: Any) -> set[str]:
    """Return the paths of the disk files that a ConfigSpec adds to a VM."""
    devices = (change.device for change in config.deviceChange)
    return {
        str(path)
        for device in devices
        if isinstance(device, vim.vm.device.VirtualDisk) and (path := getattr(device.backing, "fileName", None))
    }


__all__ = ["chain", "disk_files", "refuse_shared", "refuse_users", "users_of"]
