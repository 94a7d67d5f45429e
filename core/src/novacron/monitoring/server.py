"""The HTTP server of the exporter, with TLS and a token."""

from __future__ import annotations

import gzip
import hmac
import socket
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem, StorageError
from novacron.monitoring.exporter import Exporter
from novacron.threads import in_thread

SLOWEST = 10.0
"""Seconds that a client may take for its request, the TLS handshake included."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ExporterServer:
    """Answers HTTP requests with what an exporter has, in threads.

    Args:
        exporter: what is answered.
        listen: "ADDRESS:PORT"; port 0 takes a free one.
        certificate: a PEM file with the server's certificate and its chain; None for HTTP without TLS.
        key: a PEM file with the certificate's key.
        token: what clients must send as `Authorization: Bearer TOKEN`; None to serve everybody.
        open_to_all: allow an address other than the loopback without TLS and a token.

    Raises:
        InvalidSpecError: an invalid address, or one that others reach without TLS and a token.
        StorageError: the port is in use, or the certificate can't be read.

    Example:
        >>> import urllib.request
        >>> with ExporterServer(Exporter({}), "127.0.0.1:0") as server:
        ...     urllib.request.urlopen(f"{server.url}/-/healthy").read()
        b'healthy\\n'
    """

    def __init__(
        self,
        exporter: Exporter,
        listen: str = "127.0.0.1:9177",
        *,
        certificate: str | Path | None = None,
        key: str | Path | None = None,
        token: str | None = None,
        open_to_all: bool = False,
    ) -> None:
        address, port = _address(listen)
        if address not in LOOPBACK and not open_to_all and (token is None or certificate is None):
            problem = SpecProblem("listen", listen, "127.0.0.1, or TLS and a token; or say that it is open to all")
            raise InvalidSpecError("others could read the metrics", problems=[problem])
        context = None if certificate is None else _context(certificate, key)
        try:
            self._server = _Server((address, port), exporter, context, token)
        except OSError as error:
            raise StorageError(f"can't listen on {listen}: {error.strerror}", hint="choose another port") from error
        self._running = in_thread(self._server.serve_forever, "novacron-exporter")
        shown = f"[{address}]" if ":" in address else address
        self.url = f"{'http' if context is None else 'https'}://{shown}:{self._server.server_address[1]}"

    def __enter__(self) -> ExporterServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._running.result(SLOWEST)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], exporter: Exporter, context: ssl.SSLContext | None, token: str | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.exporter, self.context, self.token = exporter, context, token
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make the TLS handshake in the thread of the request: a client that hangs delays no other."""
        request.settimeout(SLOWEST)
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
        try:
            super().finish_request(request, client_address)
        finally:
            if self.context is not None:
                request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that go away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SLOWEST
    protocol_version = "HTTP/1.1"
    server_version = "NovaCron"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a request."""
        token = self.server.token
        given = self.headers.get("Authorization", "")
        if token is not None and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            self._send(401, "text/plain", b"a token is needed\n", {"WWW-Authenticate": "Bearer"})
            return
        reply = self.server.exporter.answer(self.path, {name.lower(): value for name, value in self.headers.items()})
        more = {}
        body = reply.body
        if "gzip" in self.headers.get("Accept-Encoding", "") and len(body) > 1024:
            body, more = gzip.compress(body, 1), {"Content-Encoding": "gzip"}
        self._send(reply.status, reply.type, body, more)

    def _send(self, status: int, kind: str, body: bytes, more: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no line for each request."""


def _address(listen: str) -> tuple[str, int]:
    address, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        problem = SpecProblem("listen", listen, "an address and a port, such as 127.0.0.1:9177")
        raise InvalidSpecError("can't listen there", problems=[problem])
    return address.strip("[]") or "127.0.0.1", int(port)


def _context(certificate: str | Path, key: str | Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise StorageError("the certificate or its key can't be read", hint=f"PEM files are needed; {error}") from error
    return context


__all__ = ["ExporterServer"]
