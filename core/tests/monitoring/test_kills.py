"""Collectors and notifiers that are killed: no round and no notification is lost, none is doubled."""

import os
import signal
import subprocess
import sys
import threading

KILLED = """
import sys, time
from novacron.site import Site
from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey
site = Site(sys.argv[1])
layouts = Layouts()
notifier = site.fleet.alerts.notifier(None)
start = float(sys.argv[2])
print("ready", flush=True)
for number in range(1000):
    value = 95.0 if (start + number) % 2 else 10.0
    one = Measured("custom", "a", "", (("app", "a"),), layouts.of([SeriesKey("load")]), [value])
    at = (start + number) * 60
    notifier.take(Round(at, [one]))
    notifier.deliver_now(at)
    print(number, flush=True)
"""


def test_no_notification_is_lost_or_made_twice_after_kill_9(site, receiver, sample, tmp_path, told_by, rounds):
    """The process is killed at random moments. Each change of the alert is told once, or again with the same key."""
    import random

    chance = random.Random(3)
    site.fleet.alerts.load("own", told_by(receiver.url))
    at = 1000
    for _ in range(sample(2, 200)):
        child = subprocess.Popen([sys.executable, "-c", KILLED, str(site.state.path), str(at)], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        for _ in range(chance.randrange(1, 6)):
            at += bool(child.stdout.readline())
        threading.Event().wait(chance.random() * 0.02)
        os.kill(child.pid, signal.SIGKILL)
        at += len(child.stdout.read().split())
        child.wait()
    notifier = site.fleet.alerts.notifier(None)
    for number in range(at, at + 2):
        rounds(notifier, 95.0 if number % 2 else 10.0, start=number * 60.0 + 60000)
    once = {key: body["status"] for key, _, body in receiver.received}
    order = [status for _, status in sorted(once.items(), key=lambda one: int(one[0].rpartition("-")[2]))]
    assert set(order) == {"firing", "resolved"}
    with site.database.transaction() as connection:
        from novacron.store.tables import alert_outbox

        stored = [row.notification["key"] for row in connection.execute(alert_outbox.select())]
    assert len(stored) == len(set(stored))
    assert set(stored) == set(once)


COLLECTING = """
import sys, threading
from novacron.monitoring.service import MonitorService
from novacron.site import Site
site = Site(sys.argv[1])
service = MonitorService(site.fleet.metrics, interval=0.1, say=lambda _: None, after=lambda made: print(made.at, flush=True))
service.run(threading.Event())
"""


def test_collectors_that_are_killed_lose_nothing(site, sample):
    """The next process takes over at once. The history has each round that was reported, counters never fall, nothing is doubled."""
    site.fleet.add("killed", "sim://killed?vms=1")
    seen = []
    for _ in range(sample(1, 200)):
        child = subprocess.Popen([sys.executable, "-c", COLLECTING, str(site.state.path)], stdout=subprocess.PIPE, text=True)
        seen += [float(child.stdout.readline()) for _ in range(3)]
        os.kill(child.pid, signal.SIGKILL)
        seen += [float(line) for line in child.stdout.read().splitlines()]
        child.wait()
    collector = site.fleet.metrics.collector()
    collector.collect()
    (series,) = site.fleet.metrics.query("novacron_vm_cpu_seconds_total", show="value")
    times, values = zip(*series.points, strict=True)
    assert set(seen) <= set(times)
    assert len(times) == len(set(times))
    assert list(values) == sorted(values)
