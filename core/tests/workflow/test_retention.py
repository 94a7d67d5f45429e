"""Retention keeps the newest of each period, in UTC, whatever order and time zone the times come in."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from threading import Semaphore

import pytest

from novacron.dispatch.audit import AuditLog, rotate
from novacron.identity import Identity
from novacron.site import Site
from novacron.workflow import retention


def kept(times, **rule):
    return retention.kept(times, **({"zone": UTC} | rule))


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(times):
    return sorted(time.strftime("%m-%d %H:%M") for time in times)


EVERY_SIX_HOURS = [at("2026-11-20T00:30") + timedelta(hours=6 * n) for n in range(12)]  # 20, 21 and 22 November


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, []),
        ({"last": 0, "daily": 0}, []),
        ({"last": 1}, ["11-22 18:30"]),
        ({"last": 2}, ["11-22 12:30", "11-22 18:30"]),
        ({"daily": 1}, ["11-22 18:30"]),
        ({"daily": 2}, ["11-21 18:30", "11-22 18:30"]),
        ({"daily": 9}, ["11-20 18:30", "11-21 18:30", "11-22 18:30"]),
        ({"hourly": 2}, ["11-22 12:30", "11-22 18:30"]),
        ({"weekly": 1}, ["11-22 18:30"]),
        ({"last": 2, "daily": 2}, ["11-21 18:30", "11-22 12:30", "11-22 18:30"]),
        ({"hourly": 1, "daily": 2, "weekly": 5}, ["11-21 18:30", "11-22 18:30"]),
    ],
)
def test_each_rule_keeps_the_newest_of_its_periods(rule, expected):
    assert days(kept(EVERY_SIX_HOURS, **rule)) == expected
    assert days(kept(reversed(EVERY_SIX_HOURS), **rule)) == expected


def test_a_rule_keeps_what_the_others_keep_too():
    every = kept(EVERY_SIX_HOURS, last=1, hourly=3, daily=3, weekly=1)
    for rule in ({"last": 1}, {"hourly": 3}, {"daily": 3}, {"weekly": 1}):
        assert kept(EVERY_SIX_HOURS, **rule) <= every


@pytest.mark.parametrize(
    ("rule", "earlier", "later", "both"),
    [
        ("hourly", "2026-11-20T10:00", "2026-11-20T10:59", False),
        ("hourly", "2026-11-20T10:59", "2026-11-20T11:00", True),
        ("hourly", "2026-11-20T10:30", "2026-11-21T10:30", True),
        ("hourly", "2026-10-20T10:30", "2026-11-20T10:30", True),
        ("hourly", "2025-11-20T10:30", "2026-11-20T10:30", True),
        ("daily", "2026-11-20T00:00", "2026-11-20T23:59", False),
        ("daily", "2026-10-20T12:00", "2026-11-20T12:00", True),
        ("daily", "2025-11-20T12:00", "2026-11-20T12:00", True),
        ("weekly", "2026-11-16T00:00", "2026-11-22T23:59", False),  # Monday to Sunday
        ("weekly", "2026-11-22T23:59", "2026-11-23T00:00", True),
        ("weekly", "2025-12-31T12:00", "2026-01-01T12:00", False),  # one ISO week
        ("weekly", "2024-11-18T12:00", "2025-11-17T12:00", True),  # week 47 of two years
    ],
)
def test_periods_end_where_calendars_say(rule, earlier, later, both):
    times = [at(earlier), at(later)]
    assert kept(times, **{rule: 2}) == (set(times) if both else {at(later)})
    assert kept(times, **{rule: 1}) == {at(later)}


def test_times_of_different_zones_are_compared_in_utc():
    tokyo, new_york = timezone(timedelta(hours=9)), timezone(timedelta(hours=-5))
    first = datetime(2026, 11, 21, 8, tzinfo=tokyo)  # 20 November, 23:00 UTC
    second = datetime(2026, 11, 20, 20, tzinfo=new_york)  # 21 November, 01:00 UTC
    assert kept([first, second], daily=2) == {first, second}
    same = datetime(2026, 11, 20, 18, 30, tzinfo=new_york)  # 20 November, 23:30 UTC
    assert kept([first, same], daily=2) == kept([first, same], hourly=2) == {same}


def test_nothing_is_kept_of_nothing():
    assert kept([], last=3, hourly=3, daily=3, weekly=3) == set()


def test_periods_are_those_of_the_zone_that_is_asked_for_or_of_the_machine(monkeypatch):
    times = [at("2026-11-20T23:30"), at("2026-11-21T00:30")]  # one day in Tokyo, two in UTC
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert kept(times, daily=2, zone=UTC) == set(times)
        assert kept(times, daily=2, zone=None) == {times[1]}
        assert kept(times, daily=2, zone=timezone(timedelta(hours=9))) == {times[1]}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_items_are_chosen_by_time_whatever_identifies_them():
    items = [(at("2026-11-20T10:00"), "z"), (at("2026-11-20T12:00"), "a"), (at("2026-11-20T12:00"), "b")]
    assert retention.chosen(items, zone=UTC) == set()
    assert retention.chosen(items, last=1, zone=UTC) == {"b"}  # of the same moment the last one counts
    assert retention.chosen(reversed(items), last=1, zone=UTC) == {"a"}
    assert retention.chosen(items, daily=1, zone=UTC) == {"b"}
    assert retention.chosen(items, hourly=2, zone=UTC) == {"b", "z"}


def test_renaming_the_audit_log_loses_no_line(tmp_path):
    """Programs such as logrotate rename the file while other threads and processes write."""
    log, file = AuditLog(file=tmp_path / "audit.jsonl"), tmp_path / "audit.jsonl"
    identity, renames = Identity("ann"), Semaphore(0)

    def write(first):
        for number in range(first, first + 200):
            if number == first + 100:
                assert renames.acquire(timeout=60), "the file was not renamed in the meantime"
            log.write("vm_start", identity, resource=str(number))

    with ThreadPoolExecutor(2) as writers:
        writing = [writers.submit(write, first) for first in (0, 200)]
        rotated = 0
        while not all(each.done() for each in writing):
            if file.exists():
                file.rename(tmp_path / f"audit-{(rotated := rotated + 1)}.jsonl")
                renames.release()
    assert [each.exception() for each in writing] == [None, None]
    lines = [json.loads(line) for each in tmp_path.glob("audit*.jsonl") for line in each.read_text().splitlines()]
    assert log.lost == 0
    assert rotated > 1
    assert sorted(int(line["resource"]) for line in lines) == list(range(400))


def test_the_audit_log_is_rotated_and_the_oldest_file_deleted(tmp_path):
    log = AuditLog(file=tmp_path / "audit.jsonl", file_bytes=2000, files=2)
    for number in range(60):
        log.write("vm_start", Identity("ann"), resource=f"{number:03}" + "x" * 100)
    rotated = [tmp_path / "audit.jsonl.2", tmp_path / "audit.jsonl.1"]
    assert log.lost == 0
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != "audit.jsonl") == ["audit.jsonl.1", "audit.jsonl.2"]
    assert all(2000 < each.stat().st_size < 2600 and each.stat().st_mode & 0o777 == 0o600 for each in rotated)
    current = [tmp_path / "audit.jsonl"] if (tmp_path / "audit.jsonl").exists() else []
    kept = [int(json.loads(line)["resource"][:3]) for each in [*rotated, *current] for line in each.read_text().splitlines()]
    assert kept == list(range(60 - len(kept), 60)), "the latest lines, in order"


def test_writers_that_rotate_at_the_same_time_lose_no_line(tmp_path):
    logs = [AuditLog(file=tmp_path / "audit.jsonl", file_bytes=2000, files=50) for _ in range(2)]  # as two processes have them
    with ThreadPoolExecutor(2) as writers:
        writing = [
            writers.submit(lambda log=log: [log.write("vm_start", Identity("ann"), resource="x" * 100) for _ in range(40)])
            for log in logs
        ]
        [each.result() for each in writing]
    assert [log.lost for log in logs] == [0, 0]
    assert (
        sum(json.loads(line)["operation"] == "vm_start" for each in tmp_path.iterdir() for line in each.read_text().splitlines())
        == 80
    )


def test_a_log_that_was_rotated_by_another_process_is_not_rotated_again(tmp_path):
    file = tmp_path / "audit.jsonl"
    file.write_text("old\n")
    with file.open("a") as opened:
        file.rename(tmp_path / "audit.jsonl.1")
        file.write_text("new\n")
        assert not rotate(file, opened.fileno(), 5)
    assert (file.read_text(), (tmp_path / "audit.jsonl.1").read_text()) == ("new\n", "old\n")


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


def ended_runs(site, count, **values):
    """Put runs into the database as if they had ended."""
    from novacron.store.runs import NewRun
    from novacron.store.tables import runs

    made = []
    for number in range(count):
        run_id = f"run-{len(values)}-{values.get('status')}-{values.get('ended_at')}-{number}"
        site.engine.runs.create(NewRun(id=run_id, name="n", flow={}, actor="ann", targets=[], hosts={}, code={}))
        made.append(run_id)
        with site.database.transaction() as connection:
            connection.execute(runs.update().where(runs.c.id == run_id).values(**values))
    return made


def test_a_worker_deletes_finished_runs_by_age_and_by_number(site):
    now = site.engine.schedules.now()
    old = ended_runs(site, 2, status="done", ended_at=now - 91 * 86_400)
    failed = ended_runs(site, 2, status="failed", ended_at=now - 91 * 86_400)
    new = ended_runs(site, 4, status="done", ended_at=now - 80 * 86_400)

    def there():
        from novacron.store.tables import runs

        with site.database.transaction() as connection:
            return {row.id for row in connection.execute(runs.select())}

    assert there() == {*old, *failed, *new}
    assert site.engine.housekeeping.clean_if_due().runs == 2
    assert there() == {*failed, *new}
    assert site.engine.housekeeping.clean_if_due() is None, "at most once an hour"
    site.fleet.settings["run_retention_runs"] = 3
    assert site.engine.housekeeping.clean() == (1, 0)
    assert there() == {*failed, *new[1:]}
    site.fleet.settings["run_retention_days"] = 60
    assert site.engine.housekeeping.clean().runs == 3
    assert there() == {*failed}
