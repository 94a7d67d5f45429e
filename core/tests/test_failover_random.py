"""Failover under random faults: networks are cut, BMCs lie, controllers are killed or halted and act late. No VM ever runs twice.

Each seed is one history. `NOVACRON_SOAK=1` runs 500 of them.
"""

import random
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from failover_rack import Rack, watch

from novacron import errors
from novacron.store.processes import ProcessStore

BMC_FAULTS = ("", "", "cut", "ignores", "slow", "timeout")
ENDS = ("none", "killed", "halted", "database")
STEPS = 14
"""Rounds of a history in which faults happen."""


class KilledError(BaseException):
    """Ends a controller at once, as SIGKILL does."""


class Trap:
    """Ends or halts a controller at the step of a random number: right after the check that allowed the step."""

    def __init__(self, controller, how, at):
        self.how, self.left, self.original = how, at, controller._store.check
        self.reached, self.resume = threading.Event(), threading.Event()
        controller._store.check = self.check
        controller._restarter._store.check = self.check

    def check(self, right):
        if self.how == "database" and self.left <= 0:
            raise errors.StorageError("the database can't be reached")
        self.original(right)
        self.left -= 1
        if self.left == 0 and self.how == "killed":
            raise KilledError
        if self.left == 0 and self.how == "halted":
            self.reached.set()
            self.resume.wait(60)  # it goes on after another controller has taken over, with what it was about to do


def history(rack, chance):
    """Play one history. Returns how many VMs there are, and the last controller."""
    for name in rack.machines:
        for number in range(chance.randint(0, 2)):
            rack.create(f"vm-{name}{number}", name)
    count = sum(len(names) for names in rack.running.values())
    controller, halted = rack.controller(), []
    rack.rounds(controller, 3)
    end, at = chance.choice(ENDS), chance.randint(8, 40)
    trap = Trap(controller, end, at)
    for _ in range(STEPS):
        disturb(rack, chance)
        if not work(rack, controller, trap, halted):
            ProcessStore(rack.sites[-1].database).remove(rack.sites[-1].engine.join().id)  # its lease has ended
            controller = rack.controller(rack.new_site())
            trap = Trap(controller, "none", 0)
    for thread, stopped in halted:
        stopped.resume.set()
        thread.join(60)
        assert not thread.is_alive()
    return count, controller


def work(rack, controller, trap, halted):
    """Let a controller work for one round, in a thread of its own; return whether it is still there."""
    ended = []

    def one_round():
        try:
            controller.round()
        except KilledError:
            ended.append("killed")
        except errors.StorageError:
            ended.append("database")
        except errors.BusyError:
            ended.append("lost")

    thread = threading.Thread(target=one_round)
    thread.start()
    while thread.is_alive() and not trap.reached.is_set():
        thread.join(0.005)
    rack.clock.sleep(5)
    if trap.reached.is_set():
        halted.append((thread, trap))
        return False
    return not ended


def disturb(rack, chance):
    """Change something: a node is cut off, crashes, loses its storage or returns. Two of four are down at most."""
    name = chance.choice(list(rack.machines))
    machine = rack.machines[name]
    machine.fault = chance.choice(BMC_FAULTS)
    what = chance.choice(["cut", "crash", "mend", "boot", "storage", "none", "none"])
    silent = sum(not each.world.faults.connected for each in rack.machines.values())
    if what == "cut" and machine.powered and silent < 2:
        if machine.world.faults.connected:
            machine.cut()
    elif what == "crash" and silent < 2 and machine.powered:
        machine.crash()
    elif what == "storage":  # starts fail, and a VM that meets an I/O error is paused
        machine.world.faults.add(
            "vm_start", error=errors.StorageError("the storage can't be reached"), times=chance.randint(1, 3)
        )
        for vm in list(machine.world.all())[: chance.randint(0, 1)]:
            if vm.status == "running":
                machine.world.find(vm.id).status = "suspended"
    elif what == "mend" and machine.powered and not machine.world.faults.connected:
        machine.mend()
    elif what == "boot" and not machine.powered:
        machine.boot()


@pytest.mark.parametrize("part", range(2))
def test_no_vm_ever_runs_twice(tmp_path, monkeypatch, sample, part):
    restarted = 0
    for seed in range(part, sample(10, 500), 2):
        rack = Rack(tmp_path / f"state-{seed}", "abcd", failover_grace=5, failover_after=10)
        with monkeypatch.context() as patch:
            seen = watch(rack, patch)
            try:
                count, controller = history(rack, random.Random(seed))
                assert seen == [], f"seed {seed}"
                settle(rack, controller)
                assert seen == [], f"seed {seed}"
                running = sorted(name for names in rack.running.values() for name in names)
                assert len(running) == len(set(running)) <= count, f"seed {seed}"
                store = rack.site.fleet.failover._store
                restarted += sum(vm.status == "running" for each in store.all() for vm in store.vms(each.id))
            finally:
                rack.close()
    assert restarted > 0, "no history restarted a VM, so nothing was tested"


def settle(rack, controller):
    """Mend everything, and let the last controller finish."""
    for machine in rack.machines.values():
        machine.fault = ""
        if machine.powered and not machine.world.faults.connected:
            machine.mend()
        elif not machine.powered:
            machine.boot()
    for _ in range(6):
        try:
            controller.round()
        except (errors.BusyError, errors.StorageError):
            break
        rack.clock.sleep(5)
