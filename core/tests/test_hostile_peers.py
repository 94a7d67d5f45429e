"""Management controllers, metrics endpoints and mail servers that are hostile get no secret in clear, and their answers are limited."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
import time
import tracemalloc
from collections.abc import Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from sushy import connector

from novacron.errors import HostConnectionError, InvalidSpecError, InvalidStateError, NovaCronError
from novacron.fleets.fencing import redfish_connection
from novacron.fleets.fencing.redfish import Redfish
from novacron.monitoring import sources
from novacron.monitoring.otlp import OTLPWriter
from novacron.monitoring.remote import RemoteReader, RemoteWriter
from novacron.monitoring.sources import EndpointSource
from novacron.records.fencing import FenceTarget
from novacron.secrets import require_encryption

MIB = 2**20


class Server:
    """Answers each request by `answer(path)`: a status, headers and a body, or bytes that are sent as they are."""

    def __init__(self) -> None:
        self.answer, self.seen = lambda path: (200, {}, b""), []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def _serve(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, self.headers.get("Authorization")))
                answer = outer.answer(self.path)
                with suppress(OSError):
                    if isinstance(answer, tuple):
                        status, headers, body = answer
                        self.send_response(status)
                        for name, value in {"Content-Length": str(len(body)), **headers}.items():
                            self.send_header(name, value)
                        self.end_headers()
                        self.wfile.write(body)
                    else:
                        for part in answer:
                            self.wfile.write(part)

            do_GET = do_POST = do_PATCH = _serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def start():
    started = []

    def start():
        started.append(Server())
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def server(start):
    return start()


def endless(again: bytes, *headers: str) -> Iterable[bytes]:
    begin = "\r\n".join(["HTTP/1.1 200 OK", *headers]).encode() + b"\r\n\r\n"
    return itertools.chain([begin], itertools.repeat(again * (MIB // len(again)), 2048))


def drip(*headers: str) -> Iterable[bytes]:
    yield "\r\n".join(["HTTP/1.1 200 OK", *headers]).encode() + b"\r\n\r\n"
    for _ in range(400):
        yield b" "
        time.sleep(0.05)


def bounded(act) -> NovaCronError:
    tracemalloc.start()
    try:
        with pytest.raises(NovaCronError) as caught:
            act()
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()
    assert "hunter2" not in str(caught.value)
    return caught.value


def target(url: str, timeout: float = 10.0) -> FenceTarget:
    return FenceTarget(node="a", node_id="a", timeout=timeout, options={"url": url, "username": "admin", "password": "hunter2"})


def tree(**system) -> dict[str, bytes]:
    """Return the answers of a small BMC by path."""
    one = {"@odata.id": "/redfish/v1/Systems/1", "Id": "1", "Name": "x", "PowerState": "On", "Links": {}, **system}
    root = {
        "Id": "r",
        "Name": "r",
        "RedfishVersion": "1.6.0",
        "UUID": "0",
        "Systems": {"@odata.id": "/redfish/v1/Systems"},
        "Links": {},
    }
    many = {"Name": "s", "Members": [{"@odata.id": one["@odata.id"]}], "Members@odata.count": 1}
    found = {"/redfish/v1": root, "/redfish/v1/Systems": many, "/redfish/v1/Systems/1": one}
    return {path: json.dumps(value).encode() for path, value in found.items()}


def serve(server: Server, answers: dict[str, bytes]) -> None:
    server.answer = lambda path: (200, {"Content-Type": "application/json"}, answers.get(path.rstrip("/"), b"{}"))


def test_a_bmc_that_is_honest_is_read(server):
    serve(server, tree())
    assert Redfish().status(target(server.url)) == "on"


ANSWERS = {
    "endless": lambda: endless(b" "),
    "chunks": lambda: endless(b"1000\r\n" + b" " * 4096 + b"\r\n", "Transfer-Encoding: chunked"),
    "gzip": lambda: endless(gzip.compress(bytes(16 * MIB)), "Content-Encoding: gzip"),
    "length": lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{"],
    "not json": lambda: (200, {}, b"<html>"),
    "deep": lambda: (200, {}, b"[" * 10**6),
    "list": lambda: (200, {}, b"[]"),
    "null": lambda: (200, {}, b"null"),
    "numbers": lambda: (200, {}, b'{"Systems": 5, "Links": 7, "Id": []}'),
    "no http": lambda: [b"SSH-2.0-x\r\n"],
    "circle": lambda: (302, {"Location": "/loop"}, b""),
    "file": lambda: (302, {"Location": "file:///etc/passwd"}, b""),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_hostile_answers_of_a_bmc_end_with_an_error(server, monkeypatch, kind):
    """Also where only the system's own answer is hostile, which says whether the server is off."""
    good = tree()
    monkeypatch.setattr(connector.time, "sleep", lambda seconds: None)  # sushy's between two tries
    for hostile in ("/redfish/v1", "/redfish/v1/Systems", "/redfish/v1/Systems/1"):
        server.answer = lambda path, hostile=hostile: (
            ANSWERS[kind]() if path.rstrip("/") in (hostile, "/loop") else (200, {}, good.get(path.rstrip("/"), b"{}"))
        )
        if hostile.endswith("1") and kind in ("numbers",):
            continue
        bounded(lambda: Redfish().status(target(server.url)))


def test_an_answer_of_a_bmc_that_drips_ends(server):
    server.answer = lambda path: drip("Content-Length: 400")
    assert isinstance(bounded(lambda: Redfish().status(target(server.url, timeout=0.5))), HostConnectionError)


@pytest.mark.parametrize("way", ["root", "member", "redirect", "reset"])
def test_a_bmc_can_not_send_the_password_to_another_server(start, way):
    """sushy follows absolute addresses in answers, and adds the password to each request."""
    bmc, other = start(), start()
    reset = {"#ComputerSystem.Reset": {"target": f"{other.url}/x", "ResetType@Redfish.AllowableValues": ["ForceOff"]}}
    answers = tree(Actions=reset) if way == "reset" else tree()
    if way == "root":
        answers = {
            path: text.replace(b'"/redfish/v1/Systems"', f'"{other.url}/redfish/v1/Systems"'.encode())
            for path, text in answers.items()
        }
    if way == "member":
        answers["/redfish/v1/Systems"] = answers["/redfish/v1/Systems"].replace(
            b"/redfish/v1/Systems/1", f"{other.url}/1".encode()
        )
    serve(bmc, answers)
    if way == "redirect":
        bmc.answer = lambda path: (307, {"Location": f"{other.url}{path}"}, b"")
    serve(other, tree())
    bounded(lambda: Redfish().off(target(bmc.url)))
    assert bmc.seen
    assert other.seen == []


@pytest.mark.parametrize("state", ["Off ", "off", "OFF", 0, None, False, [], {}, ["Off"], "\u041eff", "Off\0"], ids=repr)
def test_only_the_exact_state_counts_as_off(server, state):
    serve(server, tree(PowerState=state))
    with suppress(NovaCronError):
        assert Redfish().status(target(server.url)) != "off"


def test_the_limit_of_a_bmc_leaves_room_for_real_answers():
    assert redfish_connection.LARGEST > MIB


@pytest.mark.parametrize("kind", ["endless", "chunks", "length", "no http", "file", "circle"])
def test_hostile_metrics_endpoints_end_with_an_error(server, monkeypatch, kind):
    monkeypatch.setattr(sources, "LARGEST", 4 * MIB)
    server.answer = lambda path: ANSWERS[kind]()
    bounded(EndpointSource("app", server.url, timeout=5).collect)


def test_a_metrics_endpoint_that_drips_ends(server):
    server.answer = lambda path: drip("Content-Length: 400")
    bounded(EndpointSource("app", server.url, timeout=0.5).collect)


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_metrics_endpoint_does_not_choose_what_else_is_asked(start, scheme):
    """A guest could read services that only this machine reaches."""
    guest, inner = start(), start()
    inner.answer = lambda path: (200, {}, b"up 1\n")
    guest.answer = lambda path: (302, {"Location": inner.url.replace("http", scheme, 1)}, b"")
    bounded(EndpointSource("app", guest.url).collect)
    assert inner.seen == []


SECRET = "a password"


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.org/",
        "http://10.0.0.1/",
        "http://localhost.example.org/",
        "//192.0.2.1:25",
        "http://[::2]/",
        "http://127.0.0.1.example.org",
    ],
)
def test_a_secret_is_not_sent_in_clear(monkeypatch, url):
    with pytest.raises(InvalidStateError, match="without encryption"):
        require_encryption(SECRET, url)
    monkeypatch.setenv("NOVACRON_CLEARTEXT_SECRETS", "1")
    require_encryption(SECRET, url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://[::1]/", "http://localhost/", "https://example.org/", "//127.0.0.1:25"]
)
def test_a_secret_may_go_to_this_machine_or_through_tls(url):
    require_encryption(SECRET, url)


def test_passwords_and_tokens_are_not_sent_in_clear(monkeypatch):
    """To an address of TEST-NET: a connection would end with another error."""
    refused = "without encryption"
    with pytest.raises(InvalidStateError, match=refused):
        Redfish().status(target("http://192.0.2.1"))
    for kind in (RemoteWriter, OTLPWriter):
        monkeypatch.setenv("NOVACRON_CLEARTEXT_SECRETS", "1")
        writer = kind("http://192.0.2.1/api/v1/write", token=lambda: "hunter2")
        monkeypatch.delenv("NOVACRON_CLEARTEXT_SECRETS")
        with pytest.raises(InvalidStateError, match=refused):
            writer._post(b"", {})


@pytest.mark.parametrize("kind", [RemoteWriter, OTLPWriter, RemoteReader])
def test_remote_storage_that_would_get_the_token_in_clear_is_refused_when_it_is_named(kind):
    with pytest.raises(InvalidSpecError, match="without encryption") as caught:
        kind("http://192.0.2.1/api/v1/write", token=lambda: "hunter2")
    assert [problem.path for problem in caught.value.problems] == ["url"]
    for url, token in (("http://192.0.2.1/x", None), ("http://127.0.0.1:9090/x", str), ("https://192.0.2.1/x", str)):
        assert kind(url, token=token).url == url


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "email", "to": "a@b", "from": "a@b", "server": "192.0.2.1", "tls": "none", "user": "u", "password": "mail"},
        {"type": "webhook", "url": "http://192.0.2.1/x", "token": "mail"},
        {"type": "alertmanager", "url": "http://192.0.2.1", "token": "mail"},
    ],
    ids=lambda sink: sink["type"],
)
def test_sinks_send_no_secret_in_clear(tmp_path, sink):
    from novacron.monitoring.alerting.sinks import Sinks

    notification = SimpleNamespace(title="t", text="x", key="k", alerts=[], status="firing", as_dict=dict)
    with pytest.raises(InvalidStateError, match="without encryption"):
        Sinks(tmp_path, lambda name: "hunter2", tuple, lambda *_: None).send(sink, notification)
