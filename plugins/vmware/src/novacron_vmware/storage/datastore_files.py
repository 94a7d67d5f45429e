"""Files in datastores: sent and fetched over HTTPS, within the session."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlencode

from novacron.errors import AccessDeniedError, ImageNotFoundError, InvalidSpecError, SpecProblem, StorageError
from novacron.jobs import Job
from novacron_vmware.answers import received
from novacron_vmware.devices import split_path
from novacron_vmware.errors import translated

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

CHUNK = 1024 * 1024
SMALL = 64 * 2**20
"""Bytes of a file that is read into memory."""


def url_of(path: str, datacenter: str) -> str:
    """Return the URL's path of a file.

    Example:
        >>> url_of("[store 1] web/web.vmdk", "DC0")
        '/folder/web/web.vmdk?dcPath=DC0&dsName=store+1'
    """
    store, name = split_path(path) or ("", path)
    return f"/folder/{quote(name)}?{urlencode({'dcPath': datacenter, 'dsName': store})}"


@contextmanager
def _request(
    connection: VMwareConnection,
    verb: str,
    path: str,
    datacenter: str,
    body: Any = None,
    size: int | None = None,
    part: tuple[int, int | None] = (0, None),
) -> Iterator[http.client.HTTPResponse]:
    session = connection.session
    headers = session.headers() | (
        {"Content-Length": str(size), "Content-Type": "application/octet-stream"} if size is not None else {}
    )
    if part != (0, None):
        headers["Range"] = f"bytes={part[0]}-{'' if part[1] is None else part[0] + part[1] - 1}"
    with translated(path):
        web = session.web(limited=False)
        try:
            web.request(verb, url_of(path, datacenter), body=body, headers=headers)
            answer = web.getresponse()
            if answer.status == http.client.NOT_FOUND:
                raise ImageNotFoundError(f"no file {path!r}", resource=path)
            if answer.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
                raise AccessDeniedError(f"no access to {path!r}", resource=path)
            if answer.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise InvalidSpecError(
                    "no such part of the file",
                    resource=path,
                    problems=[SpecProblem("offset", str(part[0]), "less than its size")],
                )
            if part != (0, None) and answer.status != http.client.PARTIAL_CONTENT:
                raise StorageError(f"the server gives no parts of {path!r}", resource=path, hint="download the whole file")
            if answer.status >= http.client.BAD_REQUEST:
                raise StorageError(f"can't {verb} {path!r}: {answer.status} {answer.reason}", resource=path)
            yield answer
        finally:
            web.close()


def read_file(connection: VMwareConnection, path: str, datacenter: str) -> bytes:
    """Return the content of a small file, at most `SMALL` bytes. Raises ImageNotFoundError, StorageError for a larger one."""
    with _request(connection, "GET", path, datacenter) as answer:
        content = answer.read(SMALL + 1)
        if len(content) > SMALL:
            raise StorageError(f"{path!r} has more than {SMALL} bytes", resource=path, outcome="failed")
        return content


def fetch(
    connection: VMwareConnection,
    path: str,
    datacenter: str,
    target: BinaryIO,
    job: Job[Any],
    part: tuple[int, int | None] = (0, None),
    most: int | None = None,
) -> int:
    """Write a file's content to `target` and return how many bytes it had; a cancelled job ends it.

    Args:
        part: the first byte and the number of bytes; None for all that follow.
        most: the most bytes that the file can have; None if that is not known.
    """
    with _request(connection, "GET", path, datacenter, part=part) as answer:
        total, done = answer.length or 0, 0
        for chunk in received(answer, repr(path), part[1] if most is None else most):
            job.raise_if_cancelled()
            target.write(chunk)
            done += len(chunk)
            job.report("downloading", done / total if total else None, transferred_bytes=done, total_bytes=total or None)
        return done


def send(connection: VMwareConnection, path: str, datacenter: str, source: BinaryIO, size: int, job: Job[Any]) -> None:
    """Write `size` bytes of `source` into a file, which is made or replaced; a cancelled job breaks it off."""

    def content() -> Iterator[bytes]:
        done = 0
        while done < size:
            job.raise_if_cancelled()
            chunk = source.read(min(CHUNK, size - done))
            if not chunk:
                chunk = bytes(min(CHUNK, size - done))  # a volume keeps its size; what was not sent is zero
            done += len(chunk)
            job.report("uploading", done / size, transferred_bytes=done, total_bytes=size)
            yield chunk

    with _request(connection, "PUT", path, datacenter, content(), size) as answer:
        answer.read(CHUNK)  # what it says of it is not needed


__all__ = ["fetch", "read_file", "send", "url_of"]
