"""Volumes that nothing uses: no disk of a VM, no backing chain, no template and no image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from novacron.handles.images import NOTE
from novacron.records.volumes import Volume
from novacron.specs.query import VMQuery

if TYPE_CHECKING:
    from novacron.fleets.asking import Askable
    from novacron.handles.host import HostHandle

DISK_FORMATS = ("qcow2", "vmdk", "vdi")
"""Only disk images are looked at: a raw file may be anything, such as an ISO image or a file that another program keeps in the pool."""


def orphaned_volumes(fleet: Askable, *, timeout: float | str | None = 60.0) -> list[Volume]:
    """Return the disk images in storage pools that nothing uses, sorted by host, pool and name.

    If a host does not answer, none are returned: it may use volumes of a shared pool.
    """
    answers = fleet.ask([host.name for host in fleet.list()], _look, timeout=timeout)
    if any(answer.error is not None for answer in answers):
        return []
    used = {place for answer in answers for place in answer.value[1]}
    volumes = [volume for answer in answers for volume in answer.value[0] if not used & {volume.path, volume.name}]
    return sorted(volumes, key=lambda one: (one.host, one.pool, one.name))


def _look(host: HostHandle) -> tuple[Sequence[Volume], set[str]]:
    """Return the disk images of a host, and the paths and names of files that something on it uses."""
    pools = host.invoke("pool_list") if host.supports("pool_list") else []
    volumes = [one for pool in pools if pool.active for one in host.invoke("volume_list", pool=pool.name)]
    vms = host.invoke("vm_list", query=VMQuery(detail="full"))
    used = {place for vm in vms for disk in vm.disks or () for place in (disk.source, disk.backing, disk.volume) if place}
    used |= {place for vm in vms for place in _kept_by_snapshots(host, vm)}
    used |= {volume.backing for volume in volumes if volume.backing}
    used |= {volume.name.removesuffix(NOTE) for volume in volumes if volume.name.endswith(NOTE)}
    templates = host.invoke("template_list") if host.supports("template_list") else []
    used |= {disk for template in templates for disk in template.disks}
    names = {path.rpartition("/")[2] for path in used}
    return [one for one in volumes if one.format in DISK_FORMATS], used | names


def _kept_by_snapshots(host: HostHandle, vm: Any) -> set[str]:
    if not host.supports("snapshot_list"):
        return set()
    return {disk for snapshot in host.invoke("snapshot_list", vm=vm.id) for disk in snapshot.disks}


__all__ = ["orphaned_volumes"]
