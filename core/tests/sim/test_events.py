"""Events reach subscribers in order."""

import threading

import pytest

import novacron
from novacron import errors
from novacron.drivers import sim


def collect(host, count):
    """Subscribe, and return a function that waits for `count` events."""
    found, enough = [], threading.Event()

    def put(event):
        found.append(event)
        if len(found) >= count:
            enough.set()

    host.subscribe(put)

    def wait():
        assert enough.wait(60), found
        return found

    return wait


def test_changes_are_told_in_order(a, make):
    wait = collect(a, 4)
    vm = make(a).start().stop()
    vm.delete()
    assert [(e.kind, e.status) for e in wait()] == [
        ("vm.defined", "stopped"),
        ("vm.status", "running"),
        ("vm.status", "stopped"),
        ("vm.deleted", "stopped"),
    ]


def test_a_closed_subscription_hears_nothing_more(a, make):
    heard = []
    a.subscribe(heard.append).close()
    wait = collect(a, 1)
    make(a)
    wait()
    assert heard == []


def test_a_subscriber_that_fails_does_not_keep_events_from_others(a, make):
    def fail(event):
        raise RuntimeError("mine")

    a.subscribe(fail)
    wait = collect(a, 2)
    make(a).start()
    assert [e.kind for e in wait()] == ["vm.defined", "vm.status"]


def test_nothing_is_lost_over_a_lost_connection(a, make):
    vm = make(a, start=True)
    wait = collect(a, 3)
    world = sim.world("a")
    world.disconnect()
    with pytest.raises(errors.HostConnectionError):
        vm.refresh()
    with pytest.raises(errors.HostConnectionError):
        novacron.connect("sim://a")
    world.crash("web1")
    world.reconnect()
    assert [(e.kind, e.reason) for e in wait()] == [
        ("host.connection", "lost"),
        ("host.connection", "connected"),
        ("vm.status", "panicked"),
    ]
    assert vm.refresh().status == "crashed"
