"""Whether a running QEMU has the file of a volume open: a second one that wants to write to it is refused.

QEMU locks the files of its disks (OFD locks, also on NFS), and libvirt's lock manager (virtlockd or sanlock) keeps a lease for each file
if the host is set up so. A helper domain that takes the file, and never runs, meets both.
"""

from __future__ import annotations

import libvirt

from novacron.errors import DiskLockedError, UnsupportedOperationError
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.storage import helper_domain
from novacron_kvm.storage.helper_domain import taking
from novacron_kvm.storage.volume_files import find_volume


def is_locked(connection: KVMConnection, pool: str, volume: str) -> bool:
    """Return whether a running VM has a volume open for writing. Raises UnsupportedOperationError unless the volume is a file."""
    with connection.dedicated() as conn, translated(resource=volume):
        found = find_volume(conn, pool, volume)
        if conn.getType() != "QEMU" or found.info()[0] != libvirt.VIR_STORAGE_VOL_FILE:
            raise UnsupportedOperationError(
                f"can't tell whether {volume!r} is in use: only files of QEMU have locks",
                resource=volume,
                hint="use a pool of files, or sanlock, if VMs must be protected by locks",
            )
        try:
            with translated(resource=volume), taking(connection, conn, found.path()):
                return False
        except DiskLockedError:
            return True


def lock_manager(connection: KVMConnection) -> str:
    """Return the lock manager of a host. Raises UnsupportedOperationError unless its hypervisor is QEMU."""
    with connection.dedicated() as conn, translated():
        if conn.getType() != "QEMU":
            raise UnsupportedOperationError("only libvirt's driver of QEMU has a lock manager", host=connection.name)
        return helper_domain.lock_manager(connection, conn)


__all__ = ["is_locked", "lock_manager"]
