"""What a step sees: its VM and where it is now, the hosts, its arguments; and the ways to act, report and be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from novacron.errors import VMNotFoundError
from novacron.jobs import Job, Progress
from novacron.text import printable_line
from novacron.workflow.hosts import Hosts
from novacron.workflow.nodes import VMRef
from novacron.workflow.run.scope import Scope

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.records.vm import VM
    from novacron.workflow.run.slots import Slots

SETTLE = 1800.0
"""Seconds that an operation may still take whose process has ended, before nobody waits for it any more."""


class Location:
    """Where a VM is now. Steps that move the VM update it."""

    __slots__ = ("changing", "vm")

    def __init__(self, vm: VMRef) -> None:
        self.vm = vm
        self.changing = threading.Lock()


class Expected:
    """What a plan expects of the VM once the steps before are done. `here` until a step before it moves the VM."""

    __slots__ = ("here", "named", "persistent", "snapshots", "status", "tags")

    def __init__(self, record: VM, named: set[tuple[str, str]] | None = None) -> None:
        self.named = named if named is not None else set()
        """Host and name of each VM that the steps before create, also those for other VMs."""
        self.status: str = record.status
        self.persistent: bool = record.persistent is not False
        """Whether its definition stays when it stops."""
        self.tags: set[str] = set(record.tags or ())
        self.snapshots: list[tuple[str, str | None]] | None = None
        """Name and id of each snapshot; None as long as no step needs them."""
        self.here = True


class Context:
    """A step at work. `arguments` and `before` are plain values; `previous` is the last step's result, `results` has those with a name."""

    def __init__(
        self,
        hosts: Hosts,
        location: Location,
        arguments: dict[str, Any],
        *,
        scope: Scope | None = None,
        listener: Callable[[Progress], object] = lambda progress: None,
        previous: Any = None,
        expected: Expected | None = None,
        results: Mapping[str, Any] | None = None,
        slots: Slots | None = None,
    ) -> None:
        self.hosts, self.arguments, self.previous = hosts, arguments, previous
        self.results = results if results is not None else {}
        self.before: dict[str, Any] = {}
        self.notes: list[str] = []
        self._slots = slots
        self._location, self._scope, self._listener, self._expected = location, scope or Scope(), listener, expected

    def __repr__(self) -> str:
        return printable_line(f"<Context of {self.ref.name or self.ref.id} on {self.ref.host}>")

    @property
    def ref(self) -> VMRef:
        """The VM and the host that has it now."""
        return self._location.vm

    @property
    def changing(self) -> threading.Lock:
        """Held by steps that read a value of the VM and write it changed: branches of the run that do so take turns."""
        return self._location.changing

    @property
    def host(self) -> HostHandle:
        """The host that has the VM now."""
        return self.hosts[self.ref.host]

    @property
    def expected(self) -> Expected:
        """What a plan expects of the VM at this step; only in `check` and `effect`."""
        if self._expected is None:
            self._expected = Expected(self.read())
        return self._expected

    def read(self) -> VM:
        """Read the VM's record."""
        record: VM = self.ask("vm_get")
        return record

    def vm(self) -> VMHandle:
        """Return a handle of the VM, freshly read."""
        from novacron.handles.vm import VMHandle

        return VMHandle(self.host, self.read())

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Do an operation that reads, on the VM."""
        return self.host.invoke(operation, vm=self.ref.id, **arguments)

    def settle(self, host: HostHandle | None = None) -> None:
        """Wait until a host (the VM's own when None) does nothing more with the VM that a process which is gone asked it for."""
        host = host or self.host
        if host.supports("vm_settle"):
            try:
                host.invoke("vm_settle", SETTLE + 10, vm=self.ref.id, seconds=SETTLE)
            except VMNotFoundError:
                pass  # it has left the host meanwhile

    def do(self, operation: str, timeout: float | None = None, **arguments: Any) -> Any:
        """Do an operation on the VM; its progress is the step's, a cancelled run cancels it."""
        self.raise_if_cancelled()
        return self._scope.follow(self.host.submit(operation, timeout, vm=self.ref.id, **arguments), self._listener)

    def follow(self, job: Job[Any]) -> Any:
        """Wait for a job that the step started, and return its result; its progress is the step's, a cancelled run cancels it."""
        return self._scope.follow(job, self._listener)

    def migration_slot(self, destination: HostHandle) -> AbstractContextManager[object]:
        """Wait until the VM's host and the destination have a free slot for a migration, and hold it."""
        if self._slots is None:
            return nullcontext()
        return self._slots.migrating(self, {host.uri: host.name for host in (self.host, destination)})

    def moved(self, host: str) -> None:
        """Say that the VM is on another host now."""
        self._location.vm = VMRef(host, self.ref.id, self.ref.name)

    def note(self, text: str) -> None:
        """Add a note to the plan that does not prevent the run."""
        self.notes.append(text)

    def report(self, message: str = "", fraction: float | None = None, **details: Any) -> None:
        """Tell how far the step is."""
        self._listener(Progress(message=message, fraction=fraction, details=details))

    def raise_if_cancelled(self) -> None:
        """Raise when the run was cancelled or a timeout passed (for steps that work long by themselves)."""
        self._scope.check()

    def wait(self, seconds: float) -> None:
        """Sleep; ends at once, raising, when the run is cancelled."""
        self._scope.wait(seconds)


__all__ = ["Context", "Expected", "Location"]
