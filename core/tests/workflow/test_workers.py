"""Workers on a PostgreSQL database share the runs of a queue, and take over those of one that is killed."""

import itertools
import signal
import time
from collections import Counter

import pytest

import novacron
from novacron.testing.served import SimServer
from novacron.workflow import steps

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
FLOW = steps.tag("worked") >> steps.snapshot("a") >> steps.update(description="done")


def done_by(server, workers):
    """Return how many operations each worker has done."""
    return [sum(done.pid == pid for done in server.log) for pid in workers]


def test_two_workers_share_runs_and_one_takes_over_those_of_the_other(postgresql, processes):
    runs, count = novacron.fleet().runs, 200
    with SimServer(["w1"], "?latency=2ms&jitter=2ms") as server:
        host = novacron.connect(server.uris["w1"], name="w1")
        vms = [host.vms.create(name=f"web{n}", memory="64MiB") for n in range(count)]
        workers = [processes.start("work", 8) for _ in range(2)]
        until = time.monotonic() + 60
        while len(runs.workers()) < 2:
            assert time.monotonic() < until
            time.sleep(0.1)
        ids, until = [runs.submit(FLOW, [vm]) for vm in vms], time.monotonic() + 100
        while (
            sum(run.status == "done" for run in runs.list(limit=None)) < count // 4 or min(done_by(server, workers)) <= count // 8
        ):
            assert time.monotonic() < until
            time.sleep(0.05)
        processes.end(workers[0])
        for run_id in ids:
            record = runs.wait(run_id, 120)
            while record.status == "interrupted":  # until the other worker has noticed
                assert time.monotonic() < until + 120
                time.sleep(0.1)
                record = runs.wait(run_id, 120)
            assert record.status == "done", str(record)
        assert min(done_by(server, workers)) > count // 8
        for vm in vms:
            mine = sorted((done for done in server.log if done.vm == vm.id), key=lambda done: done.began)
            assert all(one.ended <= other.began for one, other in itertools.pairwise(mine)), mine
            taken = Counter(done.operation for done in mine if done.error is None)
            assert taken["snapshot_create"] == 1, mine
            now = host.vms[vm.id]
            assert (now.tags, now.record.description) == (frozenset({"worked"}), "done")
        processes.end(workers[1], signal.SIGTERM)
        assert not runs.workers()
