"""The cloud-init seed: a NoCloud ISO image made in memory and uploaded into the pool."""

from __future__ import annotations

import io
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from novacron.cloud_init import Seed, seed
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.storage.volume_files import create_whole, path_in, remove_created
from novacron_kvm.xml.storage import volume_xml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from novacron.specs.disks import DiskSpec
    from novacron.specs.vm import VMSpec


def seed_image(documents: Seed) -> bytes:
    """Return the ISO image with user-data, meta-data and, if given, network-config and vendor-data."""
    import pycdlib

    wanted = {
        "user-data": documents.user_data,
        "meta-data": documents.meta_data,
        "network-config": documents.network_config,
        "vendor-data": documents.vendor_data,
    }
    files = {file: text for file, text in wanted.items() if text is not None}
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (file, text) in enumerate(files.items()):
        data = text.encode()
        iso.add_fp(io.BytesIO(data), len(data), f"/F{number}.;1", rr_name=file, joliet_path=f"/{file}")
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


def make_seed(connection: KVMConnection, conn: Any, spec: VMSpec, undo: ExitStack) -> str:
    """Upload the seed of a VM and return its path."""
    if spec.cloud_init is None:
        raise ValueError("the VM has no cloud_init")
    image, (pool_name, name) = seed_image(seed(spec.cloud_init, spec.name, connection.secrets.get)), _seed_volume(spec)
    with translated(resource=name):
        pool = conn.storagePoolLookupByName(pool_name)
        volume = create_whole(connection, pool, name, lambda: pool.createXML(volume_xml(name, len(image), "raw", None), 0))
        undo.callback(remove_created, connection, pool, name)
        stream = conn.newStream(0)
        volume.upload(stream, 0, len(image), 0)
        view = memoryview(image)
        while view:
            view = view[stream.send(bytes(view[:262144])) :]
        stream.finish()
        return str(volume.path())


def seed_path(conn: Any, spec: VMSpec) -> str:
    """Return the path that the seed of a VM would have."""
    pool, name = _seed_volume(spec)
    with translated(resource=name):
        return path_in(conn.storagePoolLookupByName(pool), name)


def _seed_volume(spec: VMSpec) -> tuple[str, str]:
    """Return the pool and the name of a VM's seed."""
    return spec.disks[0].pool if spec.disks else "default", f"{spec.name}-seed.iso"


def seed_drive(path: str, buses: Iterable[str]) -> DiskSpec:
    """Return the CD-ROM drive of a seed, on a bus for which the guest has a driver.

    Args:
        path: the seed.
        buses: the buses of the VM's disks. If one is virtio or SCSI, the drive is on virtio-scsi: the kernels of cloud images, such as
            Debian's genericcloud, have no driver for SATA. Otherwise it is where the machine has its drives.

    Example:
        >>> seed_drive("/s.iso", ["virtio"]).bus, seed_drive("/s.iso", ["sata"]).bus
        ('scsi', None)
    """
    from novacron.specs.disks import DiskSpec

    return DiskSpec(device="cdrom", path=path, bus="scsi" if {"virtio", "scsi"} & {*buses} else None)


__all__ = ["make_seed", "seed_drive", "seed_image", "seed_path"]
