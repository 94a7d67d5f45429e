"""The clock goes far ahead at once: it was wrong before, or this machine was suspended. Nothing is deleted, and no alert is made up.

If it is set back, the rounds from in between get their right times, and nothing waits for the wrong ones."""

import time
from datetime import UTC, datetime

import pytest

from novacron.monitoring.exporter import Exporter
from novacron.monitoring.service import MonitorService

DAY = 86400.0


class Watched:
    """The monitoring of a simulated host by a clock that the test moves, with the default rules and one more."""

    def __init__(self, site, load, monkeypatch):
        self.site, self.load, self.said, self.clock = site, load, [], [time.time() // 3600 * 3600]
        self.exporter = Exporter({}, interval=60)
        monkeypatch.setattr(site.fleet.metrics.storage, "now", lambda: self.clock[0])
        site.fleet.metrics.add_source(self.load)
        site.fleet.alerts.load("own", {"rules": [{"alert": "High", "expr": "load > 90", "for": "5m"}]})
        self.service = MonitorService(
            site.fleet.metrics, say=self.said.append, alerts=site.fleet.alerts, after=self.exporter.publish, imports=False
        )

    def step(self, count, seconds=60.0):
        for _ in range(count):
            self.clock[0] += seconds
            assert self.service.step() is not None

    def alerts(self):
        return {(one.rule, one.state) for one in self.site.fleet.alerts.list()}

    def samples(self, since, until):
        return len(self.times(since, until))

    def times(self, since, until):
        period = {"since": datetime.fromtimestamp(since, UTC), "until": datetime.fromtimestamp(until, UTC)}
        found = self.site.fleet.metrics.query("novacron_host_up", show="value", **period)
        return [at for one in found for at, _ in one.points]


@pytest.fixture
def watched(site, add_host, load, monkeypatch):
    add_host(2, running=True)
    made = Watched(site, load, monkeypatch)
    yield made
    made.service.close()


@pytest.fixture
def watched_on(request):
    """Return a function that returns the same on a kind of database."""

    def watched(server):
        if server == "postgresql":
            request.getfixturevalue("postgresql")
        return request.getfixturevalue("watched")

    return watched


@pytest.mark.parametrize("ahead", [3 * DAY, 400 * DAY])
def test_a_jump_deletes_nothing_for_a_day(watched, ahead):
    """The samples of before are too old at once, and after 400 days the roll-ups of an hour, too."""
    began = watched.clock[0]
    watched.step(10, 600.0)
    before = watched.clock[0]
    assert watched.samples(began, before) == 10
    watched.clock[0] += ahead
    watched.step(44, 1800.0)
    with watched.site.database.transaction() as connection:
        from novacron.store.tables import metric_chunks

        kept = [row.resolution for row in connection.execute(metric_chunks.select().where(metric_chunks.c.end <= before))]
    assert {0, 300, 3600} <= set(kept)
    watched.step(14, 1800.0)
    with watched.site.database.transaction() as connection:
        kept = [row.resolution for row in connection.execute(metric_chunks.select().where(metric_chunks.c.end <= before))]
    assert set(kept) == ({300, 3600} if ahead < 30 * DAY else set())


def test_a_jump_is_said_and_raises_no_alert(watched):
    """An alert that was pending has to wait: whether its condition held in the meantime is not known."""
    watched.step(3)
    watched.load.value = 95.0
    watched.step(2)
    assert watched.alerts() == {("High", "pending")}
    watched.clock[0] += 30 * DAY
    watched.step(1)
    assert watched.alerts() == {("High", "pending")}
    watched.step(3)
    assert watched.alerts() == {("High", "pending")}
    watched.step(1)
    assert watched.alerts() == {("High", "firing")}
    (said,) = (text for text in watched.said if "went ahead" in text)
    assert said.startswith("the clock went ahead by 720h00m")
    watched.load.value = 10.0
    watched.step(1)
    assert watched.alerts() == {("High", "resolved")}


def test_after_a_jump_the_exporter_offers_the_new_round_and_forecasts_wait(watched):
    watched.step(6, 600.0)
    known = watched.site.fleet.metrics.forecast("load", since="1h", step="1m", horizon="1h")
    watched.clock[0] += 20 * DAY
    watched.step(3)
    assert watched.exporter.ready
    assert b"novacron_host_up{" in watched.exporter.answer("/metrics").body
    (found,) = watched.site.fleet.metrics.forecast("load", step="10m", horizon="1h")
    assert "too little data: 1 values" in found.problem
    assert known
    watched.step(25, 600.0)
    (found,) = watched.site.fleet.metrics.forecast("load", step="10m", horizon="1h")
    assert found.problem is None
    assert all(point.value == pytest.approx(10.0) for point in found.points)


@pytest.mark.parametrize(
    ("server", "ahead", "rounds", "seconds"),
    [
        ("sqlite", 30 * DAY, 5, 60.0),
        ("sqlite", 1500.0, 4, 400.0),
        ("sqlite", 3 * DAY, 8, 900.0),
        ("postgresql", 1500.0, 4, 400.0),
    ],
)
def test_rounds_get_their_right_times_when_the_clock_is_set_back(watched_on, server, ahead, rounds, seconds):
    """Also those that were packed meanwhile, and those of the hour in which the clock went wrong."""
    watched = watched_on(server)
    began = watched.clock[0]
    watched.step(5, 120.0)
    watched.clock[0] += ahead
    watched.step(rounds, seconds)
    watched.clock[0] -= ahead
    watched.step(2)
    now = watched.clock[0]
    times = watched.times(began, now)
    assert len(times) == 5 + rounds + 2
    assert times == sorted(set(times))
    assert watched.service.latest.at == times[-1] == now
    assert watched.samples(now + 1, now + ahead + DAY) == 0
    assert any(text.startswith("the clock was set back by ") for text in watched.said)
    watched.step(3, 3600.0)  # they are packed
    later = watched.clock[0]
    assert watched.samples(began, later) == 5 + rounds + 2 + 3
    with watched.site.database.transaction() as connection:
        from novacron.store.tables import metric_chunks

        assert not connection.execute(metric_chunks.select().where(metric_chunks.c.end > later)).all()


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
def test_alerts_and_silences_do_not_wait_for_the_wrong_times(watched_on, server):
    watched = watched_on(server)
    watched.step(3)
    watched.clock[0] += 30 * DAY
    watched.step(1)
    watched.load.value = 95.0
    watched.step(2)
    watched.site.fleet.alerts.silence(["app=a"], "1h")
    watched.clock[0] -= 30 * DAY
    watched.step(1)
    assert watched.alerts() == {("High", "pending")}
    watched.step(5)
    assert watched.alerts() == {("High", "firing")}
    (alert,), (silence,) = watched.site.fleet.alerts.list(), watched.site.fleet.alerts.silences()
    assert alert.silenced_by == silence.id
    assert silence.ends_at < watched.clock[0] + 3600
    watched.load.value = 10.0
    watched.step(1)
    assert watched.alerts() == {("High", "resolved")}


def test_a_silence_that_is_over_stays_over_when_the_clock_is_set_back(watched):
    alerts = watched.site.fleet.alerts
    watched.step(3)
    watched.clock[0] += 30 * DAY
    watched.step(1)
    watched.load.value = 95.0
    ended, lasting = alerts.silence(["app=a"], "3h"), alerts.silence(["app=b"], "3h")
    watched.step(2, 900.0)
    alerts.unsilence(ended.id)
    watched.clock[0] -= 30 * DAY
    watched.step(7)
    (alert,) = alerts.list()
    assert (alert.state, alert.silenced_by) == ("firing", None)
    times = {one.id: (one.starts_at, one.ends_at) for one in alerts.silences()}
    assert times[lasting.id] == pytest.approx((lasting.starts_at - 30 * DAY, lasting.ends_at - 30 * DAY), abs=61.0)


def test_an_interrupted_correction_is_continued(watched, monkeypatch):
    from novacron.errors import StorageError
    from novacron.monitoring.corrections import Correction

    began, move, moved = watched.clock[0], Correction._move, []

    def moving(self, at):
        moved.append(at)
        if len(moved) == 3:
            raise StorageError("the database is away")
        move(self, at)

    watched.step(4)
    watched.clock[0] += 30 * DAY
    watched.step(6)
    watched.clock[0] -= 30 * DAY
    monkeypatch.setattr(Correction, "_move", moving)
    watched.step(1)
    assert watched.service.latest.at > watched.clock[0] + 29 * DAY
    watched.step(1)
    assert watched.samples(began, watched.clock[0]) == 12


def test_a_clock_that_is_wrong_now_moves_nothing(watched):
    """It goes back into the time of which there are rounds. These were right."""
    began = watched.clock[0]
    watched.step(20, 600.0)
    before = watched.times(began, watched.clock[0])
    watched.clock[0] -= 9000.0
    watched.step(2)
    assert "the database's clock went back" in watched.service.latest.problems["clock"]
    watched.clock[0] += 9000.0
    watched.step(1)
    times = watched.times(began, watched.clock[0])
    assert times[:20] == before
    assert len(times) == 23
    assert times == sorted(set(times))


def test_a_clock_that_is_late_after_a_second_power_cut_moves_nothing(watched):
    """A machine without a battery for its clock saves the time once an hour. The hours without power before were no wrong clock."""
    began = watched.clock[0]
    watched.step(5)
    watched.clock[0] += 3 * 3600.0
    watched.step(10)
    before = watched.times(began, watched.clock[0])
    watched.clock[0] -= 1500.0
    watched.step(1)
    assert "the database's clock went back" in watched.service.latest.problems["clock"]
    assert watched.times(began, began + DAY)[:15] == before


def test_rounds_that_wait_for_the_database_are_not_moved_by_a_clock_that_is_wrong_now(watched, monkeypatch):
    """The database comes back with a clock that is late, such as that of a replica. Nothing that it stored is ahead of that clock."""
    from types import SimpleNamespace

    from novacron.errors import StorageError
    from novacron.monitoring import collector
    from novacron.monitoring.storage import MetricStorage

    steady = [1000.0]
    monkeypatch.setattr(collector, "time", SimpleNamespace(monotonic=lambda: steady[0], time=time.time))

    def step(count):
        for _ in range(count):
            steady[0] += 60.0
            watched.step(1)

    def away(*_, **__):
        raise StorageError("the database is away")

    began = watched.clock[0]
    step(5)
    with monkeypatch.context() as patched:
        patched.setattr(watched.site.fleet.metrics.storage, "now", away)
        patched.setattr(MetricStorage, "write", away)
        step(15)
    watched.clock[0] -= 700.0
    step(1)
    assert "the database's clock went back" in watched.service.latest.problems["clock"]
    assert watched.times(began, began + DAY) == [began + 60.0 * number for number in range(1, 22)]


def test_rounds_that_wait_are_stored_if_another_process_has_taken_over_when_the_clock_is_set_back(watched, monkeypatch):
    from novacron.errors import BusyError, StorageError
    from novacron.monitoring.storage import MetricStorage
    from novacron.store.leases import Lease

    def away(*_, **__):
        raise StorageError("the database is away")

    def taken(*_):
        raise BusyError("another process collects now")

    began = watched.clock[0]
    watched.step(4)
    watched.clock[0] += 30 * DAY
    watched.step(2)
    with monkeypatch.context() as patched:
        patched.setattr(MetricStorage, "write", away)
        watched.step(3)
    watched.clock[0] -= 30 * DAY
    with monkeypatch.context() as patched:
        patched.setattr(Lease, "check", taken)
        assert watched.service.step() is None
    assert watched.samples(began, began + 31 * DAY) == 4 + 2 + 3


def test_a_process_that_waits_offers_the_rounds_after_the_clock_was_set_back(watched):
    seen = []
    waiting = MonitorService(watched.site.fleet.metrics, follow=seen.append, imports=False)
    for ahead in (0.0, DAY, -DAY):
        watched.clock[0] += ahead
        watched.step(2)
        waiting._follow_stored()
    assert len(seen) == 3
    assert seen[-1].at == watched.clock[0]
