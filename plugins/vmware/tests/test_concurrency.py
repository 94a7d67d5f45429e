"""Many threads on one connection."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import novacron
from novacron import VMSpec

THREADS = 8


def test_eight_threads_share_a_connection(host, sample):
    """Each does mixed operations on a VM of its own, and looks at all: none is lost, none is another's."""
    operations = sample(20, 200)

    def work(number: int) -> dict[str, int]:
        chance, done = random.Random(number), dict.fromkeys(("power", "update", "list", "get", "snapshot"), 0)
        vm = host.vms.create(VMSpec(name=f"thread-{number}", memory="64MiB", description="0"))
        description, on, snapshots = 0, False, 0
        for _ in range(operations):
            what = chance.choices(list(done), (3, 3, 2, 4, 1))[0]
            done[what] += 1
            if what == "power":
                on = not on
                assert (vm.start() if on else vm.stop()).status == ("running" if on else "stopped")
            elif what == "update":
                description += 1
                assert vm.update(description=str(description)).record.description == str(description)
            elif what == "list":
                mine = [each for each in host.vms.list(name="thread-*") if each.id == vm.id]
                assert [(each.name, each.status) for each in mine] == [(f"thread-{number}", "running" if on else "stopped")]
            elif what == "get":
                record = host.vms[f"thread-{number}"].record
                assert (record.id, record.description, record.status) == (vm.id, str(description), "running" if on else "stopped")
            else:
                snapshots += 1
                vm.snapshots.create(f"s{snapshots}")
                assert len(vm.snapshots.list()) == snapshots
        record = vm.refresh().record
        assert (record.description, record.status == "running", len(vm.snapshots.list())) == (str(description), on, snapshots)
        vm.delete(force=True)
        return done

    with ThreadPoolExecutor(THREADS) as pool:
        counts = [future.result(300) for future in [pool.submit(work, number) for number in range(THREADS)]]
    assert sum(sum(count.values()) for count in counts) == THREADS * operations
    assert not [vm for vm in host.vms.list() if vm.name.startswith("thread-")]


def test_vms_come_and_go_while_the_inventory_is_followed(esxi, sample):
    """The simulator answers every call: once it waited for itself when a VM came while a client waited for changes."""
    with novacron.connect(esxi.uri("esx"), name="crowded", password=esxi.password) as host:
        host.vms.list()

        def pass_by(name: str) -> None:
            vm = host.vms.create(VMSpec(name=name, memory="64MiB"))
            vm.start()
            vm.stop()
            vm.delete()

        for number in range(sample(2, 40)):
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(pass_by, [f"passing-{number}-{each}" for each in range(THREADS)]))
        assert host.vms.list(name="passing-*").total == 0
