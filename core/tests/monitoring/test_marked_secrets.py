"""Secrets that are sent to servers, which repeat them in their answers, and the keys of the database: none is shown or stored."""

import logging
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from novacron import Site
from novacron.errors import NovaCronError
from novacron.monitoring.remote import RemoteWriter
from novacron.testing.marked import KINDS, SecretSearch, mark

OF = "servers"


@pytest.fixture
def search():
    made = SecretSearch(OF)
    with made.watching():
        yield made
    assert made.looked_at
    assert made.found == []


@pytest.fixture
def repeating():
    """The address of an HTTP server that refuses everything, and repeats the header with the secret."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            token = self.headers["Authorization"].removeprefix("Bearer ")
            self.send_response(403, f"no {token}")
            self.end_headers()
            self.wfile.write(f"invalid {token}".encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class RefusingMail(socketserver.ThreadingTCPServer):
    """A mail server that refuses each login, and repeats what it got."""

    allow_reuse_address = daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 here\r\n")
            given = b""
            for line in self.rfile:
                if line.upper().startswith(b"EHLO"):
                    self.wfile.write(b"250-here\r\n250 AUTH LOGIN\r\n")
                elif line.upper().startswith(b"AUTH"):
                    self.wfile.write(b"334 UGFzc3dvcmQ6\r\n")
                    given = self.rfile.readline().strip()
                    self.wfile.write(b"535 wrong password " + given + b"\r\n")
                elif line.upper().startswith(b"QUIT"):  # this answer, which is none of QUIT, is an error as well
                    self.wfile.write(b"250 wrong password " + given + b"\r\n")
                else:
                    self.wfile.write(b"250 ok\r\n")

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


def test_a_remote_server_that_repeats_its_token(search, repeating):
    writer = RemoteWriter(repeating, lambda: mark("remote-write", OF))
    with pytest.raises(NovaCronError) as caught:
        writer._post(b"x", {})
    assert "invalid ***" in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("token", ["{}\r\nX-Injected: 1", "{}\n", "{}\u20ac", "{}\x00"])
def test_a_token_that_no_header_may_have(search, repeating, token):
    """Python's own error about it repeats the header."""
    value = token.format(mark("sink", OF))
    writer = RemoteWriter(repeating, lambda: value)
    with pytest.raises(NovaCronError, match="Authorization"):
        writer._post(b"x", {})


def test_a_sink_that_repeats_its_token(search, repeating, site, told_by, rounds, monkeypatch):
    monkeypatch.setenv("NOVACRON_SECRET_HOOK", mark("sink", OF))
    site.fleet.alerts.load("own", told_by(repeating, token="hook"))
    rounds(site.fleet.alerts.notifier(None), 95)
    (waiting,) = site.fleet.alerts.waiting()
    assert "403 no ***" in waiting.error
    site.close()
    search.look_at_files(site.state.path)


def test_a_mail_server_that_repeats_the_password(search, site, told_by, rounds, monkeypatch):
    monkeypatch.setenv("NOVACRON_SECRET_MAIL", mark("smtp", OF))
    with RefusingMail() as server:
        sink = {"type": "email", "to": "a@b", "from": "a@b", "server": f"127.0.0.1:{server.server_address[1]}", "tls": "none"}
        content = told_by("http://127.0.0.1:9/")
        content["receivers"][0]["sinks"] = [sink | {"user": "novacron", "password": "mail"}]
        site.fleet.alerts.load("own", content)
        rounds(site.fleet.alerts.notifier(None), 95)
        (waiting,) = site.fleet.alerts.waiting()
        assert "wrong password ***" in waiting.error
        server.shutdown()
    site.close()
    search.look_at_files(site.state.path)


def test_the_password_and_the_key_of_the_database(search, tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_SECRET_DATABASE_KEY", mark("database-key", OF))
    with Site(tmp_path / "state") as site:
        site.connect("sim://marked-key").vms.create(name="web1")
        search.look("a repr", f"{site!r} {site.database!r} {site.secrets!r}")
    search.look_at_files(tmp_path / "state")
    monkeypatch.setenv("NOVACRON_DATABASE", f"postgresql://novacron:{mark('postgresql', OF)}@127.0.0.1:1/x")
    with Site(tmp_path / "state2") as site, pytest.raises(NovaCronError) as caught:
        site.fleet.list()
    search.look("an error", f"{caught.value} {caught.value!r} {caught.value.as_dict()}")
    search.look_at_files(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_where_it_leaks(kind, tmp_path):
    """The search itself: a secret of each kind in a log, an error and a file."""
    search = SecretSearch("leak")
    with search.watching():
        logging.getLogger("x").warning("%s", mark(kind, "leak"))
        NovaCronError(f"refused {mark(kind, 'leak')}")
    (tmp_path / "x").write_text(mark(kind, "leak"))
    search.look_at_files(tmp_path)
    assert [found.split(" in ")[0] for found in search.found] == [kind] * 3
