"""Requests to servers of monitoring: certificates are checked, and redirects are not followed."""

from __future__ import annotations

import ssl
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from novacron.errors import StorageError


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect of a POST would lose its body, and one of a GET would let a guest choose what this machine asks."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def fetch(url: str, *, timeout: float, limit: int) -> bytes:
    """Return what a server says at an address; the whole answer may take `timeout` seconds and have `limit` bytes.

    Raises:
        StorageError: it is larger, redirects, or is no HTTP.
        OSError: the server can't be reached in time, or answered an error.
    """
    end, content = time.monotonic() + timeout, bytearray()
    opener = urllib.request.build_opener(_NoRedirects())
    try:
        with opener.open(url, timeout=timeout) as answer:
            while chunk := answer.read1(65536):
                content += chunk
                if len(content) > limit:
                    raise StorageError(f"the answer has more than {limit} bytes", hint="check the address")
                if time.monotonic() > end:
                    raise TimeoutError(f"the answer was not complete after {timeout:g} s")
    except (HTTPException, ValueError) as error:
        raise StorageError(f"the answer is no valid HTTP: {type(error).__name__}", hint="check the address") from error
    return bytes(content)


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, ca: str | None = None, limit: int = 1024) -> bytes:
    """Send a body, and return the beginning of the answer.

    Args:
        url: the address, which starts with http:// or https://; the caller has checked that.
        body: the content.
        headers: the headers.
        timeout: seconds that one network operation may take.
        ca: a PEM file with certificates to trust besides those of the system.
        limit: how many bytes of the answer are read.

    Raises:
        StorageError: a header has characters that no header may have, such as a line break in a token. It is not repeated.
        OSError: the server can't be reached (urllib.error.URLError), or answered an error (urllib.error.HTTPError).
    """
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise StorageError(
                f"the header {name} can't be sent: it has line breaks or other characters", hint="check the secret"
            )
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    opener = urllib.request.build_opener(_NoRedirects(), urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - the caller checked the scheme
    with opener.open(request, timeout=timeout) as answer:
        return bytes(answer.read(limit))


__all__ = ["fetch", "post"]
