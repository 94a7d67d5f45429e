"""Whether a running QEMU has the file of a volume open: a second one that wants to write to it is refused.

QEMU locks the files of its disks (OFD locks, also on NFS), and virtlockd keeps a lease for each file if libvirt is set up so. A helper
domain that opens the file, and never runs, meets both.
"""

from __future__ import annotations

import libvirt
from lxml import etree

from novacron.errors import DiskLockedError, UnsupportedOperationError
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.storage.helper_domain import helper_domain
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
        definition = etree.Element("domain", type="qemu")
        etree.SubElement(etree.SubElement(definition, "os"), "type").text = "hvm"
        try:
            with translated(resource=volume), helper_domain(connection, conn, definition, found.path(), format="raw"):
                return False
        except DiskLockedError:
            return True


__all__ = ["is_locked"]
