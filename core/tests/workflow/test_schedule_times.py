"""When schedules begin: odd dates, the hour that comes twice, missed times, moved VMs, bad rows, and the clock of the database."""

import itertools
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from novacron import Site, errors
from novacron.store.tables import schedule_times, schedules
from novacron.workflow import steps
from novacron.workflow.cron import times_after
from novacron.workflow.retention import kept
from novacron.workflow.run.scheduler import Scheduler

FLOW = steps.snapshot("s-{time}")
WORLDS = itertools.count()


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state", actor="ann") as made:
        yield made


@pytest.fixture
def vm(site):
    return site.connect(f"sim://times-{next(WORLDS)}", name="h").vms.create(name="web1", memory="64MiB")


def local(cron, zone, begin, count):
    times = times_after(cron, zone, begin)
    return [f"{next(times).astimezone(ZoneInfo(zone)):%m-%d %H:%M %z}" for _ in range(count)]


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def stored_since(site, name, seconds):
    """Let a schedule look as if no worker had been up for so long."""
    with site.database.transaction() as connection:
        moved = schedules.update().where(schedules.c.name == name)
        connection.execute(moved.values(checked_at=schedules.c.checked_at - seconds))


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 12 30-31 feb *"])
def test_a_date_that_never_comes_is_refused_and_breaks_no_list(site, vm, cron):
    with pytest.raises(errors.InvalidSpecError, match="cron"):
        site.fleet.schedules.add("never", FLOW, cron=cron, vms=[vm])
    site.fleet.schedules.add("good", FLOW, cron="0 3 29 2 *", vms=[vm])
    with site.database.transaction() as connection:
        bad = {"never": {"cron": cron, "flow": FLOW.as_dict()}, "bad": {"cron": 5}, "worse": {"cron": "0 3 * * *", "flow": {}}}
        for name, definition in bad.items():
            values = {"definition": definition, "actor": "x", "paused": False, "created_at": 0.0, "checked_at": 0.0}
            connection.execute(schedules.insert().values(name=name, **values))
    shown = {schedule.name: schedule.as_dict() for schedule in site.fleet.schedules.list()}
    assert set(shown) == {"good", "never", "bad", "worse"}
    assert shown["never"]["next"] == []
    assert "cron" in shown["never"]["problem"]
    assert len(shown["good"]["next"]) == 3
    site.fleet.schedules.add("now", FLOW, cron="* * * * * *", vms=[vm])
    stored_since(site, "now", 5)
    assert Scheduler(site.engine).begin_due(), "the bad ones stop no other"
    site.fleet.schedules.remove("never")


@pytest.mark.parametrize(
    ("cron", "zone", "begin", "expected"),
    [
        ("30 1 * * *", "America/New_York", utc(2026, 10, 31, 12), ["11-01 01:30 -0400", "11-02 01:30 -0500"]),
        ("30 2 * * *", "Europe/Berlin", utc(2026, 10, 24, 12), ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        (
            "*/30 1-2 * * *",
            "America/New_York",
            utc(2026, 11, 1, 4),
            ["11-01 01:00 -0400", "11-01 01:30 -0400", "11-01 02:00 -0500"],
        ),
        (
            "0 * * * *",
            "America/New_York",
            utc(2026, 11, 1, 4, 30),
            ["11-01 01:00 -0400", "11-01 01:00 -0500", "11-01 02:00 -0500"],
        ),
        ("15 0 1 * * *", "America/New_York", utc(2026, 11, 1, 4), ["11-01 01:00 -0400", "11-02 01:00 -0500"]),
        ("30 2 * * *", "America/New_York", utc(2026, 3, 7, 12), ["03-08 03:00 -0400", "03-09 02:30 -0400"]),
        ("15 1 * * *", "Australia/Lord_Howe", utc(2026, 4, 3, 20), ["04-05 01:15 +1100", "04-06 01:15 +1030"]),
    ],
)
def test_the_hour_that_comes_twice_begins_a_job_at_fixed_times_once(cron, zone, begin, expected):
    assert local(cron, zone, begin, len(expected)) == expected


def test_retention_counts_the_days_of_a_time_zone():
    """A job at 01:30 in Berlin makes one snapshot a day; in UTC two of them fall on one day in March."""
    zone = ZoneInfo("Europe/Berlin")
    times = [datetime(2026, 3, day, 1, 30, tzinfo=zone).astimezone(UTC) for day in range(24, 32)]
    assert kept(times, daily=7, zone=zone) == set(times[1:])
    assert len({at.date() for at in times}) < 8


def test_snapshots_of_one_second_are_thinned_and_names_do_not_collide(site, vm):
    for _ in range(4):
        assert FLOW.run(vm).status == "done"
    names = [snapshot.name for snapshot in vm.snapshots.list()]
    assert len(set(names)) == 4
    run = steps.keep_snapshots("s-", last=1).run(vm)
    assert (run.status, len(vm.snapshots.list())) == ("done", 1)
    assert len(run.result()["deleted"]) == 3


def test_all_missed_times_begin_although_they_run_within_one_second(site, vm):
    site.fleet.schedules.add("all", FLOW, cron="* * * * * *", vms=[vm], misfire="all")
    stored_since(site, "all", 5)
    begun = Scheduler(site.engine).begin_due()
    assert len(begun) >= 4
    while site.engine.work_on(8) or any(run.ended_at is None for run in site.fleet.runs.list(limit=None)):
        site.engine.run_ended.wait(0.1)
        site.engine.run_ended.clear()
    assert {run.status for run in site.fleet.schedules.history("all")} == {"done"}
    assert len(vm.snapshots.list()) == len(begun)


def test_once_begins_one_run_for_all_missed_times_also_for_recent_ones(site, vm):
    site.fleet.schedules.add("once", FLOW, cron="*/2 * * * * *", vms=[vm], misfire="once")
    stored_since(site, "once", 50)
    assert len(Scheduler(site.engine).begin_due()) == 1


@pytest.mark.parametrize(("misfire", "runs"), [("skip", {0, 1, 2, 3}), ("once", {1})])
def test_a_clock_that_goes_a_year_ahead_begins_no_flood_of_runs(site, vm, misfire, runs):
    site.fleet.schedules.add("each-minute", FLOW, cron="* * * * *", vms=[vm], misfire=misfire)
    stored_since(site, "each-minute", 365 * 86400)
    scheduler = Scheduler(site.engine)
    begun = scheduler.begin_due() + scheduler.begin_due()
    assert len(begun) in runs
    assert len(site.fleet.runs.list(limit=None)) == len(begun)


def test_a_clock_that_goes_a_year_ahead_begins_the_latest_hundred_of_all_missed_times_and_says_so(site, vm):
    site.fleet.schedules.add("each-minute", FLOW, cron="* * * * *", vms=[vm], misfire="all")
    stored_since(site, "each-minute", 365 * 86400)
    scheduler = Scheduler(site.engine)
    begun = scheduler.begin_due() + scheduler.begin_due()
    times = site.fleet.schedules.times("each-minute", limit=1000)
    assert [time.run for time in times if time.run] == begun[::-1]
    assert len(set(begun)) in (100, 101)  # a minute may have passed
    (dropped,) = (time for time in times if not time.run)
    assert dropped.due == min(time.due for time in times)
    assert "only the latest 100 are" in dropped.problem
    assert site.fleet.schedules["each-minute"].problem in (dropped.problem, None)


def test_a_hundred_missed_times_are_all_begun(site, vm):
    site.fleet.schedules.add("hourly", FLOW, cron="0 * * * *", vms=[vm], misfire="all")
    stored_since(site, "hourly", 99 * 3600)
    assert len(Scheduler(site.engine).begin_due()) in (99, 100)  # an hour may have passed
    assert all(time.run for time in site.fleet.schedules.times("hourly", limit=1000))


def test_a_worker_that_read_a_schedule_before_it_was_paused_begins_nothing_of_it(site, vm, monkeypatch):
    site.fleet.schedules.add("all", FLOW, cron="* * * * * *", vms=[vm], misfire="all")
    stored_since(site, "all", 5)
    scheduler, locate = Scheduler(site.engine), Scheduler._vms

    def paused_meanwhile(*arguments):
        site.fleet.schedules.pause("all")
        return locate(*arguments)

    monkeypatch.setattr(Scheduler, "_vms", paused_meanwhile)
    assert scheduler.begin_due() == []
    assert site.fleet.schedules.times("all") == ()
    assert site.fleet.runs.list() == []


def test_times_are_those_of_the_clock_of_the_database(site, vm, monkeypatch):
    """A worker whose own clock is a day ahead begins nothing that is not due, and skips nothing."""
    site.fleet.schedules.add("daily", FLOW, cron="0 3 * * *", vms=[vm])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86400)
    assert Scheduler(site.engine).begin_due() == []
    assert site.fleet.schedules.times("daily") == ()
    assert site.engine.schedules.now() < real() + 60


def test_two_schedulers_begin_a_time_once(site, vm):
    site.fleet.schedules.add("s", FLOW, cron="0 3 * * *", vms=[vm])
    schedule, due = site.fleet.schedules["s"], utc(2026, 11, 25, 3)
    one, two = Scheduler(site.engine), Scheduler(site.engine)
    assert one.begin(schedule, due, due) == two.begin(schedule, due, due) == "s@20261125T030000Z"
    assert len(site.fleet.runs.list()) == 1


def test_a_schedule_follows_its_vm_to_another_host(site, tmp_path):
    site.fleet.add("a", "sim://follow-a")
    site.fleet.add("b", "sim://follow-b")
    vm = site.fleet.hosts["a"].vms.create(name="web1", memory="64MiB")
    site.fleet.schedules.add("s", FLOW, cron="0 3 * * *", vms=[vm])
    assert steps.migrate("b").run(vm).status == "done"
    due = utc(2026, 11, 25, 3)
    stored = site.engine.schedules.get("s")
    run_id, problem = Scheduler(site.engine)._begin(stored, site.fleet.schedules["s"], due, due)
    assert (run_id, problem) == ("s@20261125T030000Z", None)
    site.engine.work_on(1)
    assert site.fleet.runs.wait(run_id, 30).status == "done"
    assert [vm.host for vm in site.fleet.schedules["s"].vms] == ["b"]
    vm.delete()
    schedule, next_due = site.fleet.schedules["s"], due + timedelta(minutes=1)
    assert Scheduler(site.engine)._begin(stored, schedule, next_due, due + timedelta(minutes=5))[0] is None
    assert "web1" in site.fleet.schedules.times("s")[0].problem


def test_old_times_of_schedules_and_old_runs_are_pruned_but_failed_ones_stay(site, vm):
    runs = site.fleet.runs
    for n in range(4):
        steps.tag(f"t{n}").run(vm)
    failed = steps.revert("none").on_failure("stop").run(vm)
    with pytest.raises(errors.InvalidSpecError):
        runs.prune()
    assert runs.prune(older_than="1d") == 0
    assert runs.prune(keep=3) == 2
    assert [run.status for run in runs.list()] == ["failed", "done", "done"]
    assert runs.prune(keep=0) == 2
    assert [run.id for run in runs.list()] == [failed.id]
    assert runs.prune(keep=0, failed=True) == 1
    with site.database.transaction() as connection:
        connection.execute(schedule_times.insert().values(schedule="s", due=1.0, at=1.0, executor="x"))
        assert connection.execute(sa.text("select count(*) from run_entries")).scalar() == 0
    assert site.fleet.schedules.prune("1h") == 1
