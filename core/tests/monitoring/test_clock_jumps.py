"""The clock goes far ahead at once: it was wrong before, or this machine was suspended. Nothing is deleted, and no alert is made up."""

import time
from datetime import UTC, datetime

import pytest

from novacron.monitoring.exporter import Exporter
from novacron.monitoring.service import MonitorService
from novacron.records.series import Sample

DAY = 86400.0


class Load:
    """A source with one metric."""

    name, value = "load", 10.0

    def definitions(self):
        return ()

    def collect(self):
        return [Sample(metric="load", value=self.value, labels={"app": "a"})]


class Watched:
    """The monitoring of a simulated host by a clock that the test moves, with the default rules and one more."""

    def __init__(self, site, monkeypatch):
        self.site, self.load, self.said, self.clock = site, Load(), [], [time.time() // 3600 * 3600]
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
        period = {"since": datetime.fromtimestamp(since, UTC), "until": datetime.fromtimestamp(until, UTC)}
        return sum(map(len, self.site.fleet.metrics.query("novacron_host_up", show="value", **period)))


@pytest.fixture
def watched(site, add_host, monkeypatch):
    add_host(2, running=True)
    made = Watched(site, monkeypatch)
    yield made
    made.service.close()


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
