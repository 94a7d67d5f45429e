"""libvirt's lifecycle events as NovaCron's: one registration, however many listen, on a connection that makes no other calls.

A registration dies with its connection. While anybody listens, another connection is therefore opened at once, and what happened meanwhile
is found by comparing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import libvirt

from novacron.errors import NovaCronError
from novacron.hookspecs.events import Subscription
from novacron.plugins import hookimpl
from novacron.plugins.listener import Listener
from novacron.records.events import Event
from novacron.threads import within
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.jobs.domain_jobs import HELPER
from novacron_kvm.pool import CLOSE_SECONDS
from novacron_kvm.statuses import TABLE

KIND = {libvirt.VIR_DOMAIN_EVENT_DEFINED: "vm.defined", libvirt.VIR_DOMAIN_EVENT_UNDEFINED: "vm.deleted"}
STATUS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: "running",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "running",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: "stopping",
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: "sleeping",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}
MORE: dict[int, Callable[..., tuple[str, str, dict[str, Any]]]] = {
    libvirt.VIR_DOMAIN_EVENT_ID_REBOOT: lambda: ("vm.reboot", "", {}),
    libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG: lambda action: ("vm.watchdog", _word("EVENT_WATCHDOG", action), {}),
    libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON: lambda path, alias, action, reason: (
        "vm.io_error",
        reason,
        {"path": path, "device": alias, "action": _word("EVENT_IO_ERROR", action)},
    ),
    libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE: lambda kib: ("vm.balloon", "", {"memory_bytes": kib * 1024}),
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: lambda alias: ("vm.device", "attached", {"device": alias}),
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: lambda alias: ("vm.device", "detached", {"device": alias}),
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED: lambda alias: ("vm.device", "not released", {"device": alias}),
    libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE: lambda alias, how: ("vm.device", _word("EVENT_TRAY_CHANGE", how), {"device": alias}),
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE: lambda state, why: (
        "vm.agent",
        _word("EVENT_AGENT_LIFECYCLE_STATE", state),
        {"because": _word("EVENT_AGENT_LIFECYCLE_REASON", why)},
    ),
    libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED: lambda figures: ("vm.job", "completed", _plain(figures)),
    libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION: lambda number: ("vm.job", "iteration", {"iteration": number}),
    libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2: lambda disk, type_, status: (
        "vm.job",
        _word("BLOCK_JOB", status),
        {"device": disk, "job": _word("BLOCK_JOB_TYPE", type_)},
    ),
}
"""What libvirt tells beside the lifecycle, by its event's number: kind, reason and data from the callback's arguments."""
RETRY_FIRST, RETRY_MOST = 0.2, 10.0
"""Seconds between two tries to connect again: doubled from the first to the most."""


def _word(family: str, value: int) -> str:
    """Return libvirt's own name of a constant: ("EVENT_TRAY_CHANGE", 0) is "open"."""
    for start in (f"VIR_DOMAIN_{family}_", f"VIR_CONNECT_DOMAIN_{family}_"):
        for name, number in vars(libvirt).items():
            rest = name.removeprefix(start)
            if number == value and rest != name and not rest.startswith(("TYPE_", "ABORT_", "INFO_", "SPEED_")):
                return str(rest).lower().replace("_", " ")
    return str(value)


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if isinstance(value, int | float | str)}


log = logging.getLogger(__name__)


class KVMEvents:
    """Subscriptions to what happens on the host."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection
        self._guard = threading.Lock()  # the event loop's thread takes it too: held for moments, never over a call to libvirt
        self._registering = threading.RLock()
        self._listeners: list[Listener] = []
        self._registered: tuple[Any, list[int]] | None = None
        self._known: dict[str, tuple[str, str]] = {}
        self._waiting: deque[Event] = deque()
        self._held = False  # while a comparison is under way, live events wait behind what it finds
        self._delivering = False

    @hookimpl
    def event_subscribe(self, callback: Callable[[Event], object]) -> Subscription:
        """Register with libvirt if nobody did; again after each reconnect, with what changed meanwhile found by comparing."""
        self._register_again()
        with self._registering:
            if self._registered is None or not self._registered[0].isAlive():
                self._known = self._register()
            listener = Listener(callback, self._leave)
            with self._guard:
                self._listeners = [*self._listeners, listener]
            return listener

    def close(self) -> None:
        """End all subscriptions: libvirt keeps a connection open that has any."""
        for listener in self._listeners:
            listener.close()

    def _leave(self, listener: Listener) -> None:
        """Remove a listener. The registration ends with the last one; a host that does not answer is not waited for."""
        with self._guard:
            self._listeners = [one for one in self._listeners if one is not listener]
            if self._listeners:
                return
        with suppress(TimeoutError):
            within(CLOSE_SECONDS, self._end_unused, "novacron-unsubscribe")

    def _end_unused(self) -> None:
        with self._registering:
            registered = self._registered
            if registered is not None and not self._listeners:
                self._registered = None
                self._deregister(*registered)

    def _deregister(self, connection: Any, numbers: list[int]) -> None:
        """End a registration and give the connection back. Nothing is sent over one that is lost."""
        undo = [partial(connection.domainEventDeregisterAny, number) for number in numbers]
        for each in (*undo, connection.unregisterCloseCallback):
            try:
                each()
            except libvirt.libvirtError:
                pass  # the connection is gone, and the registration with it
        self._connection.give_back(connection)

    def _register(self) -> dict[str, tuple[str, str]]:
        """Register on another connection, then read all statuses: what happens in between is told twice rather than never."""
        lost, self._registered = self._registered, None
        if lost is not None:
            self._deregister(*lost)
        connection, numbers = self._connection.take(), list[int]()
        try:
            return self._register_on(connection, numbers)
        except BaseException:
            self._registered = None
            self._deregister(connection, numbers)
            raise

    def _register_on(self, connection: Any, numbers: list[int]) -> dict[str, tuple[str, str]]:
        with translated():
            numbers.append(connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle, None))
            self._registered = (connection, numbers)
            for event, read in MORE.items():
                try:
                    numbers.append(connection.domainEventRegisterAny(None, event, self._more, read))
                except libvirt.libvirtError as error:
                    if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_ARG):
                        raise  # else: a daemon that is too old to tell of it
            try:
                connection.registerCloseCallback(self._lost, None)
            except libvirt.libvirtError:
                pass  # it is registered already, or an in-process driver that has none
            stats = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
        return {
            d.UUIDString(): (d.name(), TABLE.get((v["state.state"], v["state.reason"]), ("unknown", ""))[0])
            for d, v in stats
            if not d.name().startswith(HELPER)
        }

    def _register_again(self) -> None:
        with self._registering:
            if not self._listeners or (self._registered is not None and self._registered[0].isAlive()):
                return
            before, self._held = self._known, True
            try:
                now = self._register()
                found = [self._event("host.connection", self._connection.name, None, None, "connected")]
                found += self._changes(before, now)
                with self._guard:
                    self._known = now
                    self._waiting.extendleft(reversed(found))
            finally:
                self._held = False
        self._deliver()

    def _lost(self, connection: Any, reason: int, _: Any) -> None:
        with self._guard:
            if reason == libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT or not self._listeners:
                return
            self._waiting.append(self._event("host.connection", self._connection.name, None, None, "lost"))
        self._deliver()
        threading.Thread(target=self._connect_again, name=f"novacron-reconnect-{self._connection.name}", daemon=True).start()

    def _connect_again(self) -> None:
        pause = threading.Event()
        seconds = RETRY_FIRST
        while self._listeners and not self._connection.closed:
            try:
                self._register_again()
                return
            except NovaCronError:
                pause.wait(seconds)
                seconds = min(RETRY_MOST, seconds * 2)

    def _changes(self, before: dict[str, tuple[str, str]], now: dict[str, tuple[str, str]]) -> list[Event]:
        why = "found after a reconnect"
        found = [self._event("vm.deleted", before[i][0], i, None, why) for i in before if i not in now]
        for identity, (name, status) in now.items():
            if identity not in before:
                found.append(self._event("vm.defined", name, identity, None, why))
            if before.get(identity, (name, "stopped"))[1] != status:
                found.append(self._event("vm.status", name, identity, status, why))
        return found

    def _lifecycle(self, _: Any, domain: Any, event: int, detail: int, __: Any) -> None:
        status = STATUS.get(event)
        identity, name = domain.UUIDString(), domain.name()
        if name.startswith(HELPER):
            return
        kind = KIND.get(event, "vm.status")
        with self._guard:
            if kind == "vm.deleted":
                self._known.pop(identity, None)
            else:
                self._known[identity] = (name, status or self._known.get(identity, ("", "stopped"))[1])
            self._waiting.append(self._event(kind, name, identity, status, "", detail=detail, event=event))
        self._deliver()

    def _more(self, _: Any, domain: Any, *arguments: Any) -> None:
        *values, read = arguments
        identity, name = domain.UUIDString(), domain.name()
        if name.startswith(HELPER):
            return
        kind, reason, data = read(*values)
        with self._guard:
            self._waiting.append(self._event(kind, name, identity, None, reason, **data))
        self._deliver()

    def _event(self, kind: str, name: str, identity: str | None, status: str | None, reason: str, **data: Any) -> Event:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Event(
            kind=kind, host=self._connection.name, at=at, resource=name, id=identity, status=status, reason=reason, data=data
        )

    def _deliver(self) -> None:
        """Hand out what waits, in order: one thread at a time, and never while holding the guard."""
        while True:
            with self._guard:
                if self._delivering or self._held or not self._waiting:
                    return
                self._delivering = True
                event, listeners = self._waiting.popleft(), self._listeners
            try:
                for listener in listeners:
                    listener.tell(event)
            finally:
                self._delivering = False


__all__ = ["KVMEvents"]
