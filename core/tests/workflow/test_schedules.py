"""Flows that begin by themselves: when, for which VMs, what becomes of missed times, and that nothing begins twice."""

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import novacron
from novacron import errors
from novacron.site import default_site
from novacron.testing.served import SimServer
from novacron.workflow import steps
from novacron.workflow.retention import kept
from novacron.workflow.run.scheduler import Scheduler, delay
from novacron.workflow.schedules import Schedule

NIGHTLY = steps.snapshot("nightly-{time}") >> steps.keep_snapshots("nightly-", last=3)


pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def schedules():
    return novacron.fleet().schedules


def settled(schedules, name):
    """Return the runs of a schedule when all have ended and no new one has come for a second."""
    until, known = time.monotonic() + 120, None
    while True:
        runs = schedules.history(name)
        numbers = [run.id for run in runs]
        if numbers == known and not any(run.status in ("waiting", "running") for run in runs):
            return runs
        assert time.monotonic() < until, runs
        known = numbers
        time.sleep(1)


def test_two_workers_begin_a_schedule_once_each_time_and_keep_so_many_snapshots(processes, schedules):
    with SimServer(["sc1"]) as server:
        host = novacron.connect(server.uris["sc1"], name="sc1")
        vm = host.vms.create(name="web1", memory="64MiB", tags=["nightly"])
        other = host.vms.create(name="web2", memory="64MiB")
        schedules.add("nightly", NIGHTLY, cron="* * * * * *", tag="nightly", hosts={"sc1": server.uris["sc1"]})
        for _ in range(2):
            processes.start("work", 4)
        until = time.monotonic() + 60
        while sum(run.status == "done" for run in schedules.history("nightly")) < 5:
            assert time.monotonic() < until
            time.sleep(0.1)
        schedules.pause("nightly")
        runs = settled(schedules, "nightly")
        assert len({run.id for run in runs}) == len(runs)
        assert {run.name for run in runs} == {"nightly"}
        assert {run.status for run in runs} == {"done"}
        names = [snapshot.name for snapshot in vm.snapshots.list()]
        assert len(names) == 3
        assert all(name.startswith("nightly-20") for name in names)
        assert [done.operation for done in server.log if done.operation == "snapshot_create"] == ["snapshot_create"] * len(runs)
        assert other.snapshots.list() == []
        assert schedules["nightly"].paused
        assert len(schedules.history("nightly")) == len(runs)
        schedules.remove("nightly")
        with pytest.raises(errors.NotFoundError, match="nightly"):
            schedules["nightly"]


def test_bad_schedules_are_refused_with_all_that_is_wrong(schedules):
    with pytest.raises(errors.InvalidSpecError) as refused:
        schedules.add("no/name", NIGHTLY, cron="61 * * * *", timezone="Moon/Base", misfire="never")
    assert {problem.path for problem in refused.value.problems} == {"name", "cron", "timezone", "misfire", "vms"}
    schedules.add("one", NIGHTLY, cron="0 3 * * *", tag="x")
    with pytest.raises(errors.AlreadyExistsError):
        schedules.add("one", NIGHTLY, cron="0 4 * * *", tag="x")
    assert schedules.add("one", NIGHTLY, cron="0 4 * * *", tag="x", replace=True).cron == "0 4 * * *"
    assert [schedule.cron for schedule in schedules.list()] == ["0 4 * * *"]


def scheduled(**more):
    return Schedule(name="s", cron="0 3 * * *", flow=NIGHTLY.as_dict(), **more)


def test_times_are_of_the_time_zone_over_its_change_to_winter():
    at = datetime(2026, 10, 24, 12, tzinfo=UTC)
    berlin = scheduled(timezone="Europe/Berlin").next(3, at)
    assert [t.astimezone(UTC).hour for t in berlin] == [2, 2, 2]
    assert [t.hour for t in scheduled(timezone="Europe/Berlin").next(2, datetime(2026, 10, 23, 12, tzinfo=UTC))] == [3, 3]
    assert scheduled(timezone="Europe/Berlin").next(1, datetime(2026, 10, 23, 12, tzinfo=UTC))[0].astimezone(UTC).hour == 1


@pytest.mark.parametrize(
    ("misfire", "begun"), [("skip", [False, False, True]), ("once", [False, False, True]), ("all", [True, True, True])]
)
def test_missed_times_are_dealt_with_as_asked(misfire, begun):
    with novacron.connect(f"sim://missed-{misfire}") as host:
        vm = host.vms.create(name="web1", memory="64MiB")
        schedule = scheduled(
            misfire=misfire, vms=({"host": host.name, "id": vm.id, "name": "web1"},), hosts={host.name: host.uri}
        )
        schedule = msgspec.convert(msgspec.to_builtins(schedule), Schedule)
        now = datetime(2026, 11, 24, 3, 0, 5, tzinfo=UTC)
        asked = [
            Scheduler(default_site().engine).begin(schedule, now.replace(second=0) - timedelta(days=days), now)
            for days in (2, 1, 0)
        ]
        assert [run_id is not None for run_id in asked] == begun
        again = [
            Scheduler(default_site().engine).begin(schedule, now.replace(second=0) - timedelta(days=days), now)
            for days in (2, 1, 0)
        ]
        assert again == asked
        assert len(novacron.fleet().schedules.history("s")) == sum(begun)


def test_jitter_is_within_bounds_and_the_same_for_every_worker():
    due = [datetime(2026, 11, day, 3, tzinfo=UTC) for day in range(1, 29)]
    found = [delay(scheduled(jitter=30.0), at) for at in due]
    assert found == [delay(scheduled(jitter=30.0), at) for at in due]
    assert all(0 <= seconds <= 30 for seconds in found)
    assert len(set(found)) > 20


@given(
    st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)), max_size=40, unique=True),
    *[st.integers(0, 5)] * 4,
)
def test_what_is_kept_is_the_latest_and_one_of_each_hour_day_and_week(times, last, hourly, daily, weekly):
    found = kept(times, last=last, hourly=hourly, daily=daily, weekly=weekly, zone=UTC)
    assert found <= set(times)
    assert set(sorted(times)[len(times) - min(last, len(times)) :]) <= found
    assert len(found) <= last + hourly + daily + weekly
    if times and (last or hourly or daily or weekly):
        assert max(times) in found
    days = sorted({at.date() for at in times}, reverse=True)[:daily]
    assert all(max(at for at in times if at.date() == day) in found for day in days)
