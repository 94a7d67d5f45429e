"""Events: one registration with libvirt however many listen, in order, and nothing is lost over a reconnect."""

import threading

import libvirt
import pytest

import novacron
from novacron_kvm.connection import KVMConnection
from novacron_kvm.operations.events import KVMEvents

WAIT = 10


class Heard:
    """A listener that can be waited for."""

    def __init__(self):
        self.events, self._more = [], threading.Condition()

    def __call__(self, event):
        with self._more:
            self.events.append(event)
            self._more.notify_all()

    def until(self, condition):
        with self._more:
            assert self._more.wait_for(lambda: condition(self.events), WAIT), self.events

    @property
    def told(self):
        return [(e.kind, e.resource, e.status, e.reason) for e in self.events]


@pytest.fixture
def host():
    with novacron.connect("test:///default") as found:
        yield found


def test_every_listener_hears_the_same_in_the_same_order(host):
    listeners = [Heard() for _ in range(5)]
    for listener in listeners:
        host.subscribe(listener)
    vm = host.vms["test"]
    for _ in range(20):
        vm.suspend()
        vm.resume()
    for listener in listeners:
        listener.until(lambda events: len(events) >= 40)
        assert [e.status for e in listener.events] == ["suspended", "running"] * 20
    assert len({id(e) for listener in listeners for e in listener.events}) == 40


def test_a_listener_that_fails_or_leaves_disturbs_no_other(host):
    def broken(event):
        raise RuntimeError("listener")

    leaving, staying = Heard(), Heard()
    host.subscribe(broken)
    first = host.subscribe(leaving)
    host.subscribe(staying)
    host.vms["test"].suspend()
    leaving.until(len)
    first.close()
    first.close()
    host.vms["test"].resume()
    staying.until(lambda events: len(events) == 2)
    assert len(leaving.events) == 1


def test_a_listener_may_leave_from_within(host):
    heard, subscription = Heard(), []

    def once(event):
        subscription[0].close()
        heard(event)

    subscription.append(host.subscribe(once))
    host.vms["test"].suspend()
    heard.until(len)
    again = Heard()
    host.subscribe(again)
    host.vms["test"].resume()
    again.until(len)
    assert [e.status for e in heard.events] == ["suspended"]


def test_whoever_comes_after_the_last_has_left_hears_again(host):
    for _ in range(3):
        heard = Heard()
        subscription = host.subscribe(heard)
        host.vms["test"].suspend()
        host.vms["test"].resume()
        heard.until(lambda events: len(events) == 2)
        subscription.close()


@pytest.fixture
def lost():
    """Two connections to one host, the first of which can be lost with `lose()`. `notice()` does what libvirt's callback does then."""
    connection, other = KVMConnection("test:///default", "t"), libvirt.open("test:///default")
    events = KVMEvents(connection)

    class Dead:
        def isAlive(self):
            return False

        def unregisterCloseCallback(self):
            raise libvirt.libvirtError("client socket is closed")

    def lose():
        registered, numbers = events._registered
        for number in numbers:
            registered.domainEventDeregisterAny(number)
        events._registered = Dead(), []

    def notice():
        events._lost(None, libvirt.VIR_CONNECT_CLOSE_REASON_EOF, None)

    yield notice, events, other, lose
    events.close()
    connection.close()
    other.close()


def test_what_happened_while_the_connection_was_lost_is_found_by_comparing(lost):
    notice, events, other, lose = lost
    heard = Heard()
    events.event_subscribe(heard)
    other.defineXML("<domain type='test'><name>going</name><memory>1024</memory><os><type>hvm</type></os></domain>")
    heard.until(len)
    lose()
    other.lookupByName("test").suspend()
    other.lookupByName("going").undefine()
    other.createXML("<domain type='test'><name>coming</name><memory>1024</memory><os><type>hvm</type></os></domain>")
    notice()
    heard.until(lambda events: len(events) >= 7)
    why = "found after a reconnect"
    assert heard.told[1:3] == [("host.connection", "t", None, "lost"), ("host.connection", "t", None, "connected")]
    assert sorted(heard.told[3:], key=str) == sorted(
        [
            ("vm.status", "test", "suspended", why),
            ("vm.deleted", "going", None, why),
            ("vm.defined", "coming", None, why),
            ("vm.status", "coming", "running", why),
        ],
        key=str,
    )
    other.lookupByName("test").resume()
    heard.until(lambda events: events[-1].status == "running" and events[-1].resource == "test")
    other.lookupByName("coming").destroy()


def test_an_event_during_the_comparison_comes_after_what_it_finds(lost):
    notice, events, other, lose = lost
    heard = Heard()
    events.event_subscribe(heard)
    lose()
    other.lookupByName("test").suspend()
    register = events._register

    def meanwhile():
        found = register()
        other.lookupByName("test").resume()
        events._waiting_seen = heard.events[1:]
        return found

    events._register = meanwhile
    notice()
    heard.until(lambda events: len(events) >= 4)
    assert [(e.kind, e.status) for e in heard.events[1:]] == [
        ("host.connection", None),
        ("vm.status", "suspended"),
        ("vm.status", "running"),
    ]
    assert events._waiting_seen == []


def test_libvirts_numbers_are_told_as_its_words():
    from novacron_kvm.operations.events import _word

    assert [_word("EVENT_TRAY_CHANGE", n) for n in (0, 1)] == ["open", "close"]
    assert _word("EVENT_IO_ERROR", 1) == "pause"
    assert _word("EVENT_AGENT_LIFECYCLE_STATE", 1) == "connected"
    assert [_word("BLOCK_JOB", n) for n in (0, 1, 2, 3)] == ["completed", "failed", "canceled", "ready"]
    assert _word("BLOCK_JOB_TYPE", 4) == "active commit"
    assert _word("EVENT_WATCHDOG", 99) == "99"
