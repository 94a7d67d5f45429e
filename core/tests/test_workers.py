"""Workers on a PostgreSQL database share the runs of a queue, and take over those of one that is killed."""

import itertools
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

import novacron
from novacron.testing.served import SimServer
from novacron.workflow import steps
from novacron.workflow.durable import durable_engine

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
FLOW = steps.tag("worked") >> steps.snapshot("a") >> steps.update(description="done")


@pytest.fixture
def postgresql(monkeypatch):
    """A PostgreSQL server of the distribution's, on a socket that no one else has, as the state database."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"), key=lambda p: float(p.parent.name))
    folder = Path("/var/tmp") / f"novacron-postgresql-{os.getpid()}"
    folder.mkdir()
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    try:
        if as_user:
            subprocess.run(["chown", "postgres", folder], check=True)
        data = folder / "data"
        subprocess.run(
            [*as_user, programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres"], check=True, capture_output=True
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=200"
        control = [*as_user, programs / "pg_ctl", "-D", data, "-l", folder / "log"]
        subprocess.run([*control, "-o", options, "-w", "start"], check=True, capture_output=True)
        try:
            monkeypatch.setenv("NOVACRON_DATABASE", f"postgresql://postgres@/postgres?host={folder}")
            yield
            durable_engine().leave()
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


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
        ids = [runs.submit(FLOW, [vm]) for vm in vms]
        while sum(run.status == "done" for run in runs.list(limit=None)) < count // 4:
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
        did = {pid: sum(done.pid == pid for done in server.log) for pid in workers}
        assert min(did.values()) > count // 8, did
        for vm in vms:
            mine = sorted((done for done in server.log if done.vm == vm.id), key=lambda done: done.began)
            assert all(one.ended <= other.began for one, other in itertools.pairwise(mine)), mine
            taken = Counter(done.operation for done in mine if done.error is None)
            assert taken["snapshot_create"] == 1, mine
            now = host.vms[vm.id]
            assert (now.tags, now.record.description) == (frozenset({"worked"}), "done")
        processes.end(workers[1], signal.SIGTERM)
        assert not runs.workers()
