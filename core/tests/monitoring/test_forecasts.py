"""Forecasts, anomalies, charts, the report and the dashboards."""

import json
import math
import random
import re
from xml.etree import ElementTree

import pytest

from novacron.errors import InvalidSpecError
from novacron.monitoring import builtin
from novacron.monitoring.alerting.expressions import parse, selectors
from novacron.monitoring.dashboards import DASHBOARDS, dashboard
from novacron.monitoring.forecasting import anomalies, forecast
from novacron.monitoring.report import html
from novacron.plotting import svg, text
from novacron.records.series import Series
from novacron.site import Site

HOUR, DAY = 3600.0, 86400.0


def series(values, step=HOUR, **labels):
    return Series(metric="load", labels=labels, points=tuple((n * step, float(v)) for n, v in enumerate(values)))


def test_a_growing_pool_is_full_when_it_should_be():
    """10 GiB a day into 1000 GiB, with noise: full after 100 days of which 30 have passed."""
    chance = random.Random(1)
    pool = series([n / 24 * 10 + chance.gauss(0, 3) for n in range(30 * 24)])
    found = forecast(pool, step=HOUR, horizon=90 * DAY, level=1000.0)
    assert found.method == "linear"
    assert found.full_earliest < found.full_at < found.full_latest or found.full_latest is None
    assert abs(found.full_at / DAY - 100) < 3
    assert found.error < found.naive_error


def test_a_daily_pattern_is_found():
    chance = random.Random(2)
    load = series([50 + 40 * math.sin(n / 24 * 2 * math.pi) + chance.gauss(0, 2) for n in range(14 * 24)])
    found = forecast(load, step=HOUR, horizon=2 * DAY)
    assert found.method in ("seasonal", "holt_winters")
    assert found.error < 4
    truth = [50 + 40 * math.sin(n / 24 * 2 * math.pi) for n in range(14 * 24, 16 * 24)]
    inside = [point.low <= value <= point.high for point, value in zip(found.points, truth, strict=True)]
    assert sum(inside) / len(inside) > 0.8


def generated(seed, count):
    """Return hourly values: perhaps with a trend, a daily pattern of any size, and noise that may depend on the hour before."""
    chance = random.Random(seed)
    base, trend, wave = chance.uniform(30, 200), chance.choice([0, 0, 1]) * chance.uniform(-0.02, 0.08), chance.uniform(0, 20)
    noise, memory, last = chance.uniform(1, 6), chance.choice([0, 0.5]), 0.0
    for hour in range(count):
        last = memory * last + chance.gauss(0, noise)
        yield base + trend * hour + wave * math.sin(hour / 24 * 2 * math.pi + 1) + last


def test_a_forecast_is_better_than_the_day_before_and_its_95th_percentile_is_true(sample):
    """Two weeks are known, and the next day is forecast. The other forecast repeats the last day."""
    series_count, better, covered = sample(60, 400), 0, 0
    for seed in range(series_count):
        values = list(generated(seed, 15 * 24))
        past, truth = values[:-24], values[-24:]
        points = forecast(series(past), step=HOUR, horizon=DAY).points
        better += sum(abs(a.value - b) for a, b in zip(points, truth, strict=True)) < sum(
            abs(a - b) for a, b in zip(past[-24:], truth, strict=True)
        )
        covered += sum(value <= point.high for point, value in zip(points, truth, strict=True))
    print(
        f"better for {100 * better / series_count:.1f} % of the series, {100 * covered / series_count / 24:.1f} % below the 95th percentile"
    )
    assert better >= 0.9 * series_count
    assert 0.93 <= covered / series_count / 24 <= 0.97


def test_a_flat_series_never_reaches_the_level_and_a_full_one_shrinks():
    assert forecast(series([5] * 100), step=HOUR, horizon=30 * DAY, level=10).full_at is None
    shrinking = forecast(series([100 - n for n in range(90)]), step=HOUR, horizon=DAY, level=0)
    assert shrinking.full_at == 100 * HOUR


def test_too_little_data_is_said():
    found = forecast(series([1, 2, 3]), step=HOUR, horizon=DAY)
    assert found.points == ()
    assert "too little data: 3 values" in found.problem
    assert "seasonal" in forecast(series(range(30)), step=HOUR, horizon=DAY, method="seasonal").problem
    for bad in ({"method": "magic"}, {"horizon": 1.0}, {"horizon": 1e12}):
        with pytest.raises(InvalidSpecError):
            forecast(series(range(30)), **{"step": HOUR, "horizon": DAY, **bad})


def test_anomalies_are_those_of_the_same_hour():
    chance = random.Random(3)
    values = [50 + 40 * math.sin(n / 24 * 2 * math.pi) + chance.gauss(0, 1) for n in range(6 * 168)]
    since = (6 * 168 - 24) * HOUR
    assert anomalies(series(values), since=since) == []
    values[-5] = 500
    (found,) = anomalies(series(values), since=since)
    assert found.value == 500
    assert found.high < 100


NASTY = "<script>alert('x')</script>&\n\""


def test_charts_are_valid_and_show_peaks():
    peak = series([0] * 5000 + [100] + [0] * 5000, name=NASTY)
    root = ElementTree.fromstring(svg([peak, series([], name="empty"), series([math.nan, math.inf, 3])], NASTY))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    heights = [float(point.split(",")[1]) for point in lines[0].get("points").split()]
    assert min(heights) < 50
    assert "no data" in svg([])
    assert text([peak]).count("1") >= 2
    assert text([]) == "no data"
    assert "and 2 more" in svg([series([1, 2], n=str(n)) for n in range(10)])


@pytest.mark.parametrize("name", list(DASHBOARDS))
def test_dashboards_use_metrics_that_exist(name):
    known = builtin.definitions()
    panels = json.loads(json.dumps(dashboard(name)))["panels"]
    for panel in panels:
        metrics = re.findall(r"novacron_[a-z_]+", panel["targets"][0]["expr"])
        assert metrics
        assert set(metrics) <= set(known)
        labels = re.findall(r"{{(\w+)}}", panel["targets"][0]["legendFormat"])
        assert labels
        assert set(labels) <= {"host", "pool", "name", "disk", "nic"}
        assert {one.metric for one in selectors(parse(panel["targets"][0]["expr"].replace("$vm", "x")))} == set(metrics)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_report_is_one_page(tmp_path):
    with Site(tmp_path / "state") as site:
        site.fleet.add("reported", "sim://reported?vms=2")
        collector = site.fleet.metrics.collector()
        for _ in range(3):
            collector.collect()
        page = html(site.fleet.metrics, site.fleet.alerts)
        for words in ("reported", "No alert fires", "Storage pools", "too little data"):
            assert words in page
        assert not re.search(r"(src|href)=", page)
        (found, *_) = site.fleet.metrics.forecast_pools(labels={"host": "reported"})
        assert found.problem
