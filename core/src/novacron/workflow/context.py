"""What a step sees: its VM and where it is now, the hosts, its arguments; and the ways to act, report and be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from novacron.errors import HostNotFoundError, VMNotFoundError
from novacron.jobs import Progress
from novacron.workflow.nodes import VMRef
from novacron.workflow.scope import Scope

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.records.vm import VM

SETTLE = 1800.0
"""Seconds that an operation may still take whose process has ended, before nobody waits for it any more."""


class Hosts(Mapping[str, "HostHandle"]):
    """Hosts by name: those given, those of `uris`, then the fleet's. `close` closes only what was connected here."""

    def __init__(self, *given: Mapping[str, HostHandle], uris: Mapping[str, str] | None = None) -> None:
        self._given, self._uris = given, dict(uris or {})
        self._opened: dict[str, HostHandle] = {}
        self._guard = threading.RLock()

    def __getitem__(self, name: str) -> HostHandle:
        for known in (*self._given, self._opened):
            if name in known:
                return known[name]
        from novacron.handles.fleet import fleet  # opens the state database: only when it is needed

        uri = self._uris.get(name)
        if uri is not None and not any(host.name == name and host.uri == uri for host in fleet().list()):
            return self._connected(name, uri)
        return fleet().hosts[name]

    def _connected(self, name: str, uri: str) -> HostHandle:
        from novacron.connecting import connect

        with self._guard:
            if name not in self._opened:
                self._opened[name] = connect(uri, name=name)
            return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter({name for known in (*self._given, self._opened) for name in known})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def at(self, name: str, uri: str | None = None) -> HostHandle:
        """Return a host by name, or connect to `uri` when nobody knows the name. Raises HostNotFoundError."""
        try:
            return self[name]
        except HostNotFoundError:
            if uri is None:
                raise
        return self._connected(name, uri)

    def close(self, keep: Collection[str] = ()) -> None:
        """Close what `at` connected, but for the names in `keep`."""
        while self._opened:
            name, host = self._opened.popitem()
            if name not in keep:
                host.close()


class Place:
    """Where a VM is now; steps that move it say so."""

    __slots__ = ("vm",)

    def __init__(self, vm: VMRef) -> None:
        self.vm = vm


class Expected:
    """What a plan expects of the VM once the steps before are done. `here` until a step before it moves the VM."""

    __slots__ = ("here", "snapshots", "status", "tags")

    def __init__(self, record: VM) -> None:
        self.status: str = record.status
        self.tags: set[str] = set(record.tags or ())
        self.snapshots: set[str] | None = None
        self.here = True


class Context:
    """A step at work. `arguments` and `before` are plain values; `previous` is the last step's result, `results` has those with a name."""

    def __init__(
        self,
        hosts: Hosts,
        place: Place,
        arguments: dict[str, Any],
        *,
        scope: Scope | None = None,
        listener: Callable[[Progress], object] = lambda progress: None,
        previous: Any = None,
        expected: Expected | None = None,
        results: Mapping[str, Any] | None = None,
    ) -> None:
        self.hosts, self.arguments, self.previous = hosts, arguments, previous
        self.results = results if results is not None else {}
        self.before: dict[str, Any] = {}
        self.notes: list[str] = []
        self._place, self._scope, self._listener, self._expected = place, scope or Scope(), listener, expected

    def __repr__(self) -> str:
        return f"<Context of {self.ref.name or self.ref.id} on {self.ref.host}>"

    @property
    def ref(self) -> VMRef:
        """The VM and the host that has it now."""
        return self._place.vm

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

    def moved(self, host: str) -> None:
        """Say that the VM is on another host now."""
        self._place.vm = VMRef(host, self.ref.id, self.ref.name)

    def note(self, text: str) -> None:
        """Add to the plan what is worth knowing and stands against nothing."""
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


__all__ = ["Context", "Expected", "Hosts", "Place"]
