"""What workflows do when their database is locked, full, or gone for a while: nothing is lost, and a run can be gone on with."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time

import pytest

import novacron
from novacron.errors import StorageError
from novacron.site import default_site
from novacron.workflow import steps

FLOW = (
    steps.tag("one")
    >> steps.snapshot("a")
    >> steps.tag("two")
    >> steps.snapshot("b")
    >> steps.tag("three")
    >> steps.update(description="done")
)


def made(name, latency="60ms"):
    """A simulated host whose operations take a moment, and a VM of it."""
    host = novacron.connect(f"sim://faults-{name}?latency={latency}", name=name)
    return host, host.vms.create(name="web1", memory="64MiB")


def as_the_flow_leaves_it(vm):
    vm.refresh()
    return (
        vm.tags == {"one", "two", "three"}
        and vm.record.description == "done"
        and [s.name for s in vm.snapshots.list()] == ["a", "b"]
    )


def test_a_run_waits_for_a_database_that_is_locked():
    """Somebody else holds it for some seconds."""
    host, vm = made("locked", latency="500ms")  # so that the run has not ended when the database is locked
    run = FLOW.run(vm, wait=False)
    while not run.history:
        time.sleep(0.005)
    other = sqlite3.connect(default_site().database.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(3)
    assert not run.done()
    other.execute("ROLLBACK")
    other.close()
    assert run.exception(60) is None
    assert as_the_flow_leaves_it(vm)
    host.close()


@pytest.mark.parametrize("hours", [24, -24])
def test_a_clock_that_jumps_changes_nothing(monkeypatch, hours):
    """A day forth or back in the middle of a run: no time-out passes, and no other process takes the run."""
    real, jump = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + jump[0])
    host, vm = made(f"jumping{hours}")
    run = FLOW.timeout("60s").run(vm, wait=False)
    while len(run.history) < 4:
        time.sleep(0.005)
    jump[0] = hours * 3600.0
    assert novacron.fleet().runs.recover() == ()
    assert run.exception(60) is None
    assert as_the_flow_leaves_it(vm)
    assert novacron.fleet().runs[run.id].status == "done"
    host.close()


@pytest.mark.lab
def test_a_run_outlives_a_database_that_is_full(tmp_path, monkeypatch):
    """It is interrupted, with what is wrong; once there is room again it goes on where it was."""
    room = tmp_path / "room"
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", room], check=True)
    monkeypatch.setenv("NOVACRON_STATE", str(room))
    from novacron.site import default_site

    monkeypatch.setattr(default_site().engine.patience, "seconds", 2.0)
    try:
        host, vm = made("full")
        assert steps.tag("zero").run(vm).status == "done"
        run = FLOW.run(vm, wait=False)
        while len(run.history) < 3:
            time.sleep(0.002)
        fill = os.open(room / "fill", os.O_CREAT | os.O_WRONLY)
        with contextlib.suppress(OSError):
            while os.write(fill, os.urandom(4096)):
                pass
        os.close(fill)
        error = run.exception(120)
        if error is not None:  # what was left in the file's last page may have been enough
            assert run.status == "interrupted", run
            assert isinstance(error, StorageError) or isinstance(error.__cause__, StorageError), repr(error)
        (room / "fill").unlink()
        runs, until = novacron.fleet().runs, time.monotonic() + 30
        while (record := runs[run.id]).status != "done" and time.monotonic() < until:  # this process lets go of it first
            for going in runs.recover():
                going.exception(60)
            time.sleep(0.1)
        assert record.status == "done", str(record)
        vm.refresh()
        assert vm.tags == {"zero", "one", "two", "three"}
        assert [s.name for s in vm.snapshots.list()] == ["a", "b"]
        host.close()
    finally:
        default_site().engine.close()
        subprocess.run(["umount", "--lazy", room], check=True)
        shutil.rmtree(room, ignore_errors=True)


@pytest.mark.lab
@pytest.mark.timeout(180)
def test_a_run_waits_for_a_server_that_is_started_again(postgresql):
    """PostgreSQL is stopped at once in the middle of a run, and comes back."""
    host, vm = made("restarted")
    run = FLOW.run(vm, wait=False)
    while len(run.history) < 2:
        time.sleep(0.005)
    postgresql.stop()
    time.sleep(2)
    assert not run.done()
    postgresql.start()
    for going in [] if run.exception(90) is None else novacron.fleet().runs.recover():
        going.exception(60)
    assert novacron.fleet().runs[run.id].status == "done"
    assert as_the_flow_leaves_it(vm)
    host.close()
