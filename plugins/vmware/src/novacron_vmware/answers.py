"""Answers of a server are limited in size and time, so that a hostile or broken server can neither fill the memory nor block a call.

pyvmomi and `http.client` read whatever is sent: an endless body, one byte every few seconds, or a megabyte of gzip that becomes a
gigabyte of XML.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any

from novacron.errors import StorageError

MOST = 256 * 2**20
"""The largest answer in bytes, uncompressed. A page of 500 VMs with all their properties has some 30 MB."""
TIMES = 10
"""An answer may take this many times the timeout of one network operation, from its first byte to its last."""
CHUNK = 65536
PART = 2**20
"""Bytes of a file that are read at once."""


class _Received(io.RawIOBase):
    """What a socket receives, until the time for one answer is over."""

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb", buffering=0)
        self._seconds = (sock.gettimeout() or 60.0) * TIMES
        self._end: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._file.readinto(buffer)
        now = time.monotonic()
        self._end = self._end or now + self._seconds
        if now > self._end:
            raise TimeoutError(f"the answer was not complete after {self._seconds:g} s")
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class LimitedResponse(http.client.HTTPResponse):
    """A response of limited size and time. It is unpacked while it is read: a limit on the packed bytes would not limit the memory."""

    def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self.fp.close()
        self.fp = io.BufferedReader(_Received(sock))

    def begin(self) -> None:
        super().begin()
        self._count = 0
        packed = (self.headers.get("Content-Encoding") or "").lower() in ("gzip", "deflate")
        self._unpack: Any = zlib.decompressobj(zlib.MAX_WBITS | 32) if packed else None
        del self.headers["Content-Encoding"]

    def read(self, amt: int | None = None) -> bytes:
        if amt is None or amt < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        data = super().read(amt) if self._unpack is None else self._unpacked(amt)
        self._count += len(data)
        if self._count > MOST:
            self.close()
            raise http.client.HTTPException(f"the answer has more than {MOST} bytes")
        return data

    def _unpacked(self, amt: int) -> bytes:
        try:
            while not self._unpack.eof:
                received = self._unpack.unconsumed_tail or super().read(CHUNK)
                data: bytes = self._unpack.decompress(received, amt)
                if data or not received:
                    return data
        except zlib.error as error:
            raise http.client.HTTPException(f"the answer can't be unpacked: {error}") from error
        super().read(CHUNK)  # what follows the end; the connection can be used again
        return b""


class SoapResponse(LimitedResponse):
    """A response that must be XML. pyvmomi takes the page of a proxy for an empty answer: "nothing has changed"."""

    def begin(self) -> None:
        super().begin()
        kind = self.headers.get_content_type()
        if self.status == http.client.OK and "xml" not in kind:
            raise http.client.HTTPException(f"the answer is no XML but {kind}")


class LimitedConnection(http.client.HTTPSConnection):
    """An HTTPS connection for calls. Files are not limited: they take `http.client.HTTPSConnection`, in parts."""

    response_class = LimitedResponse


class SoapConnection(LimitedConnection):
    """An HTTPS connection for calls of pyvmomi."""

    response_class = SoapResponse


def received(answer: http.client.HTTPResponse, what: str, most: int | None = None) -> Iterator[bytes]:
    """Yield the content of a file in parts.

    Args:
        answer: the server's answer.
        what: what the file is, for errors.
        most: the most bytes that it can have; None if that is not known.

    Raises:
        StorageError: the file is longer than it can be, or ends before the length that the server gave.
    """
    length, done = answer.length, 0
    while chunk := answer.read(PART):
        done += len(chunk)
        if most is not None and done > most:
            raise StorageError(
                f"{what} has more than the {most} bytes that it can have", hint="is this a vCenter?", outcome="failed"
            )
        yield chunk
    if length is not None and done < length:
        raise StorageError(f"{what} ended after {done} of {length} bytes", hint="try it again", outcome="failed")


__all__ = ["MOST", "TIMES", "LimitedConnection", "SoapConnection", "received"]
