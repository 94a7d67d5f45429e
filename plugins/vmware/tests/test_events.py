"""Events of a real vSphere API."""

from __future__ import annotations

import threading
import time

import pytest

import novacron
from novacron import VMSpec
from novacron_vmware.operations import events as events_area


def until(seen, what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not what(seen) and time.monotonic() < deadline:
        time.sleep(0.02)
    return what(seen)


def test_another_client_s_change_is_told_soon(vcenter, host, monkeypatch):
    """By one waiting call, long before it ends by itself; and by nobody who asks every VM."""
    from pyVmomi import SoapStubAdapter

    monkeypatch.setattr(events_area, "WAIT", 25)
    with novacron.connect(vcenter.uri(path="/DC0"), name="other", password=vcenter.password) as other:
        vm = other.vms.create(VMSpec(name="foreign", memory="64MiB"))
        seen, calls, real = [], [], SoapStubAdapter.InvokeMethod
        subscription = host.subscribe(lambda event: seen.append((event, time.monotonic())))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SoapStubAdapter, "InvokeMethod", lambda *a, **k: (calls.append((a[0], a[2].name)), real(*a, **k))[1])
            began = time.monotonic()
            vm.start()
            assert until(seen, lambda s: any(e.status == "running" for e, _ in s))
            mine = [name for stub, name in calls if stub is host.dispatcher.driver.native.session]
        told = next(at for event, at in seen if event.status == "running")
        assert told - began < 15
        assert len(mine) <= 8, mine
        vm.stop()
        vm.rename("renamed")
        vm.update(description="new")
        vm.delete()
        assert until(seen, lambda s: s[-1][0].kind == "vm.deleted")
        subscription.close()
    events = [event for event, _ in seen if event.id == vm.id]
    assert {(e.kind, e.reason) for e in events} >= {("vm.defined", "updated"), ("vm.deleted", "removed")}
    assert events[-1].resource == "renamed"
    assert all(event.data["event"] for event in events)


def test_an_expired_session_loses_no_event(host):
    """The history goes on in the new session."""
    seen = []
    vm = host.vms.create(VMSpec(name="on-and-off", memory="64MiB"))
    subscription = host.subscribe(seen.append)
    try:
        for _ in range(3):
            host.dispatcher.driver.native.content.sessionManager.Logout()
            vm.start()
            vm.stop()

        def statuses(seen):
            return [e.status for e in seen if e.id == vm.id and e.kind == "vm.status" and e.status != "stopping"]

        assert until(seen, lambda s: len(statuses(s)) >= 6), statuses(seen)
        assert statuses(seen) == ["running", "stopped"] * 3
    finally:
        subscription.close()
        vm.delete()


def test_a_session_that_expires_between_the_waiting_and_the_reading_delays_no_event(host, monkeypatch):
    """The event is in the new session's history already, which grows no more."""
    monkeypatch.setattr(events_area, "WAIT", 25)
    wait, expiring, seen = events_area._History.wait, threading.Event(), []

    def waited(history):
        wait(history)
        if expiring.is_set():
            expiring.clear()
            host.dispatcher.driver.native.content.sessionManager.Logout()

    monkeypatch.setattr(events_area._History, "wait", waited)
    vm = host.vms.create(VMSpec(name="heard-late", memory="64MiB"))
    subscription = host.subscribe(lambda event: seen.append((event, time.monotonic())))
    try:
        expiring.set()
        began = time.monotonic()
        vm.start()
        assert until(seen, lambda s: any(e.id == vm.id and e.status == "running" for e, _ in s))
        assert not expiring.is_set()
        assert next(at for e, at in seen if e.id == vm.id and e.status == "running") - began < 15
    finally:
        subscription.close()
        vm.delete(force=True)


def test_a_server_that_went_away_is_compared(simulator):
    """Lost and connected are told, and what changed meanwhile, found by comparing."""
    first = simulator()
    with novacron.connect(first.uri(path="/DC0"), name="vc", password=first.password, timeout=5) as host:
        seen, names = [], {v.name for v in host.vms.list()}
        made = host.vms.create(VMSpec(name="lost-with-it", memory="64MiB"))
        subscription = host.subscribe(seen.append)
        first.stop()
        assert until(seen, lambda s: any(e.kind == "host.connection" and e.reason == "lost" for e in s))
        simulator(port=first.port)
        assert until(seen, lambda s: any(e.kind == "host.connection" and e.reason == "connected" for e in s))
        assert until(seen, lambda s: any(e.kind == "vm.deleted" and e.id == made.id for e in s)), seen
        assert {v.name for v in host.vms.list()} == names
        host.vms["DC0_H0_VM0"].stop()
        assert until(
            seen, lambda s: any(e.kind == "vm.status" and e.resource == "DC0_H0_VM0" and e.status == "stopped" for e in s)
        )
        subscription.close()


def test_a_subscriber_that_fails_harms_nobody(host, caplog):
    """The others still hear."""
    seen = []
    broken, other = host.subscribe(lambda event: 1 / 0), host.subscribe(seen.append)
    vm = host.vms.create(VMSpec(name="heard", memory="64MiB"))
    assert until(seen, lambda s: any(e.id == vm.id for e in s))
    broken.close()
    other.close()
    vm.delete()
    assert "failed" in caplog.text


def test_alarms_are_told(host):
    """Which, of what, from how to how."""
    from pyVmomi import vim

    native = host.dispatcher.driver.native
    vm = host.vms.create(VMSpec(name="alarming", memory="64MiB"))
    thing, seen = native.inventory.find(vm.id), []
    subscription = host.subscribe(seen.append)
    event = vim.event.AlarmStatusChangedEvent(
        alarm=vim.event.AlarmEventArgument(name="VM CPU usage", alarm=vim.alarm.Alarm("alarm-6")),
        to="red",
        source=vim.event.ManagedEntityEventArgument(name="alarming", entity=thing),
        entity=vim.event.ManagedEntityEventArgument(name="alarming", entity=thing),
        key=1,
        chainId=1,
        userName="",
    )
    setattr(event, "from", "green")
    event.createdTime = vim.ServiceInstance("ServiceInstance", native.session).CurrentTime()
    native.content.eventManager.PostEvent(event, None)
    assert until(seen, lambda s: any(e.kind == "alarm" for e in s))
    told = next(e for e in seen if e.kind == "alarm")
    assert (told.resource, told.reason, told.data["alarm"], told.data["from"]) == ("alarming", "red", "VM CPU usage", "green")
    subscription.close()
    vm.delete()
