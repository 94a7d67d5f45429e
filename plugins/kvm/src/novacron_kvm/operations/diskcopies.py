"""The files that a migration without shared storage copies a VM's disks to.

They are made at the destination beforehand: libvirt makes some itself, but leaves them there when the migration fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libvirt

from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.operations.diskfiles import remove_volume
from novacron_kvm.operations.precheck import copied, folder_pool
from novacron_kvm.operations.volumes import find_path, needed_elsewhere, volume_record
from novacron_kvm.xml.storage import volume_xml

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec


class Targets:
    """The files made at the destination, by path; none with shared storage."""

    def __init__(self, destination: KVMConnection, paths: list[str]) -> None:
        self._destination, self._paths = destination, paths

    def settle(self, source: KVMConnection, made: list[str], *, arrived: bool) -> None:
        """Delete the files of the side that the VM is not on; at the source those that were made for it (`made`)."""
        if not arrived:
            for path in self._paths:
                _remove(self._destination, path)
            return
        own = {*self._paths} & {*made}
        for path in own - needed_elsewhere(source.read, own):
            _remove(source, path)


def make_targets(destination: KVMConnection, record: VM, spec: MigrationSpec) -> Targets:
    """Make an empty file for each disk that is to be copied; all or none."""
    targets = Targets(destination, [])
    if spec.storage == "shared" or record.status == "stopped":
        return targets
    try:
        for disk in record.disks or ():
            if copied(disk) and disk.source and disk.source.startswith("/"):
                pool = folder_pool(destination.read, disk.source)
                backing = _backing(destination, disk.backing) if spec.storage == "copy-top" and disk.backing else None
                text = volume_xml(disk.source.rpartition("/")[2], disk.size_bytes or 0, disk.format or "raw", backing)
                targets._paths.append(disk.source)
                pool.createXML(text, 0)  # type: ignore[union-attr]  # the pre-check has seen it
    except libvirt.libvirtError:
        targets.settle(destination, [], arrived=False)
        raise
    return targets


def _backing(destination: KVMConnection, path: str) -> tuple[str, str]:
    volume = find_path(destination.read, path)
    return path, volume_record(destination.name, volume).format if volume is not None else "raw"


def _remove(connection: KVMConnection, path: str) -> None:
    pool = folder_pool(connection.read, path)
    if pool is not None:
        remove_volume(pool, path.rpartition("/")[2])


__all__ = ["Targets", "make_targets"]
