"""Events are delivered in order."""

from __future__ import annotations

import time
from datetime import datetime

from novacron.handles.host import EventStream, HostHandle
from novacron.handles.vm import VMHandle
from novacron.records.events import Event
from novacron.testing.conformance.case import Conformance, Create, needs
from novacron.testing.target import Target

PASSING = {"stopping", "migrating", None}
"""Statuses that a driver may or may not tell of on the way."""


class TestEvents(Conformance):
    """Every status change is delivered, in order."""

    @needs("event_subscribe")
    def test_status_changes_arrive_in_order(self, host: HostHandle, target: Target, vm: VMHandle) -> None:
        """Start, suspend, resume and stop are delivered once each, as far as the driver offers them."""
        halts = host.supports("vm_suspend") and host.supports("vm_resume")
        expected = ["running", *(["suspended", "running"] if halts else []), "stopped"]
        with host.events(timeout=target.event_timeout) as events:
            vm.start()
            if halts:
                vm.suspend()
                vm.resume()
            vm.stop()
            seen = _until(events, vm, len(expected), target.event_timeout)
        assert _statuses(seen) == expected
        for event in seen:
            assert event.host == host.name
            assert (event.resource, event.id) == (vm.name, vm.id)
            assert datetime.fromisoformat(event.at).tzinfo is not None

    @needs("event_subscribe")
    def test_birth_and_death_are_told(self, host: HostHandle, target: Target, create: Create) -> None:
        """`vm.defined` and `vm.deleted` name the VM."""
        kinds, deadline = list[str](), time.monotonic() + target.event_timeout
        with host.events(kinds={"vm.defined", "vm.deleted"}, timeout=target.event_timeout) as events:
            vm = create()
            vm.delete()
            for event in events:
                if event.id == vm.id:
                    kinds.append(event.kind)
                if event.kind == "vm.deleted" or time.monotonic() > deadline:
                    break
        assert kinds[:1] == ["vm.defined"]
        assert kinds[-1:] == ["vm.deleted"]

    @needs("event_subscribe")
    def test_closed_subscription_hears_nothing(self, host: HostHandle, target: Target, vm: VMHandle) -> None:
        """A subscription that was opened before still delivers after another one was closed."""
        heard: list[Event] = []
        with host.events(kinds={"vm.status"}, timeout=target.event_timeout) as witness:
            host.subscribe(heard.append).close()
            vm.start()
            assert _until(witness, vm, 1, target.event_timeout)
        assert heard == []


def _until(events: EventStream, vm: VMHandle, changes: int, timeout: float) -> list[Event]:
    """Return the VM's status events until there were that many changes, or no more come."""
    seen, deadline = list[Event](), time.monotonic() + timeout
    for event in events:
        if event.kind == "vm.status" and event.id == vm.id:
            seen.append(event)
        if len(_statuses(seen)) >= changes or time.monotonic() > deadline:
            break
    return seen


def _statuses(events: list[Event]) -> list[str]:
    told = [event.status for event in events if event.status not in PASSING]
    return [str(now) for before, now in zip([None, *told], told, strict=False) if now != before]


__all__ = ["TestEvents"]
