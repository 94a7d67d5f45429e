"""Monitoring: text for Prometheus against prometheus-client, and a minute of many VMs collected, stored and packed."""

import random
import time

import pytest

from novacron.monitoring.exposition import ExpositionWriter
from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey

SERIES = 30


def crowd(vms, minute=0, layouts=None):
    """Return a round of so many VMs with 30 noisy series each, of which 20 are counters."""
    layouts = layouts or Layouts()
    layout = layouts.of([SeriesKey(f"counter{n:02}_total") for n in range(20)] + [SeriesKey(f"gauge{n:02}") for n in range(10)])
    chance = random.Random(minute)
    measured = []
    for number in range(vms):
        busy = 1 + number % 97
        counters = [float(minute * 60 * busy * (n + 1) * 1000 + chance.randrange(50_000)) for n in range(20)]
        gauges = [float(busy * 2**20 + 4096 * chance.randrange(200)) for n in range(10)]
        measured.append(
            Measured(
                "vm",
                f"vm-{number:06}",
                f"host{number % 50}",
                (("name", f"vm-{number:06}"), ("vm", f"id-{number:06}")),
                layout,
                counters + gauges,
            )
        )
    return Round(at=1.7e9 + 60 * minute, measured=measured)


@pytest.mark.benchmark
def test_text_for_prometheus_is_quicker_than_prometheus_client():
    """300,000 samples: under 0.3 s, and quicker than prometheus-client in the same run."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.openmetrics.exposition import generate_latest

    made, writer = crowd(10_000), ExpositionWriter({})
    writer.write(made)

    class Peer:
        def collect(self):
            for place, key in enumerate(made.measured[0].layout.series):
                kind = CounterMetricFamily if key.metric.endswith("_total") else GaugeMetricFamily
                family = kind(key.metric.removesuffix("_total"), "help", labels=["name", "vm"])
                for one in made.measured:
                    family.add_metric([value for _, value in one.labels], one.values[place])
                yield family

    registry = CollectorRegistry()
    registry.register(Peer())
    seconds = {}
    for name, work in (("ours", lambda: writer.write(made)), ("prometheus-client", lambda: generate_latest(registry))):
        times = []
        for _ in range(3):
            began = time.perf_counter()
            assert work().count(b"\n") >= 300_000
            times.append(time.perf_counter() - began)
        seconds[name] = min(times)
    print({name: f"{value:.2f} s" for name, value in seconds.items()})
    assert seconds["ours"] < seconds["prometheus-client"] / 2
