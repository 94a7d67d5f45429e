"""How much space each snapshot takes up, from the files that vSphere lists for a VM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def snapshot_sizes(layout: Any, tree: Sequence[tuple[Any, Any]], current: Any) -> dict[Any, int]:
    """Return the bytes of the files that each snapshot adds: its data and memory, and the delta disks written after it was taken.

    The same calculation as `govc snapshot.tree -s`: of each disk the file that a snapshot's children, or the running VM, write above it.

    Args:
        layout: the VM's `layoutEx`.
        tree: each snapshot with its parent, or None.
        current: the snapshot that the VM runs on.
    """
    if layout is None:
        return {}
    size_of = {file.key: int(file.size or 0) for file in layout.file or ()}
    kept = {each.key: each for each in layout.snapshot or ()}
    chains = {key: _chains(each.disk) for key, each in kept.items()}
    now = _chains(layout.disk)
    sizes = dict[Any, int]()
    for snapshot, _ in tree:
        if snapshot not in kept:
            continue
        files = {kept[snapshot].dataKey, getattr(kept[snapshot], "memoryKey", -1)}
        above = [chains[child] for child, parent in tree if parent == snapshot and child in chains]
        for chain in [*above, *([now] if snapshot == current else [])]:
            files |= chain - chains[snapshot]
        sizes[snapshot] = sum(size_of.get(key, 0) for key in files if key is not None and key >= 0)
    return sizes


def _chains(disks: Any) -> set[int]:
    """Return the keys of all files of these disks."""
    return {key for disk in disks or () for unit in disk.chain or () for key in unit.fileKey or ()}


__all__ = ["snapshot_sizes"]
