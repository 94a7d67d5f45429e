"""Servers that answer what they should not: redirects, headers, lengths and pages that are no image."""

from __future__ import annotations

import socket
import threading

import pytest

import novacron
from novacron.errors import ImageError, NovaCronError, OperationCancelledError
from novacron.images import download
from novacron.jobs import Job

RAW = bytes(510) + b"\x55\xaa" + b"content" * 400


class Answering:
    """A server on loopback that answers each connection with the given bytes. `stays` keeps the connection open afterwards."""

    def __init__(self, *answers: bytes, stays: bool = False) -> None:
        self.answers, self.stays, self.requests = [*answers], stays, list[bytes]()
        self.answered, self._ended = threading.Event(), threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for answer in self.answers:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536))
                connection.sendall(answer)
                self.answered.set()
                if self.stays:
                    self._ended.wait(30)

    def close(self) -> None:
        self._ended.set()
        self._socket.close()


@pytest.fixture
def answering():
    made = []

    def start(*answers, **options):
        made.append(Answering(*answers, **options))
        return made[-1]

    yield start
    for server in made:
        server.close()


@pytest.fixture
def fetch(tmp_path):
    return lambda url: download.fetch(url, Job("fetch", "x"), folder=tmp_path / "cache")


def answer(*headers: str, body: bytes = RAW, status: str = "200 OK", length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else []), "Connection: close"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "FILE:///etc/passwd", "gopher://h/", "data:text/plain,x"]
)
def test_a_redirect_to_another_scheme_is_not_followed(answering, fetch, tmp_path, target):
    server = answering(answer(f"Location: {target}", status="302 Found"))
    with pytest.raises(ImageError):
        fetch(f"{server.url}/x.qcow2")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix == ".qcow2"]


def test_a_redirect_from_https_to_http_is_not_followed():
    handler, request = download._SafeRedirects(), download.urllib.request.Request("https://h/a.qcow2?sig=hunter2")

    class Body:
        def close(self):
            self.closed = True

    body = Body()
    with pytest.raises(ImageError, match="'http'") as caught:
        handler.redirect_request(request, body, 302, "Found", {}, "http://h/a.qcow2")
    assert body.closed
    assert "hunter2" not in str(caught.value)
    assert handler.redirect_request(request, body, 302, "Found", {}, "https://other/a.qcow2").full_url == "https://other/a.qcow2"


def test_a_redirect_that_leads_in_circles_ends(answering, fetch):
    server = answering(*[answer("Location: /x.qcow2", status="302 Found")] * 20)
    with pytest.raises(ImageError):
        fetch(f"{server.url}/x.qcow2")
    assert len(server.requests) <= 11


@pytest.mark.parametrize("length", ["9" * 5000, "²", "-1", "0x10", "1e9", ""])
def test_a_strange_length_is_no_defect(answering, fetch, length):
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n".encode("latin-1", "replace")
    server = answering(head + RAW)
    try:
        fetch(f"{server.url}/x.img")
    except ImageError:
        pass


@pytest.mark.parametrize("tag", ['"a\r\n b"', '"' + "x" * 5000 + '"', '"\x80\xff"', '"\x1b]0;x\x07"'])
def test_a_strange_etag_does_not_spoil_the_next_download(answering, fetch, tag):
    """It is sent back with the next request, which a line break in it would change."""
    server = answering(answer(f"ETag: {tag}"), answer())
    first = fetch(f"{server.url}/x.img")
    assert first.read_bytes() == RAW
    assert fetch(f"{server.url}/x.img").read_bytes() == RAW
    assert b"\n b" not in server.requests[1]


def test_a_long_name_is_no_defect(answering, fetch):
    server = answering(answer())
    assert fetch(f"{server.url}/{'n' * 3000}.img").read_bytes() == RAW


def test_a_server_that_sends_a_byte_now_and_then_can_be_cancelled(answering, tmp_path):
    server = answering(answer(length=False, body=b"x"), stays=True)

    class Cancelling(Job):
        def report(self, *arguments, **details):
            self.cancel()

    job = Cancelling("fetch", "x")
    with pytest.raises(OperationCancelledError):
        download.fetch(f"{server.url}/x.img", job, folder=tmp_path)


@pytest.mark.parametrize("status", ["500 \x1b]0;owned\x07", "404 " + "x" * 9000])
def test_a_hostile_reason_is_shown_as_text(answering, fetch, status):
    server = answering(answer(status=status, body=b""))
    with pytest.raises(NovaCronError) as caught:
        fetch(f"{server.url}/x.img")
    assert "\x1b" not in str(caught.value)


def test_a_page_that_is_no_image_is_not_repeated(answering, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server = answering(answer(body=b"hunter2 is the password"), answer(body=b"<!doctype html><p>hunter2"))
    host = novacron.connect("sim://hostile-server")
    for said in ("another kind", "an HTML page"):
        with pytest.raises(ImageError, match=said) as caught:
            host.images.pull(f"{server.url}/{said[:2]}.img", name="x")
        assert "hunter2" not in str(caught.value)
