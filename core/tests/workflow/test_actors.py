"""Who asked for a run and who executed it: on record in runs, schedules, the journal and the audit log, whatever process is killed."""

import json
import os
import time
from datetime import UTC, datetime

import pytest

from novacron import Site
from novacron.testing.served import SimServer
from novacron.workflow import steps
from novacron.workflow.run.scheduler import Scheduler

FLOW = steps.tag("done") >> steps.snapshot("a") >> steps.update(description="x")


def audited(site, operation):
    lines = [json.loads(line) for line in (site.state / "audit.jsonl").read_text().splitlines()]
    return [(line["actor"], line["executor"]) for line in lines if line["operation"] == operation]


@pytest.fixture
def sites(tmp_path):
    """The sites of "ann" and of "svc", which share a database and nothing else."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    with Site(tmp_path / "ann", url, actor="ann") as ann, Site(tmp_path / "svc", url, actor="svc") as svc:
        yield ann, svc


def test_a_worker_executes_what_another_asked_for(sites):
    ann, svc = sites
    vm = ann.connect("sim://actors-1", name="h").vms.create(name="web1")
    run_id = ann.fleet.runs.submit(FLOW, [vm])
    assert (ann.fleet.runs[run_id].actor, ann.fleet.runs[run_id].executor) == ("ann", None)
    assert svc.engine.work_on(4) == 1
    record = ann.fleet.runs.wait(run_id, 30)
    assert (record.status, record.actor, record.executor) == ("done", "ann", "svc")
    assert "asked for by ann, executed by svc" in str(record)
    assert {entry.executor for entry in ann.fleet.runs.history(run_id)} == {"svc"}
    assert audited(svc, "vm_update") == [("ann", "svc")] * 2
    assert audited(svc, "snapshot_create") == [("ann", "svc")]


def test_a_schedule_and_its_runs_name_who_asked(sites):
    ann, svc = sites
    vm = ann.connect("sim://actors-2", name="h").vms.create(name="web1")
    schedule = ann.fleet.schedules.add("nightly", FLOW, cron="* * * * * *", vms=[vm])
    assert (schedule.actor, svc.fleet.schedules["nightly"].actor) == ("ann", "ann")
    due = datetime.now(UTC).replace(microsecond=0)
    run_id = Scheduler(svc.engine).begin(svc.fleet.schedules["nightly"], due, due)
    svc.engine.work_on(1)
    record = ann.fleet.runs.wait(run_id, 30)
    assert (record.status, record.actor, record.executor) == ("done", "ann", "svc")
    assert [time.executor for time in ann.fleet.schedules.times("nightly")] == ["svc"]
    assert audited(svc, "snapshot_create") == [("ann", "svc")]


def test_who_asked_survives_a_kill_and_a_take_over(processes, tmp_path, monkeypatch):
    """A process of one user begins a run for ann and is killed; a worker of another user ends it."""
    with SimServer(["k1"], "?latency=20ms") as server, Site(os.environ["NOVACRON_STATE"], actor="svc") as svc:
        svc.drivers.register(server.provider)
        vm = svc.connect(server.uris["k1"], name="k1").vms.create(name="web1", memory="64MiB")
        pid = processes.start("run_as", server.uris, vm.id, FLOW.as_dict(), "ann")
        until = time.monotonic() + 60
        while not any(done.operation == "vm_update" for done in server.log):
            assert time.monotonic() < until
            time.sleep(0.002)
        processes.end(pid)
        (begun,) = svc.fleet.runs.list()
        assert begun.actor == "ann"
        assert svc.engine.work_on(1) == 1
        record = svc.fleet.runs.wait(begun.id, 60)
        assert (record.status, record.actor, record.executor) == ("done", "ann", "svc")
        assert {("ann", "svc")} == set(audited(svc, "snapshot_create"))
        assert {entry.executor for entry in svc.fleet.runs.history(begun.id)} >= {"svc"}


def test_two_sites_run_workflows_independently(tmp_path):
    """Each has runs, schedules, slots and processes of its own; a closed one leaves no thread."""
    import threading

    before = set(threading.enumerate())
    with Site(tmp_path / "a", actor="ann") as a, Site(tmp_path / "b", actor="bob") as b:
        hosts = {site: site.connect("sim://independent", name="h") for site in (a, b)}
        vm = hosts[a].vms.create(name="web1")
        assert steps.tag("a").run(vm).status == "done"
        assert steps.tag("b").run(hosts[b].vms["web1"]).status == "done"
        assert [run.actor for run in a.fleet.runs.list()] == ["ann"]
        assert [run.actor for run in b.fleet.runs.list()] == ["bob"]
        a.fleet.schedules.add("s", FLOW, cron="0 3 * * *", vms=[vm])
        assert b.fleet.schedules.list() == []
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("novacron")]


def test_a_flow_without_a_database_opens_none(tmp_path):
    from novacron.workflow.run.engine import ProcessEngine

    with Site(tmp_path / "never", database="sqlite:////nonexistent/folder/state.db", actor="ann") as site:
        host, other = site.connect("sim://nodb-a", name="a"), site.connect("sim://nodb-b", name="b")
        vm = host.vms.create(name="web1", memory="64MiB")
        flow = FLOW >> steps.migrate("b")
        assert flow.plan(vm, hosts={"b": other}).ok
        run = flow.run(vm, hosts={"b": other}, engine=ProcessEngine())
        assert run.status == "done", str(run)
