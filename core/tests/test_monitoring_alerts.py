"""Alerts from the round to the receiver: grouping, silences, the outbox after kill -9, sinks that fail, and the default rules."""

import http.server
import itertools
import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from types import SimpleNamespace

import pytest

from novacron.drivers import sim
from novacron.errors import InvalidSpecError, NotFoundError
from novacron.monitoring.alerting.configuration import Configuration, Route, matcher
from novacron.monitoring.alerting.grouping import Silence, due, muted
from novacron.monitoring.inspection import chain_length, not_after
from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey
from novacron.monitoring.service import MonitorService
from novacron.records.alerts import Alert
from novacron.site import Site

WORLDS = itertools.count()


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


class Receiver:
    """An HTTP server that remembers what it was sent, and answers as it is told."""

    def __init__(self):
        self.received, self.status, self.hang = [], [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = outer.status.pop(0) if outer.status else 200
                if status == "hang":
                    outer.hang.wait(30)
                    status = 500
                if status == 200:
                    outer.received.append((self.headers["Idempotency-Key"], self.headers.get("Authorization"), body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


QUICK = {"group_wait": "0s", "group_interval": "0s", "repeat_interval": "1h"}


def told_by(url, rules=(), **sink):
    """Return a file of rules whose notifications go to a webhook at once."""
    return {
        "rules": [
            {"alert": "High", "expr": "load > 90", "annotations": {"summary": "{{ $labels.app }} is at {{ $value }}"}},
            *rules,
        ],
        "receivers": [{"name": "hook", "sinks": [{"type": "webhook", "url": url, **sink}]}],
        "route": {"receiver": "hook", **QUICK},
    }


def rounds(notifier, *values, start=1000.0, app="a"):
    layouts = Layouts()
    for number, value in enumerate(values):
        at = start + 60 * number
        one = Measured("custom", app, "", (("app", app),), layouts.of([SeriesKey("load")]), [value])
        notifier.take(Round(at, [one]))
        notifier.deliver_now(at, deadline=1.0)


def test_an_alert_is_notified_once_and_resolved_once(site, receiver):
    site.fleet.alerts.load("own", told_by(receiver.url))
    notifier = site.fleet.alerts.notifier(None)
    rounds(notifier, 50, 95, 96, 97, 50, 50)
    assert [(body["status"], body["alerts"][0]["state"]) for _, _, body in receiver.received] == [
        ("firing",) * 2,
        ("resolved",) * 2,
    ]
    assert "a is at 95" in receiver.received[0][2]["text"]
    assert [alert.state for alert in site.fleet.alerts.list()] == ["resolved"]
    assert not list(site.fleet.alerts.waiting())


def test_a_sink_that_fails_or_hangs_is_tried_again_with_the_same_key(site, receiver, monkeypatch):
    """It answers 500, then hangs, and accepts the third attempt. Meanwhile it delays nobody."""
    monkeypatch.setenv("NOVACRON_SECRET_HOOK", "t0ken")
    receiver.status = [500, "hang"]
    content = told_by(receiver.url, token="hook")
    content["receivers"][0]["sinks"].append({"type": "log"})
    site.fleet.alerts.load("own", content)
    notifier = site.fleet.alerts.notifier(None)
    rounds(notifier, 95)
    (waiting,) = site.fleet.alerts.waiting()
    assert waiting.attempts == 1
    assert "500" in waiting.error
    rounds(notifier, 95, start=1060)
    assert "did not answer" in next(iter(site.fleet.alerts.waiting())).error
    receiver.hang.set()
    while notifier._busy:
        time.sleep(0.01)
    rounds(notifier, 95, start=2000)
    ((key, authorization, _),) = receiver.received
    assert authorization == "Bearer t0ken"
    (line,) = (site.state.path / "alerts.jsonl").read_text().splitlines()
    assert json.loads(line)["key"] == key
    assert not list(site.fleet.alerts.waiting())
    assert "t0ken" not in str(site.fleet.alerts.storage.files())


def test_a_new_process_continues(site, receiver):
    """Pending, firing and told alerts are the same for a notifier that starts from the database."""
    site.fleet.alerts.load("own", told_by(receiver.url, [{"alert": "Slow", "expr": "load > 90", "for": "2m"}]))
    for number, value in enumerate((95, 95, 95, 95, 20)):
        rounds(site.fleet.alerts.notifier(None), value, start=1000 + 60 * number)
    states = [(body["labels"]["alertname"], body["status"]) for _, _, body in receiver.received]
    assert sorted(states) == [("High", "firing"), ("High", "resolved"), ("Slow", "firing"), ("Slow", "resolved")]
    assert len({key for key, _, _ in receiver.received}) == 4


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


def test_no_notification_is_lost_or_made_twice_after_kill_9(site, receiver, sample, tmp_path):
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


def alert(rule="A", state="firing", **labels):
    from novacron.monitoring.alerting.states import fingerprint_of

    labels = {"alertname": rule, **labels}
    return Alert(fingerprint=fingerprint_of(labels), rule=rule, state=state, labels=labels)


def test_groups_wait_and_repeat():
    """Two hosts are told together after group_wait; the third after group_interval; then all again after repeat_interval."""
    route = Route(receiver="log", group_wait=30, group_interval=300, repeat_interval=3600)
    configuration, groups, told = Configuration(routes=(route,)), {}, []

    def at(time, *alerts):
        notifications, changed = due(alerts, groups, configuration, time)
        for key, group in changed.items():
            groups.pop(key) if group is None else groups.update({key: group})
        told.extend((time, note.status, len(note.alerts)) for note in notifications)

    one, two, three = (alert(host=host) for host in "abc")
    at(0, one)
    at(20, one, two)
    at(40, one, two)
    at(60, one, two, three)
    at(341, one, two, three)
    at(700, one, two, three)
    at(3942, one, two, three)
    at(4000, one, two, three.replace(state="resolved"))
    at(4300, one, two, three.replace(state="resolved"))
    at(4660, one.replace(state="resolved"), two.replace(state="resolved"))
    assert told == [(40, "firing", 2), (341, "firing", 3), (3942, "firing", 3), (4300, "firing", 3), (4660, "resolved", 2)]


def test_silences_and_inhibitions():
    from novacron.monitoring.alerting.defaults import default_configuration

    configuration = default_configuration()
    down, high = (
        alert("HostUnreachable", severity="critical", host="a"),
        alert("PoolFilling", severity="warning", host="a", pool="p"),
    )
    other = alert("PoolFilling", severity="warning", host="b", pool="p")
    worse = alert("PoolFilling", severity="critical", host="b", pool="p")
    found = muted([down, high, other, worse], [], configuration, 0)
    assert [one.inhibited_by for one in found] == [None, "HostUnreachable", "PoolFilling", None]
    silence = Silence(id="1", matchers=("host=~a|c",), starts_at=0, ends_at=100)
    silences = [(silence, (matcher("host=~a|c"),))]
    assert [one.silenced_by for one in muted([down, other], silences, configuration, 50)] == ["1", None]
    assert [one.silenced_by for one in muted([down, other], silences, configuration, 100)] == [None, None]


def test_a_silence_mutes_and_its_end_tells(site, receiver):
    alerts = site.fleet.alerts
    alerts.load("own", told_by(receiver.url))
    silence = alerts.silence(["app=a"], "10d", comment="works")
    now = alerts.storage.silences()[0].starts_at
    notifier = alerts.notifier(None)
    rounds(notifier, 95, 95, start=now + 1)
    assert receiver.received == []
    assert [one.silenced_by for one in alerts.list()] == [silence.id]
    alerts.unsilence(silence.id)
    rounds(notifier, 95, start=now + 200)
    assert [body["status"] for _, _, body in receiver.received] == ["firing"]
    with pytest.raises(NotFoundError, match="no silence"):
        alerts.unsilence(silence.id)
    for bad in ([], ["host"], ["host=~("]):
        with pytest.raises(InvalidSpecError):
            alerts.silence(bad, "1h")


def test_rules_of_two_files_and_of_plugins(site):
    alerts = site.fleet.alerts
    alerts.load("one", {"rules": [{"alert": "Mine", "expr": "load > 1"}]})
    with pytest.raises(InvalidSpecError, match="invalid alerts in two"):
        alerts.load("two", {"rules": [{"alert": "Mine", "expr": "load > 2"}]})
    alerts.load("one", {"rules": [{"alert": "Mine", "expr": "load > 3"}]})
    assert [rule.expr for rule in alerts.rules() if rule.alert == "Mine"] == ["load > 3"]
    alerts.load("defaults", {"rules": [{"alert": "HostUnreachable", "expr": "novacron_host_up == 0"}]})
    assert {rule.alert for rule in alerts.rules()} == {"Mine", "HostUnreachable"}
    alerts.unload("one")
    with pytest.raises(NotFoundError):
        alerts.unload("one")


class SMTP(socketserver.ThreadingTCPServer):
    """A mail server that accepts one message."""

    allow_reuse_address = daemon_threads = True

    def __init__(self):
        self.message = ""
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"220 here\r\n")
                for line in self.rfile:
                    word = line.split()[0].upper()
                    if word == b"DATA":
                        self.wfile.write(b"354 go\r\n")
                        lines = itertools.takewhile(lambda one: one != b".\r\n", self.rfile)
                        outer.message = b"".join(lines).decode()
                    self.wfile.write(b"250 ok\r\n" if word != b"QUIT" else b"221 bye\r\n")
                    if word == b"QUIT":
                        return

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def test_mail(site):
    with SMTP() as server:
        place = f"127.0.0.1:{server.server_address[1]}"
        sink = {"type": "email", "to": "ops@example.org", "from": "novacron@example.org", "server": place, "tls": "none"}
        content = told_by("http://127.0.0.1:9/")
        content["receivers"][0]["sinks"] = [sink]
        site.fleet.alerts.load("own", content)
        rounds(site.fleet.alerts.notifier(None), 95)
        assert not list(site.fleet.alerts.waiting())
        assert "Subject: [firing] High (1)" in server.message
        assert "a is at 95" in server.message
        assert "Message-ID: <" in server.message
        server.shutdown()


def test_a_mail_server_without_tls_gets_no_mail(site):
    with SMTP() as server:
        content = told_by("http://127.0.0.1:9/")
        place = f"127.0.0.1:{server.server_address[1]}"
        content["receivers"][0]["sinks"] = [{"type": "email", "to": "a@b", "from": "a@b", "server": place}]
        site.fleet.alerts.load("own", content)
        rounds(site.fleet.alerts.notifier(None), 95)
        assert "STARTTLS" in next(iter(site.fleet.alerts.waiting())).error
        assert server.message == ""
        server.shutdown()


def test_a_plugin_delivers(site):
    sent = []

    class Plugin:
        @__import__("pluggy").HookimplMarker("novacron")
        def alert_sinks(self):
            return [SimpleNamespace(name="pager", send=sent.append)]

        @__import__("pluggy").HookimplMarker("novacron")
        def alert_rules(self):
            return [{"alert": "FromPlugin", "expr": "load > 90"}]

    site.plugins.register(Plugin(), "pager")
    content = told_by("http://127.0.0.1:9/")
    content["receivers"][0]["sinks"] = [{"type": "plugin", "name": "pager"}]
    site.fleet.alerts.load("own", content)
    rounds(site.fleet.alerts.notifier(None), 95)
    assert {note.alerts[0].rule for note in sent} == {"High", "FromPlugin"}


def service(site, **more):
    return MonitorService(site.fleet.metrics, say=lambda _: None, alerts=site.fleet.alerts, interval=60, **more)


def firing(site):
    return {(one.rule, one.labels.get("name") or one.labels.get("host")) for one in site.fleet.alerts.list("firing")}


def test_default_rules_fire_and_resolve(site, monkeypatch):
    """On a simulated fleet: a crashed VM, one paused on an I/O error, a full pool, an old snapshot, a host that does not answer."""
    name = f"alerting-{next(WORLDS)}"
    site.fleet.add(name, f"sim://{name}?vms=3")
    host = site.fleet.hosts[name]
    world = host.dispatcher.driver.native.world
    clock = [1_800_000_000.0]
    monkeypatch.setattr(site.fleet.metrics.storage, "now", lambda: clock[0])
    running = service(site)

    def minutes(count):
        for _ in range(count):
            clock[0] += 60
            running.step()

    minutes(3)
    assert firing(site) == set()
    vms = {name: world.find(name) for name in ("vm-00001", "vm-00002")}
    world.set_status(vms["vm-00001"], "crashed", "test")
    world.set_status(vms["vm-00002"], "suspended", "ioerror")
    minutes(1)
    assert firing(site) == {("VMCrashed", "vm-00001"), ("VMPausedOnIOError", "vm-00002")}
    world.set_status(vms["vm-00001"], "running", "booted")
    world.set_status(vms["vm-00002"], "running", "resumed")
    minutes(1)
    assert firing(site) == set()
    site.fleet.add("absent", "qemu+tcp://127.0.0.1:9/system")
    minutes(4)
    assert firing(site) == {("HostUnreachable", "absent")}
    site.fleet.remove("absent")
    minutes(1)
    assert firing(site) == set()
    running.close()
    sim.forget(name)


def test_chains_and_certificates(tmp_path):
    from novacron.records.snapshots import Snapshot

    common = {"vm": "1", "host": "a", "created_at": "", "status": "running"}
    some = [
        Snapshot(name=str(n), parent=str(n - 1) if n else None, kind="external" if n > 1 else "internal", **common)
        for n in range(8)
    ]
    assert chain_length(some) == 6
    file = tmp_path / "cert.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *curve, "-days", "10", "-subj", "/CN=x", "-out", file, "-keyout", tmp_path / "k"]
    subprocess.run(command, check=True, capture_output=True)
    import ssl

    assert abs(not_after(ssl.PEM_cert_to_DER_cert(file.read_text())) - time.time() - 10 * 86400) < 300


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="needs the package prometheus-alertmanager")
def test_a_real_alertmanager_notifies_and_resolves(site, receiver, tmp_path):
    port = free_port()
    config = tmp_path / "alertmanager.yml"
    config.write_text(f"""
route: {{receiver: hook, group_wait: 0s, group_interval: 100ms}}
receivers: [{{name: hook, webhook_configs: [{{url: '{receiver.url}'}}]}}]
""")
    options = {"config.file": config, "storage.path": tmp_path / "am", "web.listen-address": f"127.0.0.1:{port}"}
    command = ["prometheus-alertmanager", *(f"--{name}={value}" for name, value in options.items()), "--cluster.listen-address="]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)

    def ready():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    try:
        wait(ready)
        content = told_by("http://127.0.0.1:9/")
        content["receivers"][0]["sinks"] = [{"type": "alertmanager", "url": f"http://127.0.0.1:{port}"}]
        site.fleet.alerts.load("own", content)
        notifier = site.fleet.alerts.notifier(None)
        rounds(notifier, 95, start=time.time())
        wait(lambda: [b["status"] for _, _, b in receiver.received] == ["firing"])
        assert receiver.received[0][2]["alerts"][0]["labels"] == {"alertname": "High", "app": "a"}
        rounds(notifier, 10, start=time.time())
        wait(lambda: [b["status"] for _, _, b in receiver.received][-1] == "resolved")
    finally:
        server.terminate()
        server.wait(10)


def test_a_healthy_fleet_raises_no_alert(sample):
    """Hours of normal noise: hosts and VMs at a third of their CPUs with short peaks, pools that grow slowly, snapshots of a day."""
    import math
    import random

    from novacron.monitoring.alerting.defaults import default_configuration
    from novacron.monitoring.alerting.evaluation import Samples
    from novacron.monitoring.alerting.states import AlertStates

    chance, samples, states, counters = random.Random(24), Samples(), AlertStates(default_configuration().rules), {}
    start = 1_700_000_000.0
    for minute in range(sample(400, 1440)):
        at = start + 60 * minute

        def put(metric, value, at=at, **labels):
            samples.add(f"novacron_{metric}", labels, at, value)

        def count(metric, amount, at=at, **labels):
            key = (metric, *labels.items())
            counters[key] = counters.get(key, 0.0) + amount
            samples.add(f"novacron_{metric}_total", labels, at, counters[key])

        for host in "ab":
            load = 0.35 + 0.2 * math.sin(minute / 229) + chance.gauss(0, 0.08)
            count("host_cpu_seconds", 60 * 16 * max(0.0, min(1.0, load)), host=host)
            put("host_up", float(chance.random() > 0.002), host=host)
            put("host_cpus", 16, host=host)
            put("host_memory_bytes", 2**36, host=host)
            put("host_memory_free_bytes", 2**36 * (0.3 + chance.random() * 0.1), host=host)
            used = 2**40 * (0.5 + minute / 1440 * 0.01) + chance.randrange(2**33)
            put("pool_capacity_bytes", 2**40, host=host, pool="p")
            put("pool_allocated_bytes", used, host=host, pool="p")
            put("pool_available_bytes", 2**40 - used, host=host, pool="p")
        for vm in "1234":
            labels = {"vm": vm, "name": f"web{vm}"}
            count("vm_cpu_seconds", 120 * (1.0 if chance.random() < 0.1 else 0.3), **labels)
            count("vm_disk_reads", chance.randrange(5000), disk="vda", **labels)
            count("vm_disk_read_seconds", chance.random() * 5, disk="vda", **labels)
            count("vm_nic_dropped", chance.randrange(3), nic="0", **labels)
            gauges = {
                "vcpus": 2,
                "crashed": 0,
                "io_error": 0,
                "oldest_snapshot_seconds": start - 86400,
                "snapshot_chain_length": 2,
            }
            for metric, value in gauges.items():
                put(f"vm_{metric}", value, **labels)
        states.evaluate(samples, at)
        assert not [one.alert for one in states.known.values() if one.alert.state == "firing"], minute


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
    for _ in range(sample(1, 100)):
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
