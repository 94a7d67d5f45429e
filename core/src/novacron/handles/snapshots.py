"""A VM's snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from novacron.handles.following import finish
from novacron.records.snapshots import Snapshot

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle


class SnapshotHandle:
    """A snapshot of a VM."""

    def __init__(self, vm: VMHandle, record: Snapshot) -> None:
        self.vm, self.record = vm, record

    def __repr__(self) -> str:
        return f"<Snapshot {self.name} of {self.vm.name} {self.record.created_at}>"

    @property
    def name(self) -> str:
        """The snapshot's name."""
        return self.record.name

    def revert(self, *, wait: bool = True) -> Any:
        """Bring the VM back to this point; returns the VM."""
        return finish(self.vm.host, "snapshot_revert", self.vm._updated, wait=wait, vm=self.vm.id, snapshot=self.name)

    def delete(self, *, children: bool = False, wait: bool = True) -> Any:
        """Delete the snapshot, and those after it when `children`; returns the VM."""
        return finish(
            self.vm.host,
            "snapshot_delete",
            self.vm._updated,
            wait=wait,
            vm=self.vm.id,
            snapshot=self.name,
            children=children,
        )


class SnapshotCollection:
    """A VM's snapshots by name: `vm.snapshots["before-upgrade"].revert()`."""

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm

    def __iter__(self) -> Iterator[SnapshotHandle]:
        return iter(self.list())

    def __len__(self) -> int:
        return len(self.list())

    def list(self) -> list[SnapshotHandle]:
        """Return all snapshots, parents before children."""
        return [SnapshotHandle(self._vm, r) for r in self._vm.host.invoke("snapshot_list", vm=self._vm.id)]

    def __getitem__(self, name: str) -> SnapshotHandle:
        return SnapshotHandle(self._vm, self._vm.host.invoke("snapshot_get", vm=self._vm.id, snapshot=name))

    def create(self, name: str, *, wait: bool = True, **options: Any) -> Any:
        """Take a snapshot; options are `SnapshotSpec`'s fields: description, memory, quiesce, kind."""
        from novacron.specs import SnapshotSpec

        spec = SnapshotSpec.parse({"name": name, **options})
        wrap = lambda record: SnapshotHandle(self._vm, record)  # noqa: E731
        return finish(self._vm.host, "snapshot_create", wrap, wait=wait, vm=self._vm.id, spec=spec)


__all__ = ["SnapshotCollection", "SnapshotHandle"]
