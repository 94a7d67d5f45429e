"""A VM's snapshots."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from novacron.display import html_card
from novacron.handles.collection import Collection
from novacron.handles.following import finish
from novacron.records.snapshots import Checkpoint, Snapshot
from novacron.text import printable_line
from novacron.units import parse_duration

Duration = int | float | str | timedelta

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Job
    from novacron.specs.keywords import SnapshotOptions


class SnapshotHandle:
    """A snapshot of a VM."""

    _repr_html_ = html_card  # for notebooks

    def __init__(self, vm: VMHandle, record: Snapshot) -> None:
        self.vm, self.record = vm, record

    def __repr__(self) -> str:
        return printable_line(f"<Snapshot {self.name} of {self.vm.name} {self.record.created_at}>")

    @property
    def name(self) -> str:
        """The snapshot's name."""
        return self.record.name

    @property
    def id(self) -> str | None:
        """The snapshot's id, if the hypervisor allows several snapshots of one name."""
        return self.record.id

    @overload
    def revert(self, *, wait: Literal[True] = ...) -> VMHandle: ...
    @overload
    def revert(self, *, wait: Literal[False]) -> Job[VMHandle]: ...
    def revert(self, *, wait: bool = True) -> VMHandle | Job[VMHandle]:
        """Revert the VM to this snapshot; returns the VM."""
        return finish(self.vm.host, "snapshot_revert", self.vm._updated, wait=wait, vm=self.vm.id, snapshot=self.id or self.name)

    @overload
    def delete(self, *, children: bool = False, wait: Literal[True] = ...) -> VMHandle: ...
    @overload
    def delete(self, *, children: bool = False, wait: Literal[False]) -> Job[VMHandle]: ...
    def delete(self, *, children: bool = False, wait: bool = True) -> VMHandle | Job[VMHandle]:
        """Delete the snapshot, and its child snapshots if `children` is true; returns the VM."""
        return finish(
            self.vm.host,
            "snapshot_delete",
            self.vm._updated,
            wait=wait,
            vm=self.vm.id,
            snapshot=self.id or self.name,
            children=children,
        )


class SnapshotCollection(Collection[SnapshotHandle]):
    """A VM's snapshots by name: `vm.snapshots["before-upgrade"].revert()`."""

    _title = "snapshots"

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm

    def list(
        self,
        *,
        name: str | None = None,
        kind: str | None = None,
        memory: bool | None = None,
        below: str | None = None,
        leaves: bool = False,
        older_than: Duration | None = None,
        newer_than: Duration | None = None,
    ) -> list[SnapshotHandle]:
        """Return the snapshots that fit all that is given, parents before children.

        Args:
            name: a pattern of the shell's, "nightly-*".
            kind: "internal" or "external".
            memory: with a running VM's memory, or without.
            below: a snapshot's name: only those that were taken after it on its branch or on branches from there.
            leaves: only those that nothing was taken after.
            older_than, newer_than: by age, in seconds or as "7d".

        Raises:
            VMNotFoundError, SnapshotNotFoundError (`below`), InvalidValueError (an age that can't be read)

        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://lab").vms.create(name="web1", memory="1GiB")
            >>> for name in ("base", "nightly-1", "nightly-2"):
            ...     _ = vm.snapshots.create(name)
            >>> [s.name for s in vm.snapshots.list(name="nightly-*")], vm.snapshots.list(older_than="30d")
            (['nightly-1', 'nightly-2'], [])
            >>> [s.name for s in vm.snapshots.list(below="base", leaves=True)]
            ['nightly-2']
        """
        found = self._vm.host.invoke("snapshot_list", vm=self._vm.id)
        wanted = descendants(found, _key(self[below].record)) if below is not None else {_key(s) for s in found}
        parents = {s.parent_id or s.parent for s in found} if leaves else set()
        now = time.time()
        oldest = None if newer_than is None else now - parse_duration(newer_than)
        newest = None if older_than is None else now - parse_duration(older_than)
        return [
            SnapshotHandle(self._vm, s)
            for s in found
            if _key(s) in wanted
            and _key(s) not in parents
            and (name is None or fnmatchcase(s.name, name))
            and kind in (None, s.kind)
            and memory in (None, s.memory)
            and (oldest is None or _taken(s) > oldest)
            and (newest is None or _taken(s) < newest)
        ]

    def _all(self) -> Sequence[SnapshotHandle]:
        return self.list()

    def _find(self, name: str) -> SnapshotHandle:
        return SnapshotHandle(self._vm, self._vm.host.invoke("snapshot_get", vm=self._vm.id, snapshot=name))

    @overload
    def create(self, name: str, *, wait: Literal[True] = ..., **options: Unpack[SnapshotOptions]) -> SnapshotHandle: ...
    @overload
    def create(self, name: str, *, wait: Literal[False], **options: Unpack[SnapshotOptions]) -> Job[SnapshotHandle]: ...
    def create(self, name: str, *, wait: bool = True, **options: Unpack[SnapshotOptions]) -> SnapshotHandle | Job[SnapshotHandle]:
        """Create a snapshot. Options are fields of `SnapshotSpec`: description, memory, quiesce, kind."""
        from novacron.specs import SnapshotSpec

        spec = SnapshotSpec.parse({"name": name, **options})
        wrap: Callable[[Any], SnapshotHandle] = lambda record: SnapshotHandle(self._vm, record)  # noqa: E731
        return finish(self._vm.host, "snapshot_create", wrap, wait=wait, vm=self._vm.id, spec=spec)

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return the checkpoints of the VM, the oldest first. Backup programs create them; `broken` says if the next backup must be full.

        Raises:
            VMNotFoundError: the VM was deleted.
            UnsupportedOperationError: the hypervisor has no checkpoints.

        Example:
            >>> import novacron
            >>> novacron.connect("sim://lab").vms.create(name="web2", memory="1GiB").snapshots.checkpoints()
            ()
        """
        return tuple(self._vm.host.invoke("checkpoint_list", vm=self._vm.id))

    def check(self, name: str, *, status: str | None = None, **options: Unpack[SnapshotOptions]) -> tuple[str, ...]:
        """Return why such a snapshot can't be taken; nothing is changed.

        Args:
            name: the snapshot's name.
            status: the status that the VM will have then; None takes its present one.
            options: as for `create`.
        Returns:
            One sentence per reason, empty if the snapshot can be taken.

        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://checked").vms.create(name="web1")
            >>> vm.snapshots.check("s", memory=True)
            ("can't keep the memory of 'web1': it is stopped",)
            >>> vm.snapshots.check("s", memory=True, status="running")
            ()
        """
        from novacron.specs import SnapshotSpec

        spec = SnapshotSpec.parse({"name": name, **options})
        taken = [f"{self._vm.name!r} has a snapshot {name!r} already"] if name in {each.name for each in self.list()} else []
        found = self._vm.host.invoke("snapshot_check", vm=self._vm.id, spec=spec, status=status or self._vm.refresh().status)
        return (*taken, *found)


def descendants(snapshots: Iterable[Snapshot], key: str) -> set[str]:
    """Return the ids (or names, without ids) of all snapshots below one. `snapshots` lists parents before children."""
    found = {key}
    for snapshot in snapshots:
        if (snapshot.parent_id or snapshot.parent) in found:
            found.add(_key(snapshot))
    return found - {key}


def _key(snapshot: Snapshot) -> str:
    return snapshot.id or snapshot.name


def _taken(snapshot: Snapshot) -> float:
    return datetime.fromisoformat(snapshot.created_at).timestamp()


__all__ = ["SnapshotCollection", "SnapshotHandle", "descendants"]
