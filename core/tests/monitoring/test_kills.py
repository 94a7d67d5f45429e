"""Collectors and notifiers that are killed: no round and no notification is lost, none is doubled."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import pytest

from novacron.site import Site

SERVER = """
import os, sys
import novacron.drivers.sim.plugin
from novacron.monitoring.alerting import notifier
from novacron.monitoring.service import MonitorService
from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey
from novacron.site import Site

def say(text):
    os.write(1, f"{text}\\n".encode())

def work(argument):
    WORK

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            work(line.strip())
        finally:
            os._exit(1)
    say(f"process {child}")
    _, status = os.waitpid(child, 0)
    say("killed" if os.WIFSIGNALED(status) else "ended")
"""
"""Makes a process for each line of its input. It has imported NovaCron before, so that a process starts in milliseconds."""

NOTIFYING = """
    site, layouts = Site(sys.argv[1]), Layouts()
    notifier, start = site.fleet.alerts.notifier(None), float(argument)
    say("ready")
    for number in range(1000):
        value = 95.0 if (start + number) % 2 else 10.0
        one = Measured("custom", "a", "", (("app", "a"),), layouts.of([SeriesKey("load")]), [value])
        at = (start + number) * 60
        notifier.take(Round(at, [one]))
        notifier.deliver_now(at)
        say(number)
"""

COLLECTING = """
    import threading
    site = Site(sys.argv[1])
    service = MonitorService(site.fleet.metrics, interval=0.1, say=lambda _: None, after=lambda made: say(made.at))
    service.run(threading.Event())
"""

STANDING_BY = """
    import threading, time
    from novacron.monitoring import collector
    collector.BACKLOG = 1_000_000  # a tenth of a second is an interval here, and a server may need minutes to start
    site = Site(sys.argv[1])
    service = MonitorService(site.fleet.metrics, interval=0.1, timeout=120, say=lambda _: None)
    step = service.step

    def said():
        began, made = time.monotonic(), step()
        say(f"{began} {made.at if made else 0.0} {'database' in made.problems if made else False}")
        return made

    service.step = said
    service.run(threading.Event())
"""
"""Says of each step when it began, the time of its round (0 if another process collects), and whether the round waits in memory."""


class Processes:
    """Processes that do the same work one after the other, each until it is killed."""

    def __init__(self, site, work):
        command = [sys.executable, "-c", SERVER.replace("    WORK", work), str(site.state.path)]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._pid = 0

    def start(self, argument=""):
        """Start the next process. Its id and its first line may come in any order."""
        self._server.stdin.write(f"{argument}\n")
        self._pid, self._lines = 0, []

    def line(self):
        """Return the next line that the process printed."""
        while not self._lines:
            self._read()
        return self._lines.pop(0)

    def kill(self):
        """Kill the process at once. Return the lines that nobody has read."""
        while not self._pid:
            self._read()
        os.kill(self._pid, signal.SIGKILL)
        while (line := self._server.stdout.readline().strip()) != "killed":
            assert line not in ("", "ended")
            self._lines.append(line)
        return self._lines

    def close(self):
        """End the server."""
        self._server.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._server.kill()
        self._server.wait()
        self._server.stdout.close()

    def _read(self):
        line = self._server.stdout.readline().strip()
        assert line not in ("", "ended", "killed")
        if line.startswith("process "):
            self._pid = int(line.removeprefix("process "))
        else:
            self._lines.append(line)


@pytest.fixture
def processes(site):
    """Return a function that returns the processes of a work."""
    with contextlib.ExitStack() as stack:
        yield lambda work: stack.enter_context(contextlib.closing(Processes(site, work)))


class Step(NamedTuple):
    """What a process said of one interval."""

    began: float
    round: float
    waits: bool


def steps_of(lines):
    """Return the steps that lines of STANDING_BY tell of."""
    return [Step(float(began), float(at), waits == "True") for began, at, waits in map(str.split, lines)]


def steps_until(process, wanted):
    """Return the steps of a process up to the first one that is wanted."""
    found = []
    while not found or not wanted(found[-1]):
        found += steps_of([process.line()])
    return found


def order_of(key):
    """Return when a group began, and the number of the notification in it."""
    _, began, number = key.split("-")
    return int(began, 16), int(number)


def test_no_notification_is_lost_or_made_twice_after_kill_9(site, receiver, sample, told_by, rounds, processes):
    """The process is killed at random moments. Each change of the alert is told once, or again with the same key."""
    import random

    chance, notifying = random.Random(3), processes(NOTIFYING)
    site.fleet.alerts.load("own", told_by(receiver.url))
    at = 1000
    for _ in range(sample(5, 200)):
        notifying.start(at)
        assert notifying.line() == "ready"
        for _ in range(chance.randrange(1, 6)):
            notifying.line()
            at += 1
        threading.Event().wait(chance.random() * 0.02)
        at += len(notifying.kill())
    notifier = site.fleet.alerts.notifier(None)
    for number in range(at, at + 2):
        rounds(notifier, 95.0 if number % 2 else 10.0, start=number * 60.0)
    once = {key: body["status"] for key, _, body in receiver.received}
    order = [once[key] for key in sorted(once, key=order_of)]
    assert set(order) == {"firing", "resolved"}
    assert all(one != following for one, following in itertools.pairwise(order))
    with site.database.transaction() as connection:
        from novacron.store.tables import alert_outbox

        stored = [row.notification["key"] for row in connection.execute(alert_outbox.select())]
    assert len(stored) == len(set(stored))
    assert set(stored) == set(once)


def test_collectors_that_are_killed_lose_nothing(site, sample, processes):
    """The next process takes over at once. The history has each round that was reported, counters never fall, nothing is doubled."""
    site.fleet.add("killed", "sim://killed?vms=1")
    seen, collecting = [], processes(COLLECTING)
    for _ in range(sample(5, 200)):
        collecting.start()
        seen += [float(collecting.line()) for _ in range(3)]
        seen += map(float, collecting.kill())
    collector = site.fleet.metrics.collector()
    collector.collect()
    (series,) = site.fleet.metrics.query("novacron_vm_cpu_seconds_total", show="value")
    times, values = zip(*series.points, strict=True)
    assert set(seen) <= set(times)
    assert len(times) == len(set(times))
    assert list(values) == sorted(values)


@pytest.mark.timeout(900)
def test_at_most_one_interval_is_lost(postgresql, site, sample, processes, tmp_path):
    """Of two processes one collects. It is killed, or the database's server crashes and is started again, by turns.

    Each step that the other process begins after the kill collects. No round is lost when the server is away.
    """
    site.fleet.add("intervals", "sim://intervals?vms=1")
    collecting, waiting = processes(STANDING_BY), processes(STANDING_BY)
    collecting.start()
    told = steps_until(collecting, lambda one: one.round)
    waiting.start()
    steps_until(waiting, lambda one: not one.round)
    for number in range(sample(2, 40)):
        if number % 2:
            postgresql.stop()
            told += steps_until(collecting, lambda one: one.waits)
            postgresql.start()
            told += steps_until(collecting, lambda one: one.round and not one.waits)
        told += [one for one in steps_of(collecting.kill()) if one.round]
        killed = time.monotonic()
        after = steps_until(waiting, lambda one: one.round)
        assert [one for one in after if one.began > killed and not one.round] == [], "it had to collect at once"
        told += after
        collecting, waiting = waiting, collecting
        waiting.start()
        steps_until(waiting, lambda one: not one.round)
    told += steps_of(collecting.kill())
    with Site(tmp_path / "state") as later:
        (series,) = later.fleet.metrics.query("novacron_host_up", since="1d", show="value")
    times = [at for at, _ in series.points]
    assert {one.round for one in told if one.round} <= set(times)
    assert len(times) == len(set(times))
