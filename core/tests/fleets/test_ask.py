"""Many hosts are asked at once: in order, bounded, and a host that hangs costs only its own answer."""

import threading

import pytest

import novacron
from novacron import errors


@pytest.fixture
def fleet(tmp_path):
    with novacron.Site(tmp_path) as site:
        for name in ("a", "b", "c"):
            site.fleet.add(name, f"sim://asked-{name}")
        yield site.fleet


def test_answers_come_in_the_order_that_was_asked_for(fleet):
    gate = threading.Event()

    def slow_first(host):
        if host.name == "c":
            assert gate.wait(60)
        gate.set()
        return host.name

    assert [answer.value for answer in fleet.ask(["c", "a", "b"], slow_first)] == ["c", "a", "b"]


def test_a_host_that_hangs_costs_only_its_own_answer(fleet):
    gate = threading.Event()
    for name in ("b", "c"):
        fleet.hosts.open(name)
    try:
        answers = fleet.ask(
            ["a", "b", "c"], lambda host: gate.wait(60) if host.name == "a" else host.ping().host, timeout=2, limit=1
        )
    finally:
        gate.set()
    assert [(answer.host, answer.value) for answer in answers] == [("a", None), ("b", "b"), ("c", "c")]
    assert isinstance(answers[0].error, errors.OperationTimeoutError)
    assert answers[0].error.host == "a"


def test_a_host_whose_connecting_hangs_delays_no_other(tmp_path):
    gate = threading.Event()

    def connect(uri, context):
        gate.wait(60)
        raise errors.HostConnectionError("gone")

    provider = novacron.plugins.DriverProvider(name="hung", schemes=("hung",), connect=connect)
    with novacron.Site(tmp_path) as site:
        site.drivers.register(provider)
        site.fleet.add("hung", "hung://x")
        site.fleet.add("well", "sim://well")
        try:
            site.fleet.hosts.open("well")
            answers = site.fleet.ask(["hung", "well"], lambda host: host.ping().host, timeout=2)
        finally:
            gate.set()
    assert isinstance(answers[0].error, errors.OperationTimeoutError)
    assert answers[1].value == "well"


def test_every_kind_of_failure_is_an_answer_that_names_its_host(fleet):
    def fail(host):
        if host.name == "a":
            raise errors.BusyError("held")
        if host.name == "b":
            raise RuntimeError("a defect")
        return host.vms["ghost"]

    a, b, c, ghost = fleet.ask(["a", "b", "c", "ghost"], fail)
    assert (type(a.error), a.error.host) == (errors.BusyError, "a")
    assert (type(b.error), b.error.host) == (errors.DriverError, "b")
    assert isinstance(c.error, errors.VMNotFoundError)
    assert isinstance(ghost.error, errors.HostNotFoundError)


def test_no_more_hosts_are_asked_at_a_time_than_the_limit_says(fleet):
    lock, running, most, both = threading.Lock(), 0, 0, threading.Barrier(2, timeout=10)
    host = fleet.hosts["a"]

    def count(_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1

    assert all(answer.error is None for answer in fleet.ask([host] * 8, count, limit=2))
    assert most == 2


def test_asking_nobody_is_no_answer_and_bad_limits_are_refused(fleet):
    assert fleet.ask([], lambda host: host.ping()) == []
    with pytest.raises(errors.InvalidSpecError, match="limit"):
        fleet.ask(["a"], lambda host: host.ping(), limit=0)


def test_clashing_addresses_are_found_and_a_host_that_is_gone_is_an_error(fleet):
    mac = "52:54:00:aa:bb:01"
    for name in ("a", "b"):
        fleet.hosts[name].vms.create(name="web1", nics=[{"network": "default", "mac": mac}])
    (clash,) = fleet.mac_clashes()
    assert (clash.mac, clash.vms) == (mac, ("a/web1", "b/web1"))
    fleet.add("dead", "nowhere://x")
    with pytest.raises(errors.UnsupportedOperationError):
        fleet.mac_clashes()
