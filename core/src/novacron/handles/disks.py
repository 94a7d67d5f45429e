"""A VM's disks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from novacron.display import html_card
from novacron.errors import DeviceNotFoundError
from novacron.handles.collection import Collection
from novacron.handles.following import finish
from novacron.records.disks import Disk
from novacron.text import printable_line
from novacron.units import parse_size

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Job
    from novacron.specs.disks import DiskSpec
    from novacron.specs.keywords import DiskFields, DiskLimitsFields


class DiskHandle:
    """A disk of a VM."""

    _repr_html_ = html_card  # for notebooks

    def __init__(self, vm: VMHandle, record: Disk) -> None:
        self.vm, self.record = vm, record

    def __repr__(self) -> str:
        return printable_line(f"<Disk {self.record.target} of {self.vm.name} {self.record.source or 'empty'}>")

    def resize(self, size: int | str) -> DiskHandle:
        """Grow the disk. A running guest sees the new size."""
        self.record = self._do("disk_resize", size=parse_size(size))
        return self

    def limit(self, **limits: Unpack[DiskLimitsFields]) -> DiskHandle:
        """Set I/O limits; `fields` are those of `DiskLimits`."""
        from novacron.specs import DiskLimits

        self.record = self._do("disk_limit", limits=DiskLimits.parse(limits))
        return self

    def change_media(self, source: str = "") -> DiskHandle:
        """Insert another medium into a CD-ROM drive; without a source, eject it."""
        self.record = self._do("disk_change_media", source=source)
        return self

    @overload
    def pull(self, *, wait: Literal[True] = ...) -> DiskHandle: ...
    @overload
    def pull(self, *, wait: Literal[False]) -> Job[DiskHandle]: ...
    def pull(self, *, wait: bool = True) -> DiskHandle | Job[DiskHandle]:
        """Pull the backing chain into the disk's own file (block pull). The disk then has no backing file."""
        return finish(self.vm.host, "disk_pull", self._updated, wait=wait, vm=self.vm.id, disk=self.record.target)

    @overload
    def commit(self, *, wait: Literal[True] = ...) -> DiskHandle: ...
    @overload
    def commit(self, *, wait: Literal[False]) -> Job[DiskHandle]: ...
    def commit(self, *, wait: bool = True) -> DiskHandle | Job[DiskHandle]:
        """Commit the disk's own file into its backing file (block commit), which becomes the disk's file."""
        return finish(self.vm.host, "disk_commit", self._updated, wait=wait, vm=self.vm.id, disk=self.record.target)

    def detach(self, *, delete: bool = False) -> VMHandle:
        """Detach the disk from the VM."""
        self.vm.record = self._do("disk_detach", delete=delete)
        return self.vm

    def _updated(self, record: Disk) -> DiskHandle:
        self.record = record
        return self

    def _do(self, operation: str, **arguments: Any) -> Any:
        return self.vm.host.invoke(operation, vm=self.vm.id, disk=self.record.target, **arguments)


class DiskCollection(Collection[DiskHandle]):
    """A VM's disks by target: `vm.disks["vdb"]`."""

    _title = "disks"

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm

    def _all(self) -> Sequence[DiskHandle]:
        if self._vm.record.disks is None:
            self._vm.refresh()
        return [DiskHandle(self._vm, d) for d in self._vm.record.disks or ()]

    def _key(self, item: DiskHandle) -> str:
        return item.record.target

    def _find(self, target: str) -> DiskHandle:
        found = next((d for d in self._all() if d.record.target == target), None)
        if found is None:
            raise DeviceNotFoundError(f"{self._vm.name!r} has no disk {target!r}", host=self._vm.host.name)
        return found

    def attach(self, spec: DiskSpec | None = None, **fields: Unpack[DiskFields]) -> DiskHandle:
        """Attach a disk to the VM."""
        from novacron.specs import DiskSpec

        asked = DiskSpec.parse(spec if spec is not None else fields)
        record = self._vm.host.invoke("disk_attach", vm=self._vm.id, spec=asked)
        self._vm.refresh()
        return DiskHandle(self._vm, record)


__all__ = ["DiskCollection", "DiskHandle"]
