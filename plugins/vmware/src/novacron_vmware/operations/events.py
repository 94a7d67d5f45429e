"""What happens on a vSphere, as its event history tells it: in order, none left out. One thread per connection while anybody listens.

The thread waits for the history to grow (`latestPage` of a collector of its own) and reads what is new. After the server could not be
reached for a while, changes are found by comparing the VMs with their last known state.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from novacron.errors import NovaCronError
from novacron.hookspecs.events import Subscription
from novacron.plugins import hookimpl
from novacron.plugins.listener import Listener
from novacron.records.events import Event
from novacron_vmware.errors import translated
from novacron_vmware.inventory import EXPIRIES
from novacron_vmware.names import plain_name
from novacron_vmware.records import summary_record
from novacron_vmware.sdk import vim, vmodl
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

_log = logging.getLogger(__name__)
STATUS = {
    "VmPoweredOnEvent": "running",
    "DrsVmPoweredOnEvent": "running",
    "VmPoweredOffEvent": "stopped",
    "VmSuspendedEvent": "suspended",
    "VmGuestShutdownEvent": "stopping",
    "VmStoppingEvent": "stopping",
}
KIND: dict[str, tuple[str, str]] = {
    "VmCreatedEvent": ("vm.defined", "added"),
    "VmClonedEvent": ("vm.defined", "added"),
    "VmDeployedEvent": ("vm.defined", "added"),
    "VmRegisteredEvent": ("vm.defined", "added"),
    "VmDiscoveredEvent": ("vm.defined", "added"),
    "VmRenamedEvent": ("vm.defined", "renamed"),
    "VmReconfiguredEvent": ("vm.defined", "updated"),
    "VmMigratedEvent": ("vm.defined", "migrated"),
    "DrsVmMigratedEvent": ("vm.defined", "migrated"),
    "VmRelocatedEvent": ("vm.defined", "migrated"),
    "VmRemovedEvent": ("vm.deleted", "removed"),
    "VmResettingEvent": ("vm.reboot", "reset"),
    "VmGuestRebootEvent": ("vm.reboot", "guest"),
    "VmDasBeingResetEvent": ("vm.reboot", "reset by vSphere HA"),
    "VmDiskFailedEvent": ("vm.io_error", "failed"),
    "VmFailedToPowerOnEvent": ("vm.job", "failed"),
    "VmFailedMigrateEvent": ("vm.job", "failed"),
    "VmRelocateFailedEvent": ("vm.job", "failed"),
    "VmCloneFailedEvent": ("vm.job", "failed"),
    "VmDiskConsolidatedEvent": ("vm.snapshot", "consolidated"),
    "AlarmStatusChangedEvent": ("alarm", ""),
    "HostConnectedEvent": ("node.status", "up"),
    "HostDisconnectedEvent": ("node.status", "down"),
    "HostConnectionLostEvent": ("node.status", "down"),
    "EnteredMaintenanceModeEvent": ("node.status", "maintenance"),
    "ExitMaintenanceModeEvent": ("node.status", "up"),
}
"""vSphere's events as kinds and reasons; an event that is in neither table is not told."""
WAIT, PAGE, MOST = 10, 100, 100_000
RETRY_FIRST, RETRY_MOST = 0.2, 10.0
"""Seconds between two tries to reach the server again: doubled from the first to the most."""


class VMwareEvents(VMOperations):
    """Tells subscribers what happens."""

    def __init__(self, connection: VMwareConnection) -> None:
        super().__init__(connection)
        self._guard = threading.RLock()
        self._listeners: list[Listener] = []
        self._history: _History | None = None
        self._stop = threading.Event()
        self._told: dict[Any, tuple[str, str, str]] = {}
        self._key = 0

    @hookimpl
    def event_subscribe(self, callback: Callable[[Event], object]) -> Subscription:
        """Tell `callback` of everything from now on; the first subscription starts the thread."""
        listener = Listener(callback, self._leave)
        with self._guard:
            if self._history is None:
                self._begin()
            else:
                self._read_new()  # what was before is for the others alone
            self._listeners.append(listener)
            if len(self._listeners) == 1:
                self._stop = threading.Event()
                threading.Thread(target=self._work, args=(self._stop,), name="novacron-vmware-events", daemon=True).start()
        return listener

    def _leave(self, listener: Listener) -> None:
        """Forget a subscription; with the last one the thread ends."""
        with self._guard:
            if listener in self._listeners:
                self._listeners.remove(listener)
            if not self._listeners:
                self._end()

    def close(self) -> None:
        """End all subscriptions: the connection is about to close."""
        with self._guard:
            self._listeners.clear()
            self._end()

    def _begin(self) -> None:
        self._history = _History(self._connection)
        self._connection.inventory.refresh()
        self._told, self._key = self._now(), 0

    def _end(self) -> None:
        self._stop.set()
        if self._history is not None:
            self._history.close()
            self._history = None

    def _work(self, stop: threading.Event) -> None:
        pause = RETRY_FIRST
        lost = False
        while not stop.is_set():
            try:
                with self._guard:
                    history = self._history
                if history is None:
                    return
                if lost:
                    with self._guard:
                        history.begin()
                        self._tell_event("host.connection", reason="connected")
                        self._read_new()
                        self._compare()
                    lost, pause = False, RETRY_FIRST
                history.wait()
                with self._guard:
                    if not stop.is_set():
                        self._read_new()
            except NovaCronError as error:
                if stop.is_set():
                    return
                if not lost:
                    _log.warning("lost the events of %s: %s", self._connection.name, error)
                    self._tell_event("host.connection", reason="lost")
                lost = True
                stop.wait(pause)
                pause = min(RETRY_MOST, pause * 2)

    def _read_new(self) -> None:
        if self._history is None:
            return
        found = self._history.read()
        if found:
            self._connection.inventory.refresh()
            if max(each.key for each in found) < self._key:
                self._key = 0  # the server was made anew, and counts from the beginning
        for each in found:
            if each.key > self._key:
                self._key = each.key
                self._translate(each)

    def _translate(self, event: Any) -> None:
        """Tell of one of vSphere's events, if there is a word for it."""
        name = type(event).__name__.rpartition(".")[2]
        about: dict[str, Any] = {"event": name, "message": event.fullFormattedMessage or ""}
        at = event.createdTime.isoformat() if event.createdTime else _now()
        if name == "AlarmStatusChangedEvent":
            about |= {"alarm": event.alarm.name, "from": getattr(event, "from", None), "entity": event.entity.name}
            self._tell_event("alarm", reason=str(event.to), resource=event.entity.name, at=at, data=about)
            return
        kind, reason = KIND.get(name, ("", ""))
        if kind == "node.status":
            self._tell_event(kind, reason=reason, resource=event.host.name, status=reason, at=at, data=about)
            return
        if event.vm is None or not (kind or name in STATUS):
            return
        thing = event.vm.vm
        known = self._connection.inventory.known(thing)
        if known is None or known.get("config.template"):
            return
        resource, identity = plain_name(known.get("name", event.vm.name)), known.get("config.instanceUuid", "")
        if name in STATUS:
            kind, reason = "vm.status", name.removesuffix("Event")
        status = STATUS.get(name)
        if kind == "vm.deleted":
            self._told.pop(thing, None)
        else:
            before = self._told.get(thing, ("", "", ""))[2]
            self._told[thing] = (resource, identity, status if status and status != "stopping" else before)
        self._tell_event(kind, reason=reason, resource=resource, identity=identity, status=status, at=at, data=about)

    def _compare(self) -> None:
        """Tell what changed while nobody could look."""
        self._connection.inventory.refresh()
        now, before = self._now(), self._told
        for thing, (name, identity, status) in before.items():
            if thing not in now:
                self._tell_event("vm.deleted", reason="found", resource=name, identity=identity, status=status)
        for thing, (name, identity, status) in now.items():
            old = before.get(thing)
            if old is None or old[1] != identity:
                self._tell_event("vm.defined", reason="found", resource=name, identity=identity, status=status)
            elif old[2] != status:
                self._tell_event("vm.status", reason="found", resource=name, identity=identity, status=status)
        self._told = now

    def _now(self) -> dict[Any, tuple[str, str, str]]:
        """Return the name, id and status of every VM."""
        found = [
            (thing, summary_record(self._connection.name, read, None, None)) for thing, read in self._connection.inventory.vms()
        ]
        return {thing: (record.name, record.id, record.status) for thing, record in found}

    def _tell_event(
        self,
        kind: str,
        *,
        reason: str = "",
        resource: str | None = None,
        identity: str | None = None,
        status: str | None = None,
        at: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        event = Event(
            kind=kind,
            host=self._connection.name,
            at=at or _now(),
            resource=resource,
            id=identity,
            status=status,
            reason=reason,
            data=data or {},
        )
        with self._guard:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.tell(event)


class _History:
    """The server's event history from now on, and a collector that says when it has grown. Both belong to the session.

    Begun again in another session, it has what happened since the last event that was read, and that event once more.
    """

    def __init__(self, connection: VMwareConnection) -> None:
        self._connection = connection
        self._events: Any = None
        self._collector: Any = None
        self._version = ""
        self._since: Any = None
        self.begin()

    def begin(self) -> None:
        """Begin, once more when the session expires meanwhile."""
        for _ in range(EXPIRIES):
            try:
                return self._begin()
            except NovaCronError as error:
                if not _expired(error):
                    raise
        return self._begin()

    def _begin(self) -> None:
        Filter, content = vmodl.query.PropertyCollector, self._connection.content
        with translated():
            self._since = self._since or vim.ServiceInstance("ServiceInstance", self._connection.session).CurrentTime()
            spec = vim.event.EventFilterSpec(time=vim.event.EventFilterSpec.ByTime(beginTime=self._since))
            self._events = content.eventManager.CreateCollectorForEvents(spec)
            self._collector, self._version = content.propertyCollector.CreatePropertyCollector(), ""
            wanted = Filter.PropertySpec(type=vim.event.EventHistoryCollector, pathSet=["latestPage"])
            start = Filter.ObjectSpec(obj=self._events)
            self._collector.CreateFilter(Filter.FilterSpec(objectSet=[start], propSet=[wanted]), True)
            self._version = self._collector.WaitForUpdatesEx("", Filter.WaitOptions(maxWaitSeconds=0)).version

    def wait(self) -> None:
        """Return when the history has grown, or after a while."""
        try:
            with translated():
                update = self._collector.WaitForUpdatesEx(
                    self._version, vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=WAIT)
                )
        except NovaCronError as error:
            if not _expired(error):
                raise
            self.begin()  # they went with the session that expired; what happened since is in it
            return
        if update is not None:
            self._version = update.version

    def read(self) -> list[Any]:
        """Return the events that are new. If the session expires meanwhile, the next one's: nothing else would tell of them."""
        found = list[Any]()
        for _ in range(EXPIRIES):
            try:
                with translated():
                    while len(found) < MOST and (page := self._events.ReadNextEvents(PAGE)):
                        found += page
                break
            except NovaCronError as error:
                if not _expired(error):
                    raise
            self.begin()
        self._since = max([self._since, *(each.createdTime for each in found)])
        return found

    def close(self) -> None:
        with suppress(vmodl.MethodFault, OSError):
            self._collector.CancelWaitForUpdates()
            self._collector.DestroyPropertyCollector()
            self._events.DestroyCollector()


def _expired(error: NovaCronError) -> bool:
    """Whether what was asked is gone with its session."""
    return isinstance(error.__cause__, vmodl.fault.ManagedObjectNotFound | vmodl.fault.RequestCanceled)


def _now() -> str:
    return datetime.now(UTC).isoformat()


__all__ = ["KIND", "STATUS", "VMwareEvents"]
