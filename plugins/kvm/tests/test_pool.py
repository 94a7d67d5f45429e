"""The pool of connections: each is used by one thread at a time, and nobody waits for another one's call."""

import threading
import time

import libvirt
import pytest

from novacron import errors
from novacron.threads import in_thread
from novacron_kvm.connection import KVMConnection
from novacron_kvm.openings import HUNG_KEPT
from novacron_kvm.pool import IDLE_KEPT, OPENED_AT_ONCE, ConnectionPool

LONG = 60
"""Seconds that only a test that fails waits."""


class Connection:
    """An open connection."""

    def __init__(self):
        self.alive, self.closed = True, False

    def isAlive(self):
        return self.alive

    def close(self):
        self.closed = True

    def setKeepAlive(self, interval, count):
        pass

    def getLibVersion(self):
        return 9_000_000

    def getHostname(self):
        return "kvm1"


@pytest.fixture
def opened():
    """All connections that were opened."""
    return []


@pytest.fixture
def pool(opened):
    def open_():
        opened.append(Connection())
        return opened[-1]

    found = ConnectionPool("qemu://kvm1/system", open_, LONG)
    yield found
    found.close()


def test_a_connection_that_was_given_back_is_used_again(pool, opened):
    pool.give_back(pool.take())
    pool.give_back(pool.take())
    assert len(opened) == 1


def test_a_connection_in_use_is_given_to_nobody_else(pool):
    taken = [pool.take() for _ in range(6)]
    assert len({id(one) for one in taken}) == 6
    for one in taken:
        pool.give_back(one)
    assert [one.closed for one in taken] == [False] * IDLE_KEPT + [True] * (6 - IDLE_KEPT)


@pytest.mark.parametrize("when", ["in use", "idle"])
def test_a_lost_connection_is_replaced(pool, opened, when):
    first = pool.take()
    first.alive = when == "idle"
    pool.give_back(first)
    first.alive = False
    assert pool.take() is not first
    assert first.closed
    assert pool.lost == 1


def test_closing_leaves_connections_to_those_who_use_them(pool):
    used, idle = pool.take(), pool.take()
    pool.give_back(idle)
    pool.close()
    assert (used.closed, idle.closed) == (False, True)
    pool.give_back(used)
    assert used.closed
    with pytest.raises(errors.HostConnectionError, match="is closed"):
        pool.take()


def test_closing_ends_the_waiting_and_closes_what_is_opened_later():
    may_open, opening, connection = threading.Event(), threading.Event(), Connection()
    closed = threading.Event()
    connection.close = closed.set

    def open_():
        opening.set()
        may_open.wait(LONG)
        return connection

    pool = ConnectionPool("qemu://kvm1/system", open_, LONG)
    waiting = in_thread(lambda: pool.take(), "waits")
    assert opening.wait(LONG)
    pool.close()
    with pytest.raises(errors.HostConnectionError, match="is closed"):
        waiting.result(LONG)
    may_open.set()
    assert closed.wait(LONG)


def test_a_hanging_daemon_is_not_waited_for_when_the_pool_is_closed(pool, monkeypatch):
    monkeypatch.setattr("novacron_kvm.pool.CLOSE_SECONDS", 0.01)
    hangs, release = pool.take(), threading.Event()
    hangs.close = lambda: release.wait(LONG)
    pool.give_back(hangs)
    ended = in_thread(pool.close, "closes")
    ended.result(LONG / 2)
    release.set()


def test_whoever_waits_in_vain_leaves_one_opening_behind_and_its_connection_is_used(monkeypatch):
    may_open, begun = threading.Event(), []

    def open_():
        begun.append(1)
        may_open.wait(LONG)
        return Connection()

    monkeypatch.setattr("novacron_kvm.pool.REOPEN_SECONDS", 0.01)
    pool = ConnectionPool("qemu://kvm1/system", open_, LONG)
    pool.failing = True
    for _ in range(3):
        with pytest.raises(errors.OperationTimeoutError) as caught:
            pool.take()
        assert caught.value.outcome == "not_sent"
    assert begun == [1]
    may_open.set()
    assert pool.take().isAlive()
    pool.close()


def test_a_connection_that_is_found_dead_makes_the_wait_for_a_new_one_short(monkeypatch):
    """The host has just stopped to answer: whoever asked has waited for keepalive already."""
    monkeypatch.setattr("novacron_kvm.pool.REOPEN_SECONDS", 0.01)
    may_open, dead = threading.Event(), Connection()
    dead.alive = False

    def open_():
        may_open.wait(LONG)
        return Connection()

    pool = ConnectionPool("qemu://kvm1/system", open_, LONG)
    pool.give_back(dead)
    with pytest.raises(errors.OperationTimeoutError):
        pool.take()
    pool.close()
    may_open.set()


def test_many_who_wait_open_few_at_once_and_all_learn_of_a_failure():
    may_fail, begun = threading.Event(), threading.Semaphore(0)

    def open_():
        begun.release()
        may_fail.wait(LONG)
        raise libvirt.libvirtError("refused")

    pool = ConnectionPool("qemu://kvm1/system", open_, LONG)
    waiting = [in_thread(lambda: pool.take(), "waits") for _ in range(3 * OPENED_AT_ONCE)]
    for _ in range(OPENED_AT_ONCE):
        assert begun.acquire(timeout=LONG)
    assert not begun.acquire(timeout=0.05)
    may_fail.set()
    for one in waiting:
        assert isinstance(one.exception(LONG), errors.HostConnectionError)


def test_openings_that_all_end_when_a_host_answers_again_leave_few_connections():
    gate, closed, connections = threading.Event(), threading.Semaphore(0), []

    def open_():
        gate.wait(LONG)
        connection = Connection()
        connection.close = closed.release
        connections.append(connection)
        return connection

    pool, of_others = ConnectionPool("qemu://kvm1/system", open_, 0.001), threading.enumerate()
    for _ in range(IDLE_KEPT + 6):
        with pytest.raises(errors.OperationTimeoutError):
            pool.take()
    openings = [thread for thread in threading.enumerate() if thread.name == "novacron-open" and thread not in of_others]
    gate.set()
    for thread in openings:
        thread.join(LONG)
    assert len(connections) > IDLE_KEPT
    for _ in range(len(connections) - IDLE_KEPT):
        assert closed.acquire(timeout=LONG)
    pool.close()


class Hanging:
    """A daemon that takes connections and does not answer."""

    def __init__(self, uri):
        self.uri, self.gate, self.begun = uri, threading.Event(), 0

    def open(self):
        self.begun += 1
        assert self.gate.wait(LONG)
        return Connection()

    def pool(self):
        return ConnectionPool(self.uri, self.open, 0.001)


@pytest.fixture
def hanging(request):
    found = Hanging(f"qemu://{request.node.name}/system")
    yield found
    found.gate.set()


def until_refused(pools):
    """Take connections until one is refused at once, and return that error."""
    for pool in pools:
        try:
            pool.take()
        except errors.OperationTimeoutError as error:
            if "connections to it hang" in str(error):
                return error
    raise AssertionError("it was never refused")


@pytest.mark.parametrize("pools", ["one pool", "a new pool each time"])
def test_few_openings_hang_at_once_however_often_they_are_tried(hanging, monkeypatch, pools):
    """A host that is asked for hours reconnects again and again."""
    monkeypatch.setattr("novacron_kvm.openings.LONGEST_PAUSE", LONG)
    one = hanging.pool()
    made = [one if pools == "one pool" else hanging.pool() for _ in range(60)]
    error = until_refused(made)
    assert error.outcome == "not_sent"
    assert "systemctl status libvirtd" in error.hint
    for pool in made:
        with pytest.raises(errors.OperationTimeoutError):
            pool.take()
    assert HUNG_KEPT <= hanging.begun <= HUNG_KEPT + 15  # each further one is tried after a pause twice as long


def test_a_daemon_that_hung_is_used_again_at_once_when_it_answers(hanging, monkeypatch):
    monkeypatch.setattr("novacron_kvm.openings.LONGEST_PAUSE", LONG)
    pool = hanging.pool()
    until_refused([pool] * 60)
    openings = [thread for thread in threading.enumerate() if thread.name == "novacron-open"]
    hanging.gate.set()
    for thread in openings:
        thread.join(LONG)
    assert pool.take().isAlive()
    pool.close()


def test_many_pools_that_open_at_once_are_not_taken_for_a_daemon_that_hangs(hanging):
    pools = [ConnectionPool(hanging.uri, hanging.open, LONG) for _ in range(3 * HUNG_KEPT)]
    waiting = [in_thread(pool.take, "waits") for pool in pools]
    while hanging.begun < len(pools):
        threading.Event().wait(0.01)
    hanging.gate.set()
    assert all(each.result(LONG).isAlive() for each in waiting)


def test_an_opening_for_which_there_is_no_thread_fails_at_once_and_counts_no_longer(pool, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(HUNG_KEPT + 1):
        with pytest.raises(errors.HostConnectionError, match="thread") as caught:
            pool.take()
        assert caught.value.outcome == "not_sent"
    monkeypatch.undo()
    assert pool.take().isAlive()


@pytest.fixture
def host(opened, monkeypatch):
    def open_auth(uri, auth, flags):
        opened.append(Connection())
        return opened[-1]

    monkeypatch.setattr(libvirt, "openAuth", open_auth)
    found = KVMConnection("qemu+tcp://kvm1/system", "kvm1")
    yield found
    found.close()


def test_a_thread_keeps_its_connection_within_an_operation(host, opened):
    with host.operation():
        first = host.read
        with host.dedicated() as same, host.operation():
            assert same is host.read is first
        assert in_thread(lambda: host.read, "another").result(LONG) is not first
    with host.operation():
        assert host.read in opened
    assert len(opened) == 2


def test_nothing_was_sent_if_no_connection_could_be_opened(host, opened, monkeypatch):
    def refuse(uri, auth, flags):
        raise libvirt.libvirtError("refused")

    monkeypatch.setattr(libvirt, "openAuth", refuse)
    opened[0].alive = False
    with pytest.raises(errors.HostConnectionError) as caught, host.dedicated():
        pass
    assert caught.value.outcome == "not_sent"


def test_an_operation_whose_connection_is_lost_and_not_replaced_has_an_unknown_outcome(host, opened, monkeypatch):
    """It may have changed something by then, so it is not repeated."""

    def refuse(uri, auth, flags):
        raise libvirt.libvirtError("refused")

    monkeypatch.setattr("novacron_kvm.connection.CHECKED_SECONDS", 0.0)
    with host.operation():
        host.read.alive = False
        monkeypatch.setattr(libvirt, "openAuth", refuse)
        with pytest.raises(errors.HostConnectionError) as caught:
            host.read  # noqa: B018 - it opens another one
    assert caught.value.outcome == "unknown"
    with host.operation(), pytest.raises(errors.HostConnectionError) as caught:
        host.read  # noqa: B018
    assert caught.value.outcome == "not_sent"


def test_resumable_work_goes_on_when_a_new_connection_takes_longer_than_one_call_waits(host, opened, monkeypatch):
    begun, gate = threading.Event(), threading.Event()

    def slow(uri, auth, flags):
        begun.set()
        gate.wait(LONG)
        return Connection()

    monkeypatch.setattr("novacron_kvm.pool.REOPEN_SECONDS", 0.01)
    monkeypatch.setattr(libvirt, "openAuth", slow)
    opened[0].alive = False
    work = in_thread(lambda: host.resumable(lambda connection: connection.getHostname()), "resumes")
    assert begun.wait(LONG)
    with pytest.raises(TimeoutError):
        work.result(0.05)  # the first call has given up by now, most probably
    gate.set()
    assert work.result(LONG) == "kvm1"


def test_operations_one_after_another_use_one_connection(host, opened):
    def operation():
        with host.operation():
            return host.read

    assert {id(in_thread(operation, "operation").result(LONG)) for _ in range(5)} == {id(opened[0])}


def test_a_bounded_call_uses_the_connection_of_its_caller(host):
    with host.operation():
        own = host.read

        def call():
            with host.dedicated() as connection:
                return connection

        assert host.bounded(call, timeout=LONG) is own
        assert host.read is own


def test_an_abandoned_call_keeps_its_connection_until_it_ends(host):
    release, ended = threading.Event(), threading.Event()

    def hang():
        host.read  # noqa: B018 - the connection of the caller
        release.wait(LONG)

    with host.operation():
        own = host.read
        own.close = ended.set
        with pytest.raises(errors.OperationTimeoutError):
            host.bounded(hang, timeout=0.01)
        assert host.read is not own
        host.close()
        assert not ended.is_set()
        release.set()
        assert ended.wait(LONG)


def test_a_call_that_was_not_sent_after_others_were_leaves_an_unknown_outcome(host):
    """Whoever repeats the operation would repeat the earlier calls."""

    def operation():
        with host.operation():
            host.read.getLibVersion()
            raise errors.HostConnectionError("client socket is closed", outcome="not_sent")

    with pytest.raises(errors.HostConnectionError) as caught:
        operation()
    assert caught.value.outcome == "unknown"


def test_a_host_with_a_slow_link_gets_the_time_that_its_link_needs(host, opened, monkeypatch):
    def slow(uri, auth, flags):
        time.sleep(1)
        opened.append(Connection())
        return opened[-1]

    monkeypatch.setattr(libvirt, "openAuth", slow)
    assert not host.answers(0.1) or len(opened) == 1  # the idle connection answers
    with host.operation():
        assert host.read in opened  # the only idle connection is in use
        assert in_thread(lambda: host.answers(0.1), "asks").result(LONG) is False
        while len(opened) < 2:
            time.sleep(0.01)
        connections = [host.take() for _ in range(2)]
        assert in_thread(lambda: host.answers(0.1), "asks").result(LONG) is True
        for connection in connections:
            host.give_back(connection)
