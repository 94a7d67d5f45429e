"""How many migrations a host has at a time, of all runs and processes together."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

import novacron
from novacron.errors import InvalidSpecError, OperationCancelledError
from novacron.workflow import steps

WORLDS = itertools.count()


@pytest.fixture
def hosts():
    number = next(WORLDS)
    uris = {name: f"sim://limit-{name}-{number}" for name in "abc"}
    opened = {name: novacron.connect(uri, name=name) for name, uri in uris.items()}
    yield opened
    for host in opened.values():
        host.close()
    del novacron.fleet().settings["migrations_per_host"]


def crowd(host, count, start=0):
    return [host.vms.create(name=f"vm-{host.name}-{n}", memory="64MiB", start=True) for n in range(start, start + count)]


class Watch:
    """The most migrations that were under way at a host at a time."""

    def __init__(self, hosts):
        self.most, self._ended, self._hosts = dict.fromkeys(hosts, 0), threading.Event(), hosts
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _look(self):
        while not self._ended.is_set():
            for name, host in self._hosts.items():
                moving = sum(vm.migration is not None for vm in list(host.dispatcher.driver.native.world.vms.values()))
                self.most[name] = max(self.most[name], moving)
            time.sleep(0.005)


@pytest.mark.parametrize("limit", [1, 3])
def test_no_host_has_more_migrations_than_it_may(hosts, limit):
    """Of one run over many VMs, and of several runs beside each other."""
    novacron.fleet().settings["migrations_per_host"] = limit
    first, second = crowd(hosts["a"], 6), crowd(hosts["b"], 6)
    move = {name: steps.migrate(name, bandwidth="400MiB/s") for name in "c"}
    with Watch({"a": hosts["a"], "b": hosts["b"]}) as watch:
        runs = [move["c"].run(vms, hosts=hosts, wait=False, max_parallel=6) for vms in (first, second)]
        assert [run.result(60) is not None for run in runs] == [True, True]
    assert watch.most["a"] <= limit
    assert watch.most["b"] <= limit
    assert max(watch.most.values()) == limit or limit == 3
    assert hosts["c"].vms.list().total == 12


def test_who_waits_says_for_whom_and_can_be_cancelled(hosts):
    """The host, the VMs that are under way; a cancelled one never begins."""
    novacron.fleet().settings["migrations_per_host"] = 1
    one, two = crowd(hosts["a"], 2)
    going = steps.migrate("c", bandwidth="1MiB/s").run(one, hosts=hosts, wait=False)
    while one.host.vms[one.id].status != "migrating" and going.progress.fraction is not None and not going.done():
        time.sleep(0.01)
    waiting = steps.migrate("c").run(two, hosts=hosts, wait=False)
    until = time.monotonic() + 60
    while "waits" not in waiting.progress.message and time.monotonic() < until:
        time.sleep(0.01)
    assert one.name in waiting.progress.message
    waiting.cancel()
    with pytest.raises(OperationCancelledError):
        waiting.result(60)
    assert two.refresh().host is hosts["a"]
    one.host.invoke("migration_tune", vm=one.id, bandwidth=2**40, max_downtime=None, post_copy=False)
    assert going.result(60)


def test_a_dead_process_holds_nobody_up(hosts, processes):
    """Its migrations no longer count."""
    novacron.fleet().settings["migrations_per_host"] = 1
    (vm,) = crowd(hosts["a"], 1)
    from novacron.site import default_site
    from novacron.store.migration_slots import MigrationSlots

    assert (
        MigrationSlots(default_site().database).take("of-the-dead", "gone", {hosts["a"].uri: "a"}, "a-process-that-is-gone", ())
        is None
    )
    assert "gone" in str(
        MigrationSlots(default_site().database).take("other", "x", {hosts["a"].uri: "a"}, "me", ("a-process-that-is-gone",))
    )
    assert steps.migrate("c").run(vm, hosts=hosts).status == "done"


def test_a_limit_is_a_whole_number(hosts):
    for wrong in (0, -1, "two", 1.5):
        with pytest.raises(InvalidSpecError):
            novacron.fleet().settings["migrations_per_host"] = wrong
    with pytest.raises(InvalidSpecError, match="migrations_per_host"):
        novacron.fleet().settings["migrations"]
    assert novacron.fleet().settings["migrations_per_host"] == 2
