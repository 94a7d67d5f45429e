"""Snapshots' metadata over a migration: libvirt refuses to move a VM that has any, so it is taken off before and given back after.

Meanwhile it is kept in the VM's own definition, written before anything is taken off and removed after all is back. There it outlives
this process and goes wherever the VM goes; whoever looks at the snapshots next gives it back. (Their content is in the disks all along.)
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import Any, NamedTuple

import libvirt

from novacron.errors import BusyError
from novacron_kvm.domains.metadata import element, set_element
from novacron_kvm.domains.snapshots import snapshots_of
from novacron_kvm.jobs.domain_jobs import statistics
from novacron_kvm.xml.parsing import parse, serialise

NAMESPACE = "https://novacron.org/xmlns/snapshots/1"
KEY = "novacron-snapshots"
GRACE = 10.0
"""Seconds after parking in which a migration is taken to be about to begin, or to have just ended, although there is no job."""
POLL = 0.25


class StoredSnapshot(NamedTuple):
    """A snapshot's definition, parents before children in a list, and whether it was the current one."""

    definition: str
    current: bool


def store_metadata(domain: Any) -> None:
    """Take the metadata of all snapshots off a VM, kept within it; nothing happens when it has none."""
    found = [snapshot for snapshot, _ in snapshots_of(domain)]
    if found:
        _keep(domain, [StoredSnapshot(s.getXMLDesc(0), bool(s.isCurrent())) for s in found])
        _take_off(found)


def forget(domain: Any, names: set[str]) -> None:
    """Remove the metadata of snapshots, those after them becoming their parents' children, and nothing else.

    libvirt's own way changes the files that the later snapshots name: it takes the overlays for merged.
    """
    listed = snapshots_of(domain, libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
    found, roots = [snapshot for snapshot, _ in listed], {snapshot.getName(): root for snapshot, root in listed}
    parents = {name: root.findtext("parent/name") for name, root in roots.items()}

    def staying(name: str | None) -> str | None:
        while name in names:
            name = parents[name]
        return name

    current = staying(next((s.getName() for s in found if s.isCurrent()), None))
    kept = []
    for name in [name for name in roots if name not in names]:
        root, parent = roots[name], roots[name].find("parent")
        if parent is not None:
            above = staying(parents[name])
            if above is None:
                root.remove(parent)
            else:
                parent.find("name").text = above
        kept.append(StoredSnapshot(serialise(root), name == current))
    if kept:
        _keep(domain, [StoredSnapshot(_without_passwords(one.definition), one.current) for one in kept])
    _take_off(found)
    _give_back(domain, kept)


def _keep(domain: Any, kept: list[StoredSnapshot]) -> None:
    # a snapshot's definition holds the VM's whole: compressed, for the VM's definition is sent around and kept twice
    packed = base64.b64encode(zlib.compress(json.dumps({"at": time.time(), "snapshots": kept}).encode())).decode()
    set_element(domain, KEY, NAMESPACE, f"<parked>{packed}</parked>")


def _take_off(found: list[Any]) -> None:
    for snapshot in reversed(found):  # the last first: libvirt changes those that are after one
        snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)


def _without_passwords(definition: str) -> str:
    """Return a definition that everybody may read who may read the VM's."""
    root = parse(definition)
    for graphics in root.iter("graphics"):
        graphics.attrib.pop("passwd", None)
    return serialise(root)


def stored_metadata(domain: Any) -> tuple[list[StoredSnapshot], float]:
    """Return what is parked in a VM, parents first, and when that was done; an empty list when nothing is."""
    text = element(domain, NAMESPACE)
    if text is None:
        return [], 0.0
    try:
        found = json.loads(zlib.decompress(base64.b64decode(parse(text).text or "")))
        return [StoredSnapshot(str(definition), bool(current)) for definition, current in found["snapshots"]], float(found["at"])
    except (ValueError, KeyError, TypeError, zlib.error):
        return [], 0.0  # another tool spoiled it


def restore_metadata(domain: Any) -> None:
    """Give a VM the parked snapshots' metadata again and forget it was parked; may be repeated when it broke off half-way."""
    _give_back(domain, stored_metadata(domain)[0])


def _give_back(domain: Any, kept: list[StoredSnapshot]) -> None:
    if kept:
        there = set(domain.snapshotListNames())
        names = [parse(one.definition).findtext("name") for one in kept]
        # a snapshot taken since by another tool stays the current one
        newer = domain.hasCurrentSnapshot() and domain.snapshotCurrent().getName() not in names
        for name, one in zip(names, kept, strict=True):
            if name not in there:
                flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
                if one.current and not newer:
                    flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
                _define(domain, one.definition, flags)
    if element(domain, NAMESPACE) is not None:
        set_element(domain, KEY, NAMESPACE, None)


def recover(domain: Any, *, change: bool) -> list[StoredSnapshot]:
    """Give back what a dead process left parked.

    Args:
        change: the snapshots are about to be changed; wait for a migration that has just begun or ended.

    Returns:
        What is still parked since the VM is being moved; empty when all snapshots are where they belong.

    Raises:
        BusyError: with `change`, the VM is being moved.
    """
    deadline = time.monotonic() + GRACE + 1
    while True:
        kept, at = stored_metadata(domain)
        if not kept:
            return []
        moving = being_moved(domain)
        if not moving and not abs(time.time() - at) < GRACE:
            restore_metadata(domain)
            return []
        if not change:
            return kept
        if moving or time.monotonic() > deadline:
            raise BusyError(
                f"{domain.name()!r} is being moved to another host",
                resource=domain.name(),
                outcome="not_sent",
                hint="its snapshots can be changed when that has ended",
            )
        time.sleep(POLL)


def being_moved(domain: Any) -> bool:
    """Whether the VM is leaving or arriving now. (A stopped one moves without a job, in a moment.)"""
    if not domain.isActive():
        return False
    state, reason = domain.state()
    if state == libvirt.VIR_DOMAIN_PAUSED and reason in (
        libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
        libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
        libvirt.VIR_DOMAIN_PAUSED_POSTCOPY,
    ):
        return True
    return bool(statistics(domain))


def _define(domain: Any, definition: str, flags: int) -> None:
    try:
        domain.snapshotCreateXML(definition, flags)
    except libvirt.libvirtError:
        if parse(definition).findtext("name") not in domain.snapshotListNames():  # else another process did it just now
            raise


__all__ = [
    "NAMESPACE",
    "StoredSnapshot",
    "being_moved",
    "forget",
    "store_metadata",
    "stored_metadata",
    "recover",
    "restore_metadata",
]
