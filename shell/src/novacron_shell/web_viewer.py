"""noVNC in a browser for a VNC display: a web server on this machine's loopback that passes a web socket on to the display.

noVNC's files come from the package `novnc` of the distribution, the web sockets from the extra `web` of this one.
"""

from __future__ import annotations

import mimetypes
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from novacron.errors import InvalidStateError, UnsupportedOperationError

if TYPE_CHECKING:
    from websockets.http11 import Request, Response
    from websockets.sync.server import ServerConnection

FOLDERS = ("/usr/share/novnc", "/usr/share/webapps/novnc", "/usr/local/share/novnc")
"""Where distributions install noVNC. NOVACRON_NOVNC names another folder."""
PAGE = "vnc.html"
SOCKET = "websockify"
"""The path of the web socket, as noVNC calls it."""
CHUNK = 65536
CLOSE_TIMEOUT = 1.0
"""Seconds that a browser has to close its side of a connection."""


@contextmanager
def web_page(display: str, *, title: str = "") -> Iterator[str]:
    """Yield the address of a page that shows a display. The server ends with the context.

    The address has a random token. Without it the server answers neither other users of this machine nor other pages in the browser.

    Args:
        display: the URL of the display, such as "vnc://127.0.0.1:5900".
        title: the VM's name, for errors.

    Raises:
        UnsupportedOperationError: the display is not VNC.
        InvalidStateError: noVNC or the package websockets is not installed.
    """
    place = urlsplit(display)
    if place.scheme != "vnc":
        raise UnsupportedOperationError(
            f"the display of {title!r} is {place.scheme}, and noVNC shows VNC only",
            resource=title,
            hint="set display.type=vnc, or use `novacron viewer` without --web",
            outcome="not_sent",
        )
    try:
        from websockets.sync.server import serve
        from websockets.typing import Origin
    except ImportError:
        raise InvalidStateError(
            "the package websockets is not installed", hint="pip install 'novacron-shell[web]'", outcome="not_sent"
        ) from None
    site = _Site(novnc_folder(), secrets.token_urlsafe(24), (place.hostname or "127.0.0.1", place.port or 5900))
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with serve(
        site.connected,
        sock=listener,
        process_request=site.answer,
        origins=[Origin(origin)],
        compression=None,
        close_timeout=CLOSE_TIMEOUT,
    ) as server:
        thread = threading.Thread(target=server.serve_forever, name="novacron-web-viewer", daemon=True)
        thread.start()
        try:
            yield f"{origin}/{site.token}/{PAGE}?autoconnect=true&resize=scale&path={site.token}/{SOCKET}"
        finally:
            server.shutdown()
            thread.join()


def novnc_folder() -> Path:
    """Return the folder with noVNC's files.

    Raises:
        InvalidStateError: it is not installed.
    """
    for folder in filter(None, (os.environ.get("NOVACRON_NOVNC"), *FOLDERS)):
        if (Path(folder) / PAGE).is_file():
            return Path(folder).resolve()
    raise InvalidStateError(
        "noVNC is not installed",
        hint="install the package novnc, or let NOVACRON_NOVNC name a folder with its files",
        outcome="not_sent",
    )


class _Site:
    """What the server serves: noVNC's files, and the display behind a web socket. Both only below the token."""

    def __init__(self, folder: Path, token: str, display: tuple[str, int]) -> None:
        self._folder, self.token, self._display = folder, token, display

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return a file, or an error; None lets the web socket be opened."""
        token, _, path = urlsplit(request.path).path.lstrip("/").partition("/")
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return connection.respond(HTTPStatus.FORBIDDEN, "the address has no valid token\n")
        if path == SOCKET:
            return None
        file = (self._folder / unquote(path)).resolve()
        if not file.is_relative_to(self._folder) or not file.is_file():
            return connection.respond(HTTPStatus.NOT_FOUND, "no such file\n")
        response = connection.respond(HTTPStatus.OK, "")
        response.body = file.read_bytes()
        del response.headers["Content-Type"], response.headers["Content-Length"]
        response.headers["Content-Type"] = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        response.headers["Content-Length"] = str(len(response.body))
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def connected(self, browser: ServerConnection) -> None:
        """Pass data on between a browser and the display until one of them ends."""
        from websockets.exceptions import ConnectionClosed

        try:
            display = socket.create_connection(self._display, timeout=10)
        except OSError as error:
            browser.close(1011, f"the display can't be reached: {error.strerror or 'no answer'}"[:120])
            return
        display.settimeout(None)
        back = threading.Thread(target=_to_browser, args=(display, browser), name="novacron-web-display", daemon=True)
        back.start()
        with display, suppress(ConnectionClosed, OSError):
            for message in browser:
                display.sendall(message.encode() if isinstance(message, str) else message)
            display.shutdown(socket.SHUT_RDWR)
        back.join()


def _to_browser(display: socket.socket, browser: ServerConnection) -> None:
    from websockets.exceptions import ConnectionClosed

    with suppress(ConnectionClosed, OSError):
        while data := display.recv(CHUNK):
            browser.send(data)
    browser.close()


__all__ = ["novnc_folder", "web_page"]
