"""Who needs a file, and refusing disks that would share one which a VM writes: two VMs, or a VM and an overlay above its file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from novacron.errors import DiskLockedError, InvalidStateError
from novacron_kvm.connection import KVMConnection
from novacron_kvm.storage.host_files import HostFiles, is_writable
from novacron_kvm.storage.other_hosts import look_elsewhere, users_elsewhere
from novacron_kvm.storage.volume_files import find_path, users_of
from novacron_kvm.xml.parsing import text_of

TEMPLATE = re.compile(r"(?P<version>template-(?P<name>.+)-v\d+)-.+")
"""The name of a volume with a disk of a template."""


class Users(NamedTuple):
    """Who needs a file.

    Attributes:
        known: VMs and volumes, in words.
        silent: hosts that do not answer and may have a VM that needs it.
    """

    known: list[str]
    silent: Sequence[str]


def users_everywhere(
    connection: KVMConnection,
    conn: Any,
    path: str,
    *,
    but: str = "",
    only_running: bool = False,
    files: HostFiles | None = None,
) -> Users:
    """Return who needs a file: VMs of this host and of the fleet's others, and unless `only_running` volumes backed by it.

    Args:
        but: the UUID of a VM that does not count.
        files: those of this host, if they were read already.
    """
    files = files or HostFiles(conn)
    here = users_of(files, path, but=but, only_running=only_running)
    elsewhere = look_elsewhere(connection, conn, [path], only_running=only_running, files=files)
    return Users(here + elsewhere.users.get(path, []), elsewhere.silent.get(path, ()))


def refuse_disks_in_use(
    connection: KVMConnection,
    conn: Any,
    vm: str,
    disks: Iterable[Any],
    *,
    made: Collection[str] = (),
    but: str = "",
    files: HostFiles | None = None,
) -> None:
    """Refuse <disk>s whose file another VM of this host or of the fleet uses, another volume is backed by, or a template consists of.

    Disks that the VM shares or only reads may have other users.

    Args:
        made: files that were just created; nobody can use them.
        but: the UUID of a VM that may use them.
        files: those of this host, if they were read already.

    Raises:
        DiskLockedError: another VM uses it.
        InvalidStateError: a volume or a template needs its content.
    """
    exclusive = [
        disk for disk in disks if is_writable(disk) and disk.find("shareable") is None and disk.find("source") is not None
    ]
    exclusive = [disk for disk in exclusive if text_of(disk, "source/@file") not in made]
    if not exclusive:
        return
    files = files or HostFiles(conn)
    wanted = {name: text_of(disk, "target/@dev") or name for disk in exclusive if (name := files.name_of(disk.find("source")))}
    here = files.users(wanted)
    elsewhere = users_elsewhere(connection, conn, wanted, files=files)
    for path, target in wanted.items():
        vms = sorted(name for identity, name in here[path].items() if identity != but)
        users = [f"the VM {name!r}" for name in vms] + elsewhere.get(path, [])
        if users:
            raise DiskLockedError(
                f"the disk {target!r}, {path}, is used by {', '.join(users)}",
                resource=vm,
                hint="detach it there, or delete that VM and keep its disks; snapshots of that VM may use it, too. Disks that are "
                "read-only, or raw and shareable, may have several users",
            )
        _refuse_needed_as_it_is(conn, files, vm, target, path)


def _refuse_needed_as_it_is(conn: Any, files: HostFiles, vm: str, target: str, path: str) -> None:
    """Refuse a file whose content must not change: volumes are backed by it, or it belongs to a template."""
    volume = find_path(conn, path) if path.startswith("/") else None
    if volume is None:
        return
    users = [f"the volume {name!r} is backed by it" for name in files.above(path)]
    match = TEMPLATE.fullmatch(volume.name())
    if match and f"{match['version']}.xml" in volume.storagePoolLookupByVolume().listVolumes():
        users.append(f"it belongs to the template {match['name']!r}")
    if users:
        raise InvalidStateError(
            f"the disk {target!r}, {path}, would change what others read: {', '.join(users)}",
            resource=vm,
            hint="start from it as an image (source), or copy it first (`novacron volume clone`)",
        )


def refuse_written_image(conn: Any, path: str, *, whole: bool = False) -> None:
    """Refuse to start from a file that a VM of this host writes: the new disk would change with it, and be corrupt.

    Args:
        whole: all of it is copied at once, and then only a running VM is in the way.

    Raises:
        DiskLockedError
    """
    users = [f"the VM {name!r}" for name in HostFiles(conn).writers(path, only_running=whole)]
    if users:
        raise DiskLockedError(
            f"can't {'copy' if whole else 'back a disk with'} {path}: it is the disk of {', '.join(users)}, which can write to it",
            resource=path,
            hint="clone the VM (`novacron vm clone`), or make a template of it (`novacron template create`)"
            + ("" if whole else "; or copy the disk of the stopped VM completely (copy_mode=full)"),
        )


__all__ = ["Users", "refuse_disks_in_use", "refuse_written_image", "users_everywhere"]
