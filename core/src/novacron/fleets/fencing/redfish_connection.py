"""The HTTP connection to a BMC. Its answers are limited in size and time, and it can't send the password to another server."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from sushy.connector import Connector

LARGEST = 4 * 2**20
"""Bytes of one answer, uncompressed."""


class HostileAnswer(requests.RequestException):
    """An answer that no BMC gives. sushy does not repeat such a request, as it does after requests.ConnectionError."""


class LimitedAdapter(HTTPAdapter):
    """Sends requests to one server only, and reads limited answers.

    sushy follows every address in an answer, and requests reads answers without a limit.

    Args:
        url: an address of the server.
        seconds: how long one answer may take.
    """

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__()
        self._origin, self._seconds = _origin(url), seconds

    def send(self, request: Any, *arguments: Any, **more: Any) -> Any:
        """Send a request and read the answer. Raises HostileAnswer, or what requests raises when an answer can't be read."""
        if _origin(request.url or "") != self._origin:
            raise HostileAnswer("the BMC names an address of another server")
        response = super().send(request, *arguments, **more | {"stream": True})
        end, content = time.monotonic() + self._seconds, bytearray()
        try:
            while chunk := response.raw.read1(65536, decode_content=True):
                content += chunk
                if len(content) > LARGEST or time.monotonic() > end:
                    raise HostileAnswer("the answer of the BMC does not end")
        except urllib3.exceptions.HTTPError as error:
            response.close()
            raise requests.ConnectionError(error) from error
        except BaseException:
            response.close()
            raise
        response._content = bytes(content)
        return response


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def connector(url: str, *, verify: str | bool, timeout: float) -> Connector:
    """Return a connector of sushy to one server. It uses no credentials of `~/.netrc` and no proxy of the environment."""
    made = Connector(
        url, verify=verify, server_side_retries=0, default_request_timeout=timeout, connect_timeout=min(10.0, timeout)
    )
    session = made._session
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, LimitedAdapter(url, timeout))
    return made


__all__ = ["LARGEST", "connector"]
