"""Processes that run flows are killed at random moments; another ends their runs, and the hosts are as the runs' records say."""

import itertools
import random
import time

import pytest

import novacron
from novacron.testing.served import SimServer
from novacron.workflow import steps

MOVE = (
    steps.tag("moving")
    >> steps.snapshot("before")
    >> steps.migrate("s2")
    >> steps.snapshot("after")
    >> steps.update(description="moved")
    >> steps.suspend()
)
IN_VAIN = MOVE >> steps.revert("of another time")
"""Its last step fails, so that all is undone."""


@pytest.fixture
def server():
    with SimServer(["s1", "s2"], "?latency=2ms&jitter=2ms") as found:
        yield found


def state(server, vm):
    """All that the steps can change, with the host that has the VM; exactly one has it."""
    (found,) = [
        (name, now.refresh().status, now.tags, now.record.description or "", tuple(s.name for s in now.snapshots))
        for name, host in server.hosts.items()
        for now in host.vms
        if now.id == vm
    ]
    return found


def changed(server, vm):
    """How often a VM was changed, by whom ever."""
    return sum(done.vm == vm for done in server.log)


def wait_for_changes(server, vm, number, processes, pid):
    """Wait until a VM was changed so often, or the process that does it has ended."""
    until = time.monotonic() + 60
    while changed(server, vm) < number and processes.lives(pid):
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.mark.timeout(900)
def test_a_run_whose_process_is_killed_at_any_moment_ends_as_its_record_says(server, processes, sample):
    """Kills the process that runs a flow, and now and then the one that goes on with it; this process has the database open too."""
    chance = random.Random(20261124)
    runs = novacron.fleet().runs
    whole, most, seen = 0.0, 0, []
    for number in range(-1, sample(15, 200)):
        flow = MOVE if number < 0 else chance.choice([MOVE, IN_VAIN])
        vm = server.hosts["s1"].vms.create(name=f"web{number + 1}", memory="64MiB", start=True).id
        before, known = state(server, vm), {run.id for run in runs.list(limit=None)}
        begun = time.monotonic()
        pid = processes.start("run", server.uris, vm, flow.as_dict())
        if number < 0:
            processes.wait(pid)
            whole, most = time.monotonic() - begun, changed(server, vm)
        else:
            # by how much it has changed, not by the clock: on a busy machine all would be killed before they began
            changes = chance.randint(0, most if flow is MOVE else 2 * most - 1)
            wait_for_changes(server, vm, changes, processes, pid)
            time.sleep(chance.uniform(0, 0.02) if changes else chance.uniform(0, whole / 2))
            processes.end(pid)
            if chance.random() < 0.3:
                pid = processes.start("recover")
                time.sleep(chance.uniform(0, whole))
                processes.end(pid)
            for going in runs.recover():
                going.exception(60)
        news = [run for run in runs.list(limit=None) if run.id not in known]
        now = state(server, vm)
        if not news:
            assert now == before
            seen.append("not begun")
            continue
        (run,) = news
        seen.append(run.status)
        if run.status == "done":
            assert now == ("s2", "suspended", frozenset({"moving"}), "moved", ("before", "after")), str(run)
        else:
            assert run.status == "undone", str(run)
            assert flow is IN_VAIN, str(run)
            assert now == before, str(run)
        assert all(step.status == ("done" if run.status == "done" else step.status) for step in run.steps)
    for vm in {done.vm for done in server.log}:
        order = sorted((done for done in server.log if done.vm == vm), key=lambda done: done.began)
        for one, other in itertools.pairwise(order):
            assert one.ended <= other.began, f"in flight at once: {one}, {other}"
    assert {"done", "undone"} <= set(seen)
    handed_over = {vm for vm in {done.vm for done in server.log} if len({done.pid for done in server.log if done.vm == vm}) > 1}
    assert len(handed_over) >= sample(15, 200) // 5, "too few were killed while they changed something"
