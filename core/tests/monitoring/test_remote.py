"""Remote storage: a real Prometheus gets what was measured and gives it back; servers that are away, refuse, or hang."""

import http.server
import itertools
import json
import math
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from novacron.errors import InvalidSpecError, StorageError, UnsupportedOperationError
from novacron.monitoring.otlp import OTLPWriter
from novacron.monitoring.remote import BACKLOG, RemoteReader, RemoteWriter
from novacron.monitoring.remote_messages import RemoteMessages
from novacron.records.series import Sample
from novacron.site import Site

WORLDS = itertools.count()


def samples(count=1, value=1.0, at=None):
    return [Sample(metric="queue_length", value=value, labels={"queue": f"q{number}"}, at=at) for number in range(count)]


class Server:
    """An HTTP server that keeps what it gets and answers as it is told."""

    def __init__(self):
        self.bodies, self.headers, self.answers, self.hang = [], [], [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = outer.answers.pop(0) if outer.answers else 204
                if answer == "hang":
                    outer.hang.wait(60)
                    answer = 503
                if answer == 204:
                    outer.bodies.append(body)
                    outer.headers.append(dict(self.headers))
                self.send_response(answer)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1/write"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.hang.set()
    made.server.shutdown()
    made.server.server_close()


def test_large_rounds_are_sent_in_parts_with_the_token(server):
    writer = RemoteWriter(server.url, token=lambda: "t0ken")
    writer.export(1000.0, samples(12_000))
    writer.flush(60)
    assert len(server.bodies) == 3
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer t0ken"}
    assert {headers["Content-Encoding"] for headers in server.headers} == {"snappy"}
    assert "t0ken" not in repr(writer)


def test_rounds_wait_while_the_server_is_away_and_are_sent_in_order(server):
    server.answers = [503, 503, 429]
    writer = RemoteWriter(server.url)
    writer.export(1000.0, samples(value=1.0))
    writer.flush(60)
    for number in (2.0, 3.0):
        with pytest.raises(StorageError, match="answered 503"):
            writer.export(1000.0 + 60 * number, samples(value=number))
        writer.flush(60)
    assert writer.waiting() == 3
    with pytest.raises(StorageError, match=r"answered 429.*3 rounds wait in memory"):
        writer.export(1240.0, samples(value=4.0))
    writer.flush(60)
    assert writer.waiting() == 0
    assert server.bodies == [
        RemoteMessages().write_request(samples(value=v, at=at))
        for v, at in ((1.0, 1000.0), (2.0, 1120.0), (3.0, 1180.0), (4.0, 1240.0))
    ]


def test_a_round_that_is_rejected_is_dropped_and_said(server):
    server.answers = [400]
    writer = RemoteWriter(server.url)
    writer.export(1000.0, samples())
    writer.flush(60)
    assert writer.waiting() == 0
    with pytest.raises(StorageError, match="answered 400"):
        writer.export(1060.0, samples())
    writer.flush(60)
    assert len(server.bodies) == 1


def test_a_server_that_hangs_delays_no_round_and_the_oldest_are_dropped(server):
    server.answers = ["hang"]
    writer = RemoteWriter(server.url)
    for number in range(BACKLOG):
        writer.export(1000.0 + number, samples())
    with pytest.raises(StorageError, match="was dropped"):
        writer.export(5000.0, samples())
    assert writer.waiting() == BACKLOG
    server.hang.set()
    writer.flush(60)


def test_rounds_are_written_by_otlp(server):
    """Counters are monotonic sums, gauges are gauges, labels are attributes, and values that are not finite are left out."""
    writer = OTLPWriter(server.url, token=lambda: "t0ken")
    values = [("novacron_vm_cpu_seconds_total", 3.5), ("novacron_vm_memory_bytes", 1e9), ("queue_length", math.nan)]
    writer.export(1000.5, [Sample(metric=metric, value=value, labels={"name": 'a"b\n'}) for metric, value in values])
    writer.flush(60)
    (body,) = map(json.loads, server.bodies)
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.headers[0]["Authorization"] == "Bearer t0ken"
    counter, gauge = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert (counter["name"], counter["unit"], gauge["unit"]) == ("novacron_vm_cpu_seconds_total", "s", "By")
    assert (counter["sum"]["isMonotonic"], counter["sum"]["aggregationTemporality"]) == (True, 2)
    (point,) = counter["sum"]["dataPoints"]
    attributes = [{"key": "name", "value": {"stringValue": 'a"b\n'}}]
    assert point == {"attributes": attributes, "timeUnixNano": "1000500000000", "asDouble": 3.5}
    assert gauge["gauge"]["dataPoints"][0]["asDouble"] == 1e9


def test_samples_that_an_otlp_receiver_rejects_are_said(monkeypatch):
    writer = OTLPWriter("http://127.0.0.1:9/v1/metrics")
    answer = {"partialSuccess": {"rejectedDataPoints": "1", "errorMessage": "too old"}}
    monkeypatch.setattr(writer, "_post", lambda *_: json.dumps(answer).encode())
    writer.export(1000.0, samples(3))
    writer.flush(60)
    assert writer.waiting() == 0
    with pytest.raises(StorageError, match="rejected 1 of 3 samples: too old"):
        writer.export(1060.0, samples())
    writer.flush(60)


@pytest.mark.parametrize("url", ["ftp://host/", "host:9090", "https://ann:pw@host/", ""])
def test_invalid_addresses_are_rejected(url):
    for writer in (RemoteWriter, OTLPWriter):
        with pytest.raises(InvalidSpecError) as caught:
            writer(url)
        assert "pw" not in str(caught.value)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(UnsupportedOperationError, match="cramjam") as caught:
        RemoteWriter("http://127.0.0.1:9/")
    assert "novacron[remote-write]" in caught.value.hint


def test_an_answer_that_is_none_of_prometheus_is_said():
    with pytest.raises(StorageError, match="not one of Prometheus"):
        RemoteMessages().read_response(b"<html>", "m")


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs the package prometheus")
def test_a_real_prometheus_keeps_what_was_measured_and_gives_it_back(tmp_path, free_port):
    """Each sample of two rounds comes back with the same labels, value and time, to the millisecond."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_text("{}")
    options = {
        "config.file": tmp_path / "prometheus.yml",
        "storage.tsdb.path": tmp_path / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    command = ["prometheus", *(f"--{name}={value}" for name, value in options.items()), "--web.enable-remote-write-receiver"]
    prometheus = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    name = f"remote-{next(WORLDS)}"

    def ready():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    try:
        deadline = time.monotonic() + 60
        while not ready():
            assert time.monotonic() < deadline
            threading.Event().wait(0.1)
        with Site(tmp_path / "state") as site:
            site.fleet.add(name, f"sim://{name}?vms=3")
            writer = RemoteWriter(f"http://127.0.0.1:{port}/api/v1/write")
            site.fleet.metrics.add_exporter(writer)
            site.fleet.metrics.put("odd_values", 1e-300, labels={"text": 'a"b\nc\\ü', "empty": ""})
            collector = site.fleet.metrics.collector()
            rounds = []
            for _ in range(2):
                rounds.append(collector.collect())
                writer.flush(60)
            assert "remote-write" not in rounds[-1].problems
        sent = {}
        for made in rounds:
            for sample in made.samples():
                labels = {name: value for name, value in sample.labels.items() if value}
                key = (sample.metric, tuple(sorted(labels.items())))
                sent.setdefault(key, {})[round(made.at, 3)] = sample.value
        reader, got = RemoteReader(f"http://127.0.0.1:{port}/api/v1/read"), {}
        for metric in {metric for metric, _ in sent}:
            for series in reader.query(metric, since=rounds[0].at - 10, until=rounds[1].at + 10):
                got[metric, tuple(sorted(series.labels.items()))] = {round(at, 3): value for at, value in series.points}
        assert got == sent
        assert len(sent) > 20
    finally:
        prometheus.terminate()
        prometheus.wait(30)
