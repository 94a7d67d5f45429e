"""Processes that move and snapshot a real guest are killed at random moments; another ends their runs, and both hosts agree."""

import random
import time

import pytest

import novacron
from novacron import errors
from novacron.workflow import steps

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]


def found_at(vm, hosts):
    """The host that has the VM, its status and its snapshots; exactly one has it."""
    places = []
    for host in hosts:
        try:
            now = host.vms[vm]
        except errors.VMNotFoundError:
            continue
        places.append((host.name, now.status, tuple(sorted(s.name for s in now.snapshots))))
    assert len(places) == 1, [places, *map(str, novacron.fleet().runs.list(limit=2))]
    return places[0]


def test_a_run_whose_process_is_killed_at_any_moment_ends_as_its_record_says(lab_hosts, boot, processes, sample):
    a, b = lab_hosts
    vm = boot(a, "struck", ticks=2)
    move = steps.snapshot("before") >> steps.migrate(b.name) >> steps.snapshot("after")
    in_vain = move >> steps.revert("of another time")
    chance, runs = random.Random(4), novacron.fleet().runs
    uris = {a.name: a.uri, b.name: b.uri}
    whole, seen = 0.0, []
    for number in range(-1, sample(4, 20)):
        flow = move if number < 0 else chance.choice([move, in_vain])
        known = {run.id for run in runs.list(limit=None)}
        begun = time.monotonic()
        pid = processes.start("run", uris, vm.id, flow.as_dict())
        if number < 0:
            processes.wait(pid)
            whole = time.monotonic() - begun
        else:
            time.sleep(chance.uniform(0.2 * whole, whole * (1 if flow is move else 1.6)))
            processes.end(pid)
            for going in runs.recover():
                going.exception(300)
        ended = [run for run in runs.list(limit=None) if run.id not in known]
        place = found_at(vm.id, lab_hosts)
        seen.append(ended[0].status if ended else "not begun")
        if seen[-1] == "done":
            assert place == (b.name, "running", ("after", "before")), str(ended[0])
            home = b.vms[vm.id]
            for name in ("after", "before"):
                home.snapshots[name].delete()
            home.migrate(a)
        else:
            assert place == (a.name, "running", ()), [str(run) for run in ended]
            assert seen[-1] in ("not begun", "undone"), [str(run) for run in ended]
            assert not ended or flow is in_vain
    assert "done" in seen
    ticks = [n for n, _ in vm.console.ticks]
    assert ticks == list(range(1, len(ticks) + 1)), "the guest was started again, or lost a second"
