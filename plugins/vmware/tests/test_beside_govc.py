"""Random operations by eight threads, while govc changes the same VMs: no update is lost, no answer is stale."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from novacron import VMSpec, errors
from novacron_lab.vcenter import VCenter

THREADS, VMS = 8, 6
STALE = 2.0
"""Seconds after which an answer has to know of a change by another client."""


@pytest.fixture(scope="module")
def vcenter():
    with VCenter("-machines", "0") as vcenter:
        yield vcenter


class Writes:
    """What govc has written, value by value, with the time at which it had returned."""

    def __init__(self):
        self._guard = threading.Lock()
        self._made = {}

    def known(self, name, value):
        """A value that was there long before."""
        self._made[name] = [[value, float("-inf")]]

    def begin(self, name, value):
        with self._guard:
            self._made[name].append([value, float("inf")])

    def ended(self, name):
        with self._guard:
            self._made[name][-1][1] = time.monotonic()

    def allowed(self, name, asked):
        """The values that a reading which was asked for at that time may show."""
        with self._guard:
            made = self._made[name]
            newest = max(number for number, (_, ended) in enumerate(made) if ended <= asked - STALE)
            return {value for value, _ in made[newest:]}

    def last(self, name):
        return self._made[name][-1][0]


def test_no_update_is_lost_and_no_answer_is_stale(host, govc, sample):
    """Each thread sets keys and takes snapshots of names of their own, on any VM; govc alone sets the number of vCPUs, and keys too."""
    operations = sample(64, 500)
    names = [f"shared{number}" for number in range(VMS)]
    for name in names:
        host.vms.create(VMSpec(name=name, memory="64MiB", vcpus=1))
    writes, done, keys, snapshots = Writes(), threading.Event(), {name: set() for name in names}, {name: set() for name in names}
    for name in names:
        writes.known(name, 1)

    def beside():
        chance, number = random.Random("govc"), 0
        while not done.is_set():
            name, number = chance.choice(names), number + 1
            value = 1 + writes.last(name) % 64
            writes.begin(name, value)
            govc("vm.change", "-vm", f"/DC0/vm/{name}", "-c", str(value), "-e", f"guestinfo.govc{number}=x")
            writes.ended(name)
            keys[name].add(f"guestinfo.govc{number}")

    def read(chance):
        asked = time.monotonic()
        if chance.random() < 0.5:
            seen = {vm.name: vm.record.vcpus for vm in host.vms.list(name="shared*")}
            assert set(seen) == set(names)
        else:
            name = chance.choice(names)
            seen = {name: host.vms[name].record.vcpus}
        for name, value in seen.items():
            assert value in writes.allowed(name, asked), f"{name} has {value}"

    def work(thread):
        chance = random.Random(thread)
        for number in range(operations // THREADS):
            name, own = chance.choice(names), f"t{thread}-{number}"
            what = chance.choice(("key", "snapshot", "power", "describe", "read", "read"))
            if what == "key":
                host.native.vm_extra_set(name, {f"guestinfo.{own}": "x"})
                keys[name].add(f"guestinfo.{own}")
            elif what == "snapshot":
                host.vms[name].snapshots.create(own)
                snapshots[name].add(own)
            elif what == "power":
                try:
                    host.vms[name].start() if chance.random() < 0.5 else host.vms[name].stop()
                except errors.InvalidStateError:
                    pass  # another thread was quicker
            elif what == "describe":
                host.vms[name].update(description=own)
            else:
                read(chance)

    with ThreadPoolExecutor(THREADS + 1) as pool:
        other = pool.submit(beside)
        try:
            for future in [pool.submit(work, thread) for thread in range(THREADS)]:
                future.result(500)
        finally:
            done.set()
        other.result(60)
    for name in names:
        theirs = json.loads(govc("vm.info", "-json", "-e", f"/DC0/vm/{name}"))["virtualMachines"][0]
        assert {each["key"] for each in theirs["config"]["extraConfig"]} >= keys[name]
        assert theirs["config"]["hardware"]["numCPU"] == writes.last(name) == host.vms[name].record.vcpus
        assert {each.name for each in host.vms[name].snapshots.list()} == snapshots[name]
        assert theirs["config"].get("annotation", "") == (host.vms[name].record.description or "")
        assert (theirs["runtime"]["powerState"] == "poweredOn") == (host.vms[name].status == "running")
    for name in names:
        host.vms[name].delete(force=True)
