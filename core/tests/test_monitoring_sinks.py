"""Sinks: they fail, hang, come back, and get each notification with the same key."""

import itertools
import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.request
from types import SimpleNamespace

import pytest

from novacron.site import Site


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


def test_a_sink_that_fails_or_hangs_is_tried_again_with_the_same_key(site, receiver, monkeypatch, told_by, rounds):
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


def test_mail(site, told_by, rounds):
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


def test_a_mail_server_without_tls_gets_no_mail(site, told_by, rounds):
    with SMTP() as server:
        content = told_by("http://127.0.0.1:9/")
        place = f"127.0.0.1:{server.server_address[1]}"
        content["receivers"][0]["sinks"] = [{"type": "email", "to": "a@b", "from": "a@b", "server": place}]
        site.fleet.alerts.load("own", content)
        rounds(site.fleet.alerts.notifier(None), 95)
        assert "STARTTLS" in next(iter(site.fleet.alerts.waiting())).error
        assert server.message == ""
        server.shutdown()


def test_a_plugin_delivers(site, told_by, rounds):
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


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="needs the package prometheus-alertmanager")
def test_a_real_alertmanager_notifies_and_resolves(site, receiver, tmp_path, told_by, rounds):
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
