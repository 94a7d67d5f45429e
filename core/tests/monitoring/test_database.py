"""A state database that is away, full, slow, or does not answer: it is said, the rounds wait, and afterwards nothing is missing."""

import itertools
import os
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from novacron.errors import BusyError, StorageError
from novacron.monitoring.alerting.storage import AlertStorage
from novacron.monitoring.database_calls import DatabaseCalls
from novacron.monitoring.service import MonitorService
from novacron.monitoring.storage import MetricStorage
from novacron.records.alerts import Notification
from novacron.site import Site
from novacron.store.processes import ProcessStore
from novacron_lab import scratch

NAMES = itertools.count()


class Watched:
    """The monitoring of one simulated host with a rule about the metric `load`."""

    def __init__(self, site, receiver, told_by, load):
        self.site, self.receiver, self.load, self.said, self.times = site, receiver, load, [], []
        self.host = f"outage-{next(NAMES)}"
        site.fleet.add(self.host, f"sim://{self.host}?vms=50")
        site.fleet.metrics.add_source(self.load)
        site.fleet.alerts.load("own", told_by(receiver.url))
        self.service = MonitorService(site.fleet.metrics, interval=60, timeout=60, say=self.said.append, alerts=site.fleet.alerts)
        self.steps(2)

    def steps(self, count):
        made = [self.service.step() for _ in range(count)]
        assert None not in made, self.said
        self.times += [one.at for one in made]
        return [one.problems for one in made]

    def survives(self, begin, end):
        """Check an outage of five rounds: it is said, the alert of its time is told afterwards, and the history has all rounds."""
        known = len(self.receiver.received)
        begin()
        self.load.value = 95.0 if self.load.value < 90 else 10.0
        problems = self.steps(5)
        assert all("rounds wait in memory" in one["database"] for one in problems)
        assert any("database" in text for text in self.said)
        end()
        assert self.steps(1) == [{}]
        assert "database: well again" in self.said
        self.said.clear()
        self.service._notifier._delivery.result(60)
        self.complete()
        assert len(self.receiver.received) == known + 1

    def wait_for_late_answers(self):
        collector = self.service._collector
        names = [f"source {source.name}" for source in collector._sources] + [self.host]
        while collector._pending.apart(names)[1]:
            threading.Event().wait(0.02)

    def complete(self):
        for metric in ("load", "novacron_host_up"):
            (series,) = self.site.fleet.metrics.query(metric, since="1h", show="value")
            assert [at for at, _ in series.points] == self.times

    def close(self):
        self.service.close()


@pytest.fixture
def watched(receiver, told_by, load, request):
    """Return a function that makes the monitoring of a site with this state directory."""

    def make(state):
        site = Site(state)
        found = Watched(site, receiver, told_by, load)
        request.addfinalizer(site.close)
        request.addfinalizer(found.close)
        return found

    return make


@pytest.fixture
def small_disk():
    """A file system of 24 MiB that can be filled, in a folder that other users may enter."""
    folder = scratch.make_folder("small", Path("/var/tmp"))
    folder.chmod(0o711)
    disk = folder / "disk"
    disk.mkdir()
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=711", "tmpfs", disk], check=False).returncode:
        pytest.skip("needs the right to mount")
    filler = disk / "filler"

    def fill():
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    yield SimpleNamespace(folder=disk, fill=fill, free=filler.unlink)
    subprocess.run(["umount", "--lazy", disk], check=True)
    disk.rmdir()
    folder.rmdir()


class Proxy:
    """Forwards connections to a PostgreSQL server on a Unix socket; it can be slow, and stop without closing them."""

    def __init__(self, folder, server):
        self.delay, self.open = 0.0, threading.Event()
        self.open.set()
        self._server, self._listener = str(server), socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/.s.PGSQL.5432")
        self._listener.listen(32)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(f"{self._server}/.s.PGSQL.5432")
            except OSError:
                client.close()
                continue
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source, target):
        try:
            while data := source.recv(65536):
                self.open.wait()
                threading.Event().wait(self.delay)
                target.sendall(data)
        except OSError:
            pass
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)  # it wakes the thread that reads from it, too

    def close(self):
        self._listener.close()


def test_sqlite_on_a_full_disk(watched, small_disk):
    found = watched(small_disk.folder / "state")
    found.survives(small_disk.fill, small_disk.free)
    found.survives(small_disk.fill, small_disk.free)


def test_postgresql_away_full_slow_and_hanging(watched, postgresql, small_disk, tmp_path, monkeypatch):
    url = os.environ["NOVACRON_DATABASE"]
    spaces = small_disk.folder / "space"
    spaces.mkdir()
    subprocess.run(["chown", "postgres", spaces], check=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{spaces}'")
        connection.execute("ALTER ROLE postgres SET default_tablespace = 'small'")
    proxy = Proxy(tmp_path, url.partition("host=")[2])
    monkeypatch.setenv("NOVACRON_DATABASE", f"postgresql://postgres@/postgres?host={tmp_path}")
    found = watched(tmp_path / "state")
    calls, collector = found.service._calls, found.service._collector

    found.survives(postgresql.stop, postgresql.start)
    found.survives(small_disk.fill, small_disk.free)

    proxy.delay = 0.01
    assert found.steps(2) == [{}, {}]
    proxy.delay = 0.0

    def hang():
        proxy.open.clear()
        calls._seconds = collector._timeout = 0.3  # the source "inspection" hangs, too: it reads the runs

    def answer():
        calls._seconds = collector._timeout = 60.0
        proxy.open.set()
        calls._running.result(60)
        found.wait_for_late_answers()

    found.survives(hang, answer)
    proxy.close()


def test_rounds_that_were_dropped_are_said(tmp_path, monkeypatch):
    with Site(tmp_path / "state") as site:
        monkeypatch.setattr("novacron.monitoring.collector.BACKLOG", 3)
        collector = site.fleet.metrics.collector()
        write = site.fleet.metrics.storage.write

        def away(*_, **__):
            raise StorageError("the database is away")

        monkeypatch.setattr(site.fleet.metrics.storage, "write", away)
        problems = [collector.collect().problems["database"] for _ in range(5)]
        assert "dropped" not in problems[2]
        assert "3 rounds wait in memory; 2 older rounds were dropped" in problems[4]
        monkeypatch.setattr(site.fleet.metrics.storage, "write", write)
        assert "3 rounds could not be stored" in collector.collect().problems["database"]
        assert "database" not in collector.collect().problems


def test_counters_do_not_fall_if_those_of_before_can_not_be_read(tmp_path, monkeypatch):
    """The round is not stored then: it would start the counters again."""
    with Site(tmp_path / "state") as site:
        storage = site.fleet.metrics.storage
        counters = storage.counters
        monkeypatch.setattr(storage, "counters", lambda: (_ for _ in ()).throw(StorageError("the database is away")))
        collector = site.fleet.metrics.collector()
        assert "not stored" in collector.collect().problems["database"]
        assert storage.last_round() is None
        monkeypatch.setattr(storage, "counters", counters)
        assert "database" not in collector.collect().problems


def test_rounds_that_waited_are_stored_by_a_process_that_was_replaced(tmp_path, monkeypatch):
    """While the database was away it counted as dead. Its rounds are older than those of its successor."""
    with Site(tmp_path / "state") as site, Site(tmp_path / "state") as other:
        name = f"replaced-{next(NAMES)}"
        site.fleet.add(name, f"sim://{name}?vms=1")
        collector = site.fleet.metrics.collector()
        times = [collector.collect().at]
        write = site.fleet.metrics.storage.write
        monkeypatch.setattr(site.fleet.metrics.storage, "write", lambda *_, **__: (_ for _ in ()).throw(StorageError("away")))
        times += [collector.collect().at for _ in range(3)]
        monkeypatch.setattr(site.fleet.metrics.storage, "write", write)
        ProcessStore(site.database).remove(collector.lease.process)
        successor = other.fleet.metrics.collector()
        times.append(successor.collect().at)
        with pytest.raises(BusyError):
            collector.collect()
        (series,) = site.fleet.metrics.query("novacron_vm_cpu_seconds_total", show="value")
        points = list(series.points)
        assert [at for at, _ in points] == times
        assert [value for _, value in points] == sorted(value for _, value in points)
        other.fleet.metrics.release_collection(successor.lease)


def test_a_call_that_hangs_takes_one_thread():
    calls, release = DatabaseCalls(0.05), threading.Event()
    with pytest.raises(StorageError, match="did not answer within"):
        calls.run(lambda: release.wait(60))
    with pytest.raises(StorageError, match="still does not answer"):
        calls.run(lambda: 1)
    release.set()
    assert calls._running.result(60)
    assert DatabaseCalls(60).run(lambda: 1) == 1


def test_two_scripts_push_the_same_new_metric_at_once(tmp_path):
    """Both find that it is not stored, and both store it: the second one tries again."""
    with Site(tmp_path / "state") as site, Site(tmp_path / "state") as other:
        one, two = site.fleet.metrics, other.fleet.metrics
        stored, pushed = MetricStorage._stored, []

        def late(self, connection, wanted):
            found = stored(self, connection, wanted)
            if self is one.storage and not pushed:
                pushed.append(two.put("jobs", 1, labels={"queue": "mail"}))
            return found

        one.storage._stored = late.__get__(one.storage)
        assert one.put("jobs", 2, labels={"queue": "mail"}) == 1
        assert pushed == [1]
        (series,) = one.query("jobs")
        assert sorted(value for _, value in series.points) == [1.0, 2.0]


def test_a_notification_with_a_known_key_is_neither_doubled_nor_lost(tmp_path):
    with Site(tmp_path / "state") as site:
        storage = AlertStorage(site.database)
        note = Notification(key="g-1", group="g", status="firing", receiver="log", at=60.0)
        other = note.replace(status="resolved", at=120.0)
        sink = {"type": "log"}
        for some in ([note, note], [note], [other, note]):
            storage.write({}, {}, [(f"{one.key}-0", sink, one) for one in some], at=60.0, lease=None)
        waiting = [one.notification for one in storage.waiting()]
        assert [(one.status, one.at) for one in waiting] == [("firing", 60.0), ("resolved", 120.0)]
        assert len({one.key for one in waiting}) == 2
