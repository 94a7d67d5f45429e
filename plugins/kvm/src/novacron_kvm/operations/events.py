"""libvirt's lifecycle events as NovaCron's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import libvirt

from novacron.hookspecs.events import Subscription
from novacron.plugins import hookimpl
from novacron.records.events import Event
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.statuses import TABLE

KIND = {libvirt.VIR_DOMAIN_EVENT_DEFINED: "vm.defined", libvirt.VIR_DOMAIN_EVENT_UNDEFINED: "vm.deleted"}
STATUS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: "running", libvirt.VIR_DOMAIN_EVENT_RESUMED: "running",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended", libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: "stopping", libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: "sleeping",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}  # fmt: skip


class KVMEvents:
    """Subscriptions to what happens on the host."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def event_subscribe(self, callback: Callable[[Event], object]) -> Subscription:
        """Register with libvirt; again after each reconnect, with what changed meanwhile found by comparing."""
        return _Subscribed(self._connection, callback)


class _Subscribed:
    """One subscription, kept over reconnects."""

    def __init__(self, connection: KVMConnection, callback: Callable[[Event], object]) -> None:
        self._connection, self._callback = connection, callback
        self._guard = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}
        self._handle: tuple[Any, int] | None = None
        self._register(connection.read)
        self._stop_following = connection.on_reconnect(self._register)

    def close(self) -> None:
        """Deregister."""
        self._stop_following()
        handle, self._handle = self._handle, None
        if handle is not None:
            try:
                handle[0].domainEventDeregisterAny(handle[1])
            except libvirt.libvirtError:
                pass  # the connection is gone, and the registration with it

    def _register(self, connection: Any) -> None:
        with translated("event_subscribe"):
            number = connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle, None)
            self._handle = (connection, number)
            stats = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
        now: dict[str, tuple[str, str]] = {
            d.UUIDString(): (d.name(), TABLE.get((v["state.state"], v["state.reason"]), ("unknown", ""))[0]) for d, v in stats
        }
        with self._guard:
            before, self._known = self._known, now
        if before:
            self._tell_changes(before, now)

    def _tell_changes(self, before: dict[str, tuple[str, str]], now: dict[str, tuple[str, str]]) -> None:
        for identity in before.keys() - now.keys():
            self._tell("vm.deleted", before[identity][0], identity, None, "found after a reconnect")
        for identity, (name, status) in now.items():
            if identity not in before:
                self._tell("vm.defined", name, identity, None, "found after a reconnect")
            elif before[identity][1] != status:
                self._tell("vm.status", name, identity, status, "found after a reconnect")

    def _lifecycle(self, _: Any, domain: Any, event: int, detail: int, __: Any) -> None:
        status = STATUS.get(event)
        identity, name = domain.UUIDString(), domain.name()
        kind = KIND.get(event, "vm.status")
        with self._guard:
            if kind == "vm.deleted":
                self._known.pop(identity, None)
            else:
                self._known[identity] = (name, status or self._known.get(identity, ("", "stopped"))[1])
        self._tell(kind, name, identity, status, "", detail=detail, event=event)

    def _tell(self, kind: str, name: str, identity: str, status: str | None, reason: str, **data: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._callback(
            Event(
                kind=kind, host=self._connection.name, at=at, resource=name, id=identity, status=status, reason=reason, data=data
            )
        )


__all__ = ["KVMEvents"]
