"""Files that one operation begins to use while another one destroys them, in two processes or from two machines.

Who deletes a file, or overwrites it, first looks who needs it. Who makes an overlay above a file, or a VM with it, first looks whether the
file is there. Without a lock both could find nothing in their way. So what destroys a file holds its lock from its look until the file is
gone (`destroying`). What begins to read a file looks once more when its own use can be seen, with the lock held (`reading`): either that
look finds the file as it was, or the look of the other finds the use. Disks that only one VM may have are looked for and given to it with
the lock held (`using`).

What begins to use a file also takes it out of the notes of files that a killed deletion left, or a later one would delete it.

The name of a file is the name of its lock, because hosts that share storage can have it in different folders.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import libvirt

from novacron.dispatch.call import time_left
from novacron.errors import BusyError
from novacron_kvm.connection import KVMConnection
from novacron_kvm.storage.busy_pools import IN_TIME, PATIENCE
from novacron_kvm.storage.deletion_notes import spare
from novacron_kvm.storage.host_files import is_writable, looks_of
from novacron_kvm.storage.volume_files import find_path, refresh_pools, volume_of_disk
from novacron_kvm.xml.parsing import text_of


@contextmanager
def destroying(connection: KVMConnection, conn: Any, paths: Iterable[str], *, patience: float | None = None) -> Iterator[None]:
    """Hold files from the look for their users until they are deleted or overwritten. Overlays that other hosts made are read first.

    Args:
        patience: longest time to wait for another process that holds one, in seconds.

    Raises:
        BusyError: another process holds one of them.
    """
    going = {path for path in paths if path.startswith("/")}
    with holding(connection, going, patience=patience):
        refresh_pools(conn, going)
        yield


@contextmanager
def reading(
    connection: KVMConnection, conn: Any, paths: Iterable[str], *, written: bool = False, held: Collection[str] = ()
) -> Iterator[None]:
    """Make something in the block that needs the content of files, and see at its end that nobody has deleted or changed them.

    Args:
        written: the VM that is being changed writes to them meanwhile.
        held: files that the caller holds. Another one of the same name has the same lock.

    Raises:
        BusyError: a file was deleted or changed. What the block made must be removed.
    """
    before = {path: _content(conn, path, written=written) for path in {*paths}}
    yield
    for path, content in before.items():
        if content is None:
            continue  # in no storage pool: NovaCron does not delete it
        with holding(connection, {path} if posixpath.basename(path) not in map(posixpath.basename, held) else ()):
            if _content(conn, path, written=written) != content:
                raise BusyError(
                    f"{path} was deleted or changed by another client meanwhile",
                    resource=posixpath.basename(path),
                    outcome="failed",
                    hint="try again if the file is still there",
                )
            spare(conn, {path})


@contextmanager
def using(connection: KVMConnection, conn: Any, disks: Iterable[Any], *, made: Collection[str] = ()) -> Iterator[None]:
    """Look for other users of the files of <disk>s, and let a VM have them, in the block.

    Args:
        made: files that were just created; nobody else uses or deletes them.

    Raises:
        BusyError: another process holds one of them, or has deleted one that the VM only reads.
    """
    own, read = set[str](), set[str]()
    for disk in disks:
        written = text_of(disk, "source/@file")
        volume = None if written in made else volume_of_disk(conn, disk)
        if volume is not None:
            (own if is_writable(disk) and disk.find("shareable") is None else read).add(str(volume.path()))
    # who writes one file and reads another holds both from the beginning, in one order: another VM may read the one and write the other
    held = own | read if own else own
    with holding(connection, held):
        refresh_pools(conn, own)
        spare(conn, own)
        with reading(connection, conn, read - own, written=True, held=held):
            yield


@contextmanager
def holding(connection: KVMConnection, paths: Iterable[str], *, patience: float | None = None) -> Iterator[None]:
    """Hold files. Raises BusyError: another process holds one of them."""
    left = time_left()
    patience = PATIENCE if patience is None else patience
    patience = patience if left is None else min(patience, IN_TIME * left)
    with ExitStack() as locks:
        for name in sorted({posixpath.basename(path) for path in paths}):  # in one order, so that no two wait for each other
            locks.enter_context(connection.exclusive(f"file {name}", patience))
        yield


def _content(conn: Any, path: str, *, written: bool) -> tuple[str | None, ...] | None:
    """Return what tells the content of a file from another one. None if no storage pool has the file."""
    volume = find_path(conn, path)
    if volume is None:
        return None
    try:
        looks = looks_of(volume)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_SYSTEM_ERROR):
            return None  # it was deleted, and the pool was not read again
        raise
    return () if written or looks is None else (looks[0], looks[4], looks[5], looks[8])


__all__ = ["destroying", "holding", "reading", "using"]
