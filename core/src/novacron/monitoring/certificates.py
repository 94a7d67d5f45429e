"""When TLS certificates of hosts expire."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

from novacron.plugins.driver import HostURI

TLS_PORTS = {"qemu+tls": 16514, "vsphere": 443}
"""The default port of each URI scheme that uses TLS."""


def expiry_of_host(uri: str) -> float | None:
    """Return when the TLS certificate of a host expires, in seconds since 1970; None if it has none, or it can't be read.

    Example:
        >>> expiry_of_host("sim://lab")
    """
    parsed = HostURI.parse(uri)
    port = parsed.port or TLS_PORTS.get(parsed.scheme)
    if parsed.scheme not in TLS_PORTS or parsed.host is None or port is None:
        return None
    return certificate_expiry(parsed.host, port)


def certificate_expiry(host: str, port: int, timeout: float = 5.0) -> float | None:
    """Return when the TLS certificate of a server expires, in seconds since 1970; None if it can't be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only the date is read, nothing is sent
    try:
        with socket.create_connection((host, port), timeout) as raw, context.wrap_socket(raw, server_hostname=host) as connection:
            certificate = connection.getpeercert(binary_form=True)
    except (OSError, ssl.SSLError):
        return None
    return None if certificate is None else not_after(certificate)


def not_after(certificate: bytes) -> float:
    """Return the end of a certificate's validity from its DER form, in seconds since 1970."""
    (_, inner), *_ = _elements(certificate)
    (_, signed), *_ = _elements(inner)
    fields = [field for field in _elements(signed) if field[0] != 0xA0]  # without the version
    validity = fields[3][1]
    kind, text = _elements(validity)[1]
    written = text.decode()
    if kind == 0x17:  # two digits of the year: RFC 5280 counts from 1950 to 2049
        written = ("19" if written[:2] >= "50" else "20") + written
    return datetime.strptime(written, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return type and content of each element of a DER sequence."""
    found, place = [], 0
    while place < len(data):
        kind, size, place = data[place], data[place + 1], place + 2
        if size & 0x80:
            count = size & 0x7F
            size, place = int.from_bytes(data[place : place + count], "big"), place + count
        found.append((kind, data[place : place + size]))
        place += size
    return found


__all__ = ["certificate_expiry", "expiry_of_host", "not_after"]
