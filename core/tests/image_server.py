"""A local web server for tests of downloads: ranges, ETags, connections that break, and files that change."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ImageServer:
    """Serves `files` (path to bytes) on loopback.

    Attributes:
        files: what is served, by path.
        requests: the paths that were asked for, each with its Range header.
        cut_after: bytes after which an answer breaks off, once; None for whole answers.
        gate: when set to an event, an answer waits for it after its first bytes.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.cut_after: int | None = None
        self.gate: threading.Event | None = None
        self.began = threading.Event()
        self.status: int | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server.requests.append((self.path, self.headers.get("Range")))
                if server.status or self.path not in server.files:
                    self.send_error(server.status or 404)
                    return
                data = server.files[self.path]
                tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
                if self.headers.get("If-None-Match") == tag:
                    self.send_response(304)
                    self.end_headers()
                    return
                start = 0
                wanted = self.headers.get("Range")
                if wanted and self.headers.get("If-Range") == tag:
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data) - start))
                self.send_header("ETag", tag)
                self.end_headers()
                end, server.cut_after = server.cut_after, None
                self.wfile.write(data[start : start + 1000])
                server.began.set()
                if server.gate is not None:
                    server.gate.wait(30)
                if end is not None:
                    self.wfile.write(data[start + 1000 : start + end])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(2)
                    return
                self.wfile.write(data[start + 1000 :])

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self.gate is not None:
            self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
