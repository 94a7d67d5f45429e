"""A hostile vCenter: whatever it answers, a call ends with a result or a NovaCronError, in limited time and memory."""

from __future__ import annotations

import gzip
import http.client
import itertools
import os
import re
import ssl
import subprocess
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import novacron
from novacron import errors
from novacron.errors import NovaCronError
from novacron.handles.files import new_file
from novacron_lab.vcenter import VCenter
from novacron_vmware import answers, collector, inventory
from novacron_vmware.finder import Finder
from novacron_vmware.operations import appliances

MIB = 2**20
Answer = tuple[int, dict[str, str], bytes]


class HostileVCenter:
    """Forwards to a simulator. `change(path, request, answer)` returns another answer, or bytes that are sent as they are."""

    def __init__(self, vcenter: VCenter, folder: Path) -> None:
        self.password = vcenter.password
        self.change: Callable[[str, bytes, Answer], Answer | Iterable[bytes]] = lambda path, request, answer: answer
        self.requests: list[tuple[str, str, str | None]] = []
        """The verb, host and cookie of each request."""
        certificate, key = folder / "c.pem", folder / "k.pem"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command = ["openssl", "req", "-x509", *curve, "-days", "2", "-subj", "/CN=x", "-out", certificate, "-keyout", key]
        subprocess.run(command, check=True, capture_output=True)
        outer, trusting = self, ssl._create_unverified_context()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.headers.get("Host", ""), self.headers.get("Cookie")))
                web = http.client.HTTPSConnection("127.0.0.1", vcenter.port, timeout=30, context=trusting)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "accept-encoding")}
                web.request(self.command, self.path, body, headers)
                answer = web.getresponse()
                kept = {k: v for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "content-length")}
                changed = outer.change(self.path, body, (answer.status, kept, answer.read()))
                web.close()
                with suppress(OSError):
                    if isinstance(changed, tuple):
                        status, kept, content = changed
                        head = [f"HTTP/1.1 {status} x", *(f"{k}: {v}" for k, v in kept.items())]
                        head += [] if any(k.lower() == "content-length" for k in kept) else [f"Content-Length: {len(content)}"]
                        self.wfile.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + content)
                    else:
                        for part in changed:
                            self.wfile.write(part)
                        self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = _serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.uri = f"vsphere://administrator@127.0.0.1:{self.port}/DC0?verify=no"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server(vcenter, tmp_path_factory):
    server = HostileVCenter(vcenter, tmp_path_factory.mktemp("hostile"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def victim(server):
    """A host that was connected while the server behaved well."""
    with novacron.connect(server.uri, name="victim", password=server.password, timeout=20) as host:
        host.vms.list()
        yield host


@pytest.fixture(autouse=True)
def honest_again(server):
    yield
    server.change = lambda path, request, answer: answer


def head(*headers: str, status: str = "200 OK", kind: str = "text/xml") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers]).encode() + b"\r\n\r\n"


def endless(begin: bytes, again: bytes):
    """Return an answer of 2 GiB, which is no end for a test."""
    return itertools.chain([begin], itertools.repeat(again * (MIB // len(again)), 2048))


def refused(act, most: int = 96 * MIB) -> NovaCronError:
    tracemalloc.start()
    try:
        with pytest.raises(NovaCronError) as caught:
            act()
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    assert "defect of the driver" not in (caught.value.hint or "")
    return caught.value


def test_another_server_that_a_lease_names_does_not_get_the_session(victim, server, vcenter, tmp_path):
    vm = next(vm for vm in victim.vms.list() if vm.status == "running")
    vm.stop()

    def elsewhere(path, request, answer):
        status, headers, content = answer
        return status, headers, re.sub(rb"(<url>https://)[^/<]+", rb"\1localhost:%d" % server.port, content)

    server.change = elsewhere
    server.requests.clear()
    vm.export_appliance(tmp_path / "vm.ova")
    fetched = [request for request in server.requests if request[0] == "GET" and request[1].startswith("localhost")]
    assert fetched
    assert {cookie for _, _, cookie in fetched} == {None}
    assert any(cookie for _, host, cookie in server.requests if host.startswith("127.0.0.1"))
    vm.start()


SOAP = b'<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
BODIES = {
    "text": lambda: endless(head() + SOAP + b"<x>", b"x"),
    "elements": lambda: endless(head() + SOAP, b"<x></x>"),
    "chunks": lambda: endless(head("Transfer-Encoding: chunked"), b"46\r\n" + b"<x></x>" * 10 + b"\r\n"),
    "length": lambda: [head(f"Content-Length: {2**60}"), b"x" * 99],
    "lengths": lambda: [head("Content-Length: " + "9" * 5000), b"x" * 99],
    "gzip": lambda: endless(head("Content-Encoding: gzip"), gzip.compress(bytes(64 * MIB))),
    "not gzip": lambda: [head("Content-Encoding: gzip", "Content-Length: 4"), b"abcd"],
    "headers": lambda: endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "nothing": lambda: [b""],
    "no http": lambda: [b"220 mail.example.org ESMTP\r\n"],
    "entities": lambda: [
        head("Content-Length: 700"),
        (
            b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
            + b"".join(b'<!ENTITY %c "&%c;&%c;&%c;">' % (n, *[n - 1] * 3) for n in range(98, 112))
        ).ljust(690)[:690]
        + b"]><x>&o;</x>",
    ],
    "file": lambda: [
        head("Content-Length: 80"),
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xResponse>&a;'.ljust(80),
    ],
    "redirect": lambda: [head("Location: file:///etc/passwd", "Content-Length: 0", status="302 Found")],
    "not found": lambda: [head("Content-Length: 0", status="404 Not Found")],
    "html": lambda: [head("Content-Length: 13", kind="text/html"), b"<html></html>"],
}


@pytest.mark.parametrize("kind", BODIES)
def test_hostile_answers_end_a_call_with_an_error(server, victim, monkeypatch, kind):
    """Endless, huge, packed, broken: in limited memory, and the host works afterwards."""
    monkeypatch.setattr(answers, "MOST", 2 * MIB)
    server.change = lambda path, request, answer: BODIES[kind]() if path == "/sdk" else answer
    error = refused(victim.vms.list)
    assert isinstance(error, errors.HostConnectionError), error
    assert "root:" not in str(error)
    server.change = lambda path, request, answer: answer
    assert victim.vms.list()


@pytest.mark.parametrize("part", ["body", "headers", "continue"])
def test_an_answer_that_drips_ends(server, victim, monkeypatch, part):
    """Each byte comes within the timeout of one network operation, so that only a limit for the whole answer helps."""
    monkeypatch.setattr(answers, "TIMES", 0.05)

    def drip():
        yield {"body": head("Content-Length: 9999"), "headers": b"HTTP/1.1 200 OK\r\n", "continue": b""}[part]
        for _ in range(600):
            yield {"body": b"x", "headers": b"A: b\r\n", "continue": b"HTTP/1.1 100 Continue\r\n\r\n"}[part]
            time.sleep(0.05)

    server.change = lambda path, request, answer: drip() if path == "/sdk" else answer
    assert isinstance(refused(victim.vms.list), errors.OperationTimeoutError)


def test_an_answer_in_pages_that_do_not_end_is_refused(server, victim, monkeypatch):
    monkeypatch.setattr(collector, "MOST", 50)

    def page(path, request, answer):
        status, headers, content = answer
        if b"<RetrieveProperties" in request:
            server.page = content
        elif b"<ContinueRetrieve" in request:
            status, content = 200, server.page.replace(b"RetrievePropertiesExResponse", b"ContinueRetrievePropertiesExResponse")
        else:
            return answer
        return status, headers, re.sub(rb"(<returnval>)(<token>\w*</token>)?", rb"\1<token>1</token>", content, count=1)

    server.change = page
    assert "does not end" in str(refused(victim.native.task_list))


DISKS = {
    "endless": lambda: endless(head(kind="application/octet-stream"), b"x" * MIB),
    "chunks": lambda: endless(head("Transfer-Encoding: chunked"), b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "longer than it can be": lambda: (200, {}, b"x" * 8 * MIB),
    "cut": lambda: [head("Content-Length: 9999"), b"x"],
}


@pytest.mark.parametrize("kind", ["endless", "chunks", "longer than it can be"])
def test_a_downloaded_volume_is_no_longer_than_announced_and_nothing_stays(victim, server, honest_again, tmp_path, kind):
    name = f"long-{kind.partition(' ')[0]}"
    victim.pools.create_volume("LocalDS_0", name=name, capacity="2MiB")
    server.change = lambda path, request, answer: DISKS[kind]() if path.startswith("/folder/") else answer
    error = refused(lambda: victim.pools.download(name, tmp_path / "back.raw", "LocalDS_0"))
    assert f"more than the {2 * MIB} bytes" in str(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["endless", "chunks"])
def test_a_log_bundle_without_end_leaves_the_disk_a_reserve_and_nothing_stays(victim, server, honest_again, tmp_path, kind):
    """Nobody knows how long a bundle is, so that what is free on the disk is the limit."""
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("no file system can be mounted")
    try:
        server.change = lambda path, request, answer: DISKS[kind]() if answer[2].startswith(b"bundle of") else answer
        error = refused(lambda: _bundle(victim, tmp_path / "logs.tgz"))
        assert isinstance(error, errors.ResourceAllocationError)
        assert "stay free" in str(error)
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def _bundle(host, file):
    with new_file(file) as target:
        host.native.log_bundle(target)


@pytest.fixture
def stopped(victim):
    vm = next(vm for vm in victim.vms.list() if vm.status == "running")
    vm.stop()
    yield vm
    vm.start()


@pytest.mark.parametrize("kind", DISKS)
def test_an_exported_disk_is_no_longer_than_announced_and_nothing_stays(
    stopped, server, honest_again, tmp_path, monkeypatch, kind
):
    """Capacities of the simulator are too large to be sent here."""
    monkeypatch.setattr(appliances, "_most", lambda capacity: 4 * MIB)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server.change = lambda path, request, answer: DISKS[kind]() if path.startswith("/packed/") else answer
    error = refused(lambda: stopped.export_appliance(tmp_path / "vm.ova"))
    assert ("ended after" if kind == "cut" else "more than the") in str(error)
    assert list(tmp_path.iterdir()) == []


def test_more_disks_than_the_vm_has_are_refused_before_they_are_fetched(stopped, server, honest_again, tmp_path):
    def twice(path, request, answer):
        status, headers, content = answer
        return status, headers, re.sub(rb"(<deviceUrl>.*?</deviceUrl>)", rb"\1\1", content, flags=re.DOTALL)

    server.requests.clear()
    server.change = twice
    assert "disks" in str(refused(lambda: stopped.export_appliance(tmp_path / "vm.ova")))
    assert not [request for request in server.requests if request[0] == "GET"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("capacity", [0, 1, 2**20, 2**40])
def test_a_disk_that_does_not_get_smaller_may_be_packed(capacity):
    """A grain of 64 KiB has a header of 12 bytes, is filled up to a sector, and grows by up to 5 bytes for each 16 KiB."""
    grains = capacity // 65536 + 1
    assert appliances._most(capacity) > grains * (65536 + 12 + 20 + 512) + grains // 512 * 3 * 512 + 2**20


def test_vms_that_were_found_alone_are_not_kept_without_end(victim, server, monkeypatch):
    """A server that gives a VM another UUID each time it is asked."""
    monkeypatch.setattr(inventory, "ASKED_FOR", 10)
    kept, name = victim.dispatcher.driver.native.inventory, victim.vms.list()[0].name
    asked = itertools.count()

    def another(path, request, answer):
        status, headers, content = answer
        last = b"%012d" % next(asked)
        return status, headers, re.sub(rb"(instanceUuid</name><val[^>]*>[0-9a-f-]{24})[0-9a-f]{12}", rb"\g<1>" + last, content)

    server.change = another
    for _ in range(30):
        kept.find_known(name)
    assert 0 < len(kept._asked_for) <= 10


def test_an_object_that_is_above_itself_does_not_end_in_a_loop():
    known = {"a": {"name": "a", "parent": "b"}, "b": {"name": "b", "parent": "a"}}
    finder = Finder(SimpleNamespace(root="root", content=SimpleNamespace(rootFolder="root")))
    assert finder.path_in(known, "a") == "/b/a"
    assert not finder.within_root("a", known)
    assert finder.datacenter_in(known, "a") is None


VERSIONS = [b"", b"<a", b"<namespaces/>", b"<namespaces><namespace><version>99</version></namespace></namespaces>", b"\xff\xfe"]


@pytest.mark.parametrize("content", VERSIONS, ids=range(len(VERSIONS)))
def test_a_server_without_a_version_of_the_api_is_refused(server, content):
    server.change = lambda path, request, answer: (200, {}, content) if "Versions" in path else answer
    error = refused(lambda: novacron.connect(server.uri, name="v", password=server.password))
    assert "does not answer as vSphere" in str(error)


def test_the_document_of_versions_is_limited(server, monkeypatch):
    monkeypatch.setattr(answers, "MOST", 2 * MIB)
    server.change = lambda path, request, answer: endless(head(), b"<a></a>") if "Versions" in path else answer
    assert isinstance(
        refused(lambda: novacron.connect(server.uri, name="v", password=server.password)), errors.HostConnectionError
    )


REST = {
    "endless": lambda: endless(head(), b"x"),
    "gzip": lambda: endless(head("Content-Encoding: gzip"), gzip.compress(bytes(64 * MIB))),
    "not json": lambda: (200, {}, b"<html>"),
    "deep": lambda: (200, {}, b"[" * 10**6),
    "binary": lambda: (200, {}, b"\xff\xfe\x00"),
    "redirect": lambda: (302, {"Location": "file:///etc/passwd"}, b""),
}


@pytest.mark.parametrize("kind", REST)
def test_hostile_answers_of_the_rest_api_end_with_an_error(server, victim, monkeypatch, kind):
    monkeypatch.setattr(answers, "MOST", 2 * MIB)
    victim.native.library_list()
    server.change = lambda path, request, answer: REST[kind]() if "/content" in path or "/com/" in path else answer
    if kind == "redirect":
        try:
            victim.native.library_list()
        except NovaCronError:
            pass
        return
    refused(victim.native.library_list)


@pytest.mark.parametrize(
    "session", [b'"a\\r\\nX-Evil: 1"', b"[]", b"{}", b"null", b'{"value": {"a": 1}}', b'"\\u00e9"', b"x" * 99]
)
def test_a_session_of_the_rest_api_that_is_none_is_refused(server, session):
    """A line break in it would add a header to all requests."""
    server.change = lambda path, request, answer: (200, {}, session) if path.endswith("session") else answer
    with novacron.connect(server.uri, name="v", password=server.password) as host:
        refused(host.native.library_list)


TYPES = [
    "xsd:int",
    "xsd:string",
    "xsd:boolean",
    "xsd:dateTime",
    "xsd:base64Binary",
    "ArrayOfString",
    "Nope",
    "vim:x",
    "ManagedObjectReference",
]


@settings(max_examples=1000 if os.environ.get("NOVACRON_SOAK") else 12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_odd_types_and_values_end_with_a_result_or_an_error(server, victim, data):
    """Types, values and elements are exchanged in what a real simulator answers."""

    def change(path, request, answer):
        status, headers, content = answer
        if path != "/sdk":
            return answer
        kind = data.draw(st.sampled_from(["type", "value", "cut", "element"]))
        spots = [*re.finditer(rb'xsi:type="[^"]*"' if kind == "type" else rb">[^<]+<", content)]
        if spots and kind in ("type", "value"):
            spot = spots[data.draw(st.integers(0, len(spots) - 1))]
            new = (
                data.draw(st.sampled_from(TYPES))
                if kind == "type"
                else data.draw(st.sampled_from(["", "-1", "9" * 30, "x", "&#x85;"]))
            )
            made = f'xsi:type="{new}"' if kind == "type" else f">{new}<"
            content = content[: spot.start()] + made.encode() + content[spot.end() :]
        elif kind == "cut":
            content = content[: data.draw(st.integers(0, len(content)))]
        else:
            content = content.replace(b"<name>", b"<other>", 1).replace(b"</name>", b"</other>", 1)
        return status, headers, content

    server.change = change
    for act in (victim.vms.list, victim.nodes, victim.pools.list, victim.networks.list):
        try:
            act()
        except NovaCronError:
            pass
    server.change = lambda path, request, answer: answer
    victim.vms.list()
