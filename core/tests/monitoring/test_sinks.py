"""Sinks: they fail, hang, come back, and get each notification with the same key."""

import importlib.util
import itertools
import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from novacron.errors import InvalidSpecError, UnsupportedOperationError
from novacron.monitoring.alerting.desktop import bus_address
from novacron.store.tables import alert_files


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
    rounds(notifier, 95, start=1060, deadline=0.5)
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


@pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="needs the package prometheus-alertmanager")
def test_a_real_alertmanager_notifies_and_resolves(site, receiver, tmp_path, told_by, rounds, free_port):
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
        deadline = time.monotonic() + 60
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
        server.wait(60)


def delivered_to(site, rounds, told_by, start=1000.0, **sink):
    """Return the notifications that wait after an alert was sent to a sink."""
    content = told_by("http://127.0.0.1:9/")
    content["receivers"][0]["sinks"] = [sink]
    site.fleet.alerts.load("own", content)
    rounds(site.fleet.alerts.notifier(None), 95, start=start)
    return list(site.fleet.alerts.waiting())


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody trusts, in one file with its key."""
    files = {name: tmp_path / f"{name}.pem" for name in ("cert", "key")}
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-out",
        files["cert"],
        "-keyout",
        files["key"],
    ]
    subprocess.run(command, check=True, capture_output=True)
    return files


def test_a_webhook_needs_a_certificate_that_is_trusted(site, rounds, told_by, receiver, certificate):
    """The system does not trust the receiver's certificate: nothing is sent. `ca` names the file that it is trusted by."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate["cert"], certificate["key"])
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    url = receiver.url.replace("http:", "https:")
    (waiting,) = delivered_to(site, rounds, told_by, type="webhook", url=url)
    assert "certificate verify failed" in waiting.error
    assert receiver.received == []
    site.fleet.alerts.storage.delivered(waiting, 1000.0)
    rounds(site.fleet.alerts.notifier(None), 10, start=2000)
    for one in site.fleet.alerts.waiting():
        site.fleet.alerts.storage.delivered(one, 2000.0)
    assert not delivered_to(site, rounds, told_by, start=9000.0, type="webhook", url=url, ca=str(certificate["cert"]))
    assert [body["status"] for _, _, body in receiver.received] == ["firing"]


@pytest.fixture
def desktop(monkeypatch):
    """A D-Bus session in which a thread shows notifications; its answer to each can be set."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs the package dbus-daemon")
    from jeepney import HeaderFields, MessageType, new_error, new_method_return
    from jeepney.bus_messages import message_bus
    from jeepney.io.blocking import open_dbus_connection

    daemon = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address"], stdout=subprocess.PIPE, text=True)
    address = daemon.stdout.readline().strip()
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    made = SimpleNamespace(shown=[], error=None, address=address)

    def show():
        connection = open_dbus_connection(address)
        connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.Notifications"))
        made.ready.set()
        while True:
            try:
                message = connection.receive()
            except (OSError, EOFError):
                return
            if message.header.message_type is MessageType.method_call and message.header.fields[HeaderFields.member] == "Notify":
                made.shown.append(message.body)
                connection.send(new_error(message, made.error) if made.error else new_method_return(message, "u", (1,)))

    made.ready = threading.Event()
    made.start = lambda: (threading.Thread(target=show, daemon=True).start(), made.ready.wait(30))
    yield made
    daemon.terminate()
    daemon.wait(30)


def test_the_desktop_shows_an_alert(site, rounds, told_by, desktop):
    desktop.start()
    assert not delivered_to(site, rounds, told_by, type="desktop")
    ((program, _, _, title, text, _, hints, _),) = desktop.shown
    assert (program, title, text) == ("NovaCron", "[firing] High (1)", "firing: a is at 95")
    assert hints == {"urgency": ("y", 1)}


def test_a_desktop_that_refuses_is_tried_again(site, rounds, told_by, desktop):
    desktop.error = "org.example.Full"
    desktop.start()
    (waiting,) = delivered_to(site, rounds, told_by, type="desktop")
    assert "org.example.Full" in waiting.error


def test_without_a_desktop_the_notification_waits_and_says_why(site, rounds, told_by, desktop, monkeypatch, tmp_path):
    (waiting,) = delivered_to(site, rounds, told_by, type="desktop")
    assert "nothing in the desktop session shows notifications" in waiting.error
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(UnsupportedOperationError, match="no D-Bus session") as caught:
        bus_address()
    assert "another sink" in caught.value.hint


def test_apprise_delivers_and_its_address_is_a_secret(site, rounds, told_by, receiver, monkeypatch):
    pytest.importorskip("apprise")
    monkeypatch.setenv("NOVACRON_SECRET_CHAT", receiver.url.replace("http://", "json://user:t0ken@"))
    receiver.status = [500]
    (waiting,) = delivered_to(site, rounds, told_by, type="apprise", secret="chat")
    assert "did not accept" in waiting.error
    rounds(site.fleet.alerts.notifier(None), 95, start=2000)
    ((_, authorization, body),) = receiver.received
    assert authorization.startswith("Basic ")
    assert (body["title"], body["type"]) == ("[firing] High (1)", "failure")
    assert "a is at 95" in body["message"]
    assert not list(site.fleet.alerts.waiting())
    assert "t0ken" not in waiting.error + str(site.fleet.alerts.storage.files())


def test_apprise_without_the_package_or_with_another_address_says_so(site, rounds, told_by, monkeypatch):
    monkeypatch.setenv("NOVACRON_SECRET_CHAT", "nonsense://t0ken")
    if importlib.util.find_spec("apprise"):
        (waiting,) = delivered_to(site, rounds, told_by, type="apprise", secret="chat")
        assert "does not know such an address" in waiting.error
        assert "t0ken" not in waiting.error
    monkeypatch.setitem(sys.modules, "apprise", None)
    rounds(site.fleet.alerts.notifier(None), 95, app="b", start=5000)
    assert any("needs the package apprise" in one.error for one in site.fleet.alerts.waiting())


@pytest.mark.parametrize("name", [".bashrc", "crontab"])
def test_a_log_is_not_written_to_a_file_that_something_runs(site, rounds, told_by, tmp_path, name):
    """Not when it is loaded, and not when somebody changed the state database: a shell would run `$(...)` of a notification."""
    content = told_by("http://127.0.0.1:9/")
    content["receivers"][0]["sinks"] = [{"type": "log", "file": str(tmp_path / "ok.jsonl")}]
    site.fleet.alerts.load("own", content)
    content["receivers"][0]["sinks"][0]["file"] = str(tmp_path / name)
    with pytest.raises(InvalidSpecError, match=r"sinks\.0\.file.*\.jsonl"):
        site.fleet.alerts.load("own", content)
    with site.database.transaction() as connection:
        connection.execute(sa.update(alert_files).values(content=content))
    notifier = site.fleet.alerts.notifier(None)
    rounds(notifier, 95)
    assert "sinks.0.file" in notifier.unread["alerts in own"]
    assert not (tmp_path / name).exists()


def test_a_mail_server_that_hangs_delays_nobody(site, rounds, told_by, tmp_path):
    """It accepts the connection and says nothing. Meanwhile the log has the notification."""
    log = tmp_path / "alerts.log"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mail = {"type": "email", "to": "a@b", "from": "a@b", "server": f"127.0.0.1:{silent.getsockname()[1]}", "tls": "none"}
        content = told_by("http://127.0.0.1:9/")
        content["receivers"][0]["sinks"] = [mail, {"type": "log", "file": str(log)}]
        site.fleet.alerts.load("own", content)
        delivery = threading.Thread(target=rounds, args=(site.fleet.alerts.notifier(None), 95))
        delivery.start()
        connection, _ = silent.accept()
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)
        assert delivery.is_alive()
        connection.close()
        delivery.join(60)
    (waiting,) = site.fleet.alerts.waiting()
    assert waiting.sink["type"] == "email"
    assert waiting.attempts == 1


EMAIL = {"type": "email", "to": "a@b", "from": "a@b", "user": "u", "password": "mail"}


@pytest.mark.parametrize(
    ("sink", "field"),
    [
        ({"type": "webhook", "url": "http://192.0.2.1/x", "token": "hook"}, "url"),
        ({"type": "webhook", "url": "http://localhost.example.org/x", "token": "hook"}, "url"),
        ({"type": "alertmanager", "url": "http://192.0.2.1", "token": "hook"}, "url"),
        ({**EMAIL, "server": "192.0.2.1", "tls": "none"}, "tls"),
        ({**EMAIL, "server": "[192.0.2.1", "tls": "none"}, "server"),
    ],
)
def test_a_sink_that_would_send_its_secret_in_clear_is_refused_when_it_is_added(site, monkeypatch, sink, field):
    content = {"receivers": [{"name": "log", "sinks": [{"type": "log"}]}, {"name": "team", "sinks": [{"type": "log"}, sink]}]}
    with pytest.raises(InvalidSpecError) as caught:
        site.fleet.alerts.load("own", content)
    assert [problem.path for problem in caught.value.problems] == [f"receivers.team.sinks.1.{field}"]
    assert "192.0.2.1/x" not in str(caught.value)
    assert not site.fleet.alerts.storage.files()
    if field != "server":
        monkeypatch.setenv("NOVACRON_CLEARTEXT_SECRETS", "1")
        site.fleet.alerts.load("own", content)
        monkeypatch.delenv("NOVACRON_CLEARTEXT_SECRETS")
        assert "team" in site.fleet.alerts.configuration().receivers, (
            "a machine that does not allow it reads what others have stored"
        )


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "webhook", "url": "http://127.0.0.1:1/x", "token": "hook"},
        {"type": "webhook", "url": "http://192.0.2.1/x"},
        {"type": "alertmanager", "url": "https://192.0.2.1", "token": "hook"},
        {**EMAIL, "server": "localhost", "tls": "none"},
        {**EMAIL, "server": "192.0.2.1"},
        {"type": "email", "to": "a@b", "from": "a@b", "server": "192.0.2.1", "tls": "none"},
    ],
)
def test_a_sink_that_sends_no_secret_in_clear_is_accepted(site, sink):
    assert site.fleet.alerts.load("own", {"receivers": [{"name": "team", "sinks": [sink]}]})
