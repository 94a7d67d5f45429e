"""Volumes through libvirt's streams, holes kept: what is not there is neither read, sent nor written."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import libvirt

from novacron.errors import NovaCronError, StorageError
from novacron.image_headers import EXAMINED
from novacron.jobs import Job
from novacron_kvm.errors import mapped
from novacron_kvm.storage.busy_pools import wait_until_free

CHUNK = 262_120
"""Bytes in a message: the most that libvirt sends in one. (Its own loops for Python send a quarter of that.)"""
AT_HOLE = -3
"""What libvirt returns in place of data when a hole is next."""


def left_in(source: BinaryIO) -> int | None:
    """Return how many bytes a file has from where it stands, None when it can't tell."""
    try:
        here = source.tell()
        end = source.seek(0, os.SEEK_END)
        source.seek(here)
    except (OSError, ValueError, AttributeError):
        return None
    return end - here


def upload(connection: Any, volume: Any, source: BinaryIO, job: Job[Any]) -> None:
    """Write a file's content into a volume, from where the file stands. It begins when libvirt opens the volume for nobody else.

    Raises:
        StorageError: the file could not be read; the volume then has a part of it, as after a cancel.
    """
    size, transfer = left_in(source), _Transfer(job)
    holes = size is not None and _has_descriptor(source)

    def begun() -> Any:
        stream = connection.newStream(0)
        volume.upload(stream, 0, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM if holes else 0)
        return stream

    stream = wait_until_free(begun)
    with transfer.on(stream):
        if holes:
            _send_sparse(stream, source, size or 0, transfer)
            return
        while data := source.read(CHUNK):
            _send(stream, data)
            transfer.did(len(data), size)


def _send_sparse(stream: Any, source: BinaryIO, size: int, transfer: _Transfer) -> None:
    descriptor, here = source.fileno(), source.tell()
    end = here + size
    while here < end:
        try:
            data = min(os.lseek(descriptor, here, os.SEEK_DATA), end)
        except OSError:
            data = end  # a hole up to the end
        if data > here:
            stream.sendHole(data - here)
            transfer.did(data - here, size)
        here = data
        hole = min(os.lseek(descriptor, here, os.SEEK_HOLE), end) if here < end else end
        while here < hole:
            # by position: looking for holes moves the descriptor, which a buffered file does not expect
            piece = os.pread(descriptor, min(CHUNK, hole - here), here)
            if not piece:
                return  # somebody has cut the file off meanwhile
            _send(stream, piece)
            here += len(piece)
            transfer.did(len(piece), size)


def _send(stream: Any, data: bytes) -> None:
    sent = stream.send(data)
    while sent < len(data):
        sent += stream.send(data[sent:])


def download(connection: Any, volume: Any, target: BinaryIO, job: Job[Any], *, most: int = 0, longest: int | None = None) -> None:
    """Write a volume's content to a file, from where the file stands; holes are left out where the file can seek.

    Args:
        connection: libvirt's connection.
        volume: libvirt's volume.
        target: the file.
        job: gets the progress.
        most: how many bytes to read from the volume's beginning; 0 for all.
        longest: how many bytes the volume can have; None if it may grow meanwhile.

    Raises:
        StorageError: the file could not be written, or the host sends more than the volume can have. The file has a part of the
            content then, as after a cancel.
    """
    size, transfer = int(volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2]), _Transfer(job)
    holes = _has_descriptor(target) and target.seekable()
    stream = connection.newStream(0)
    volume.download(stream, 0, most, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM if holes else 0)

    with transfer.on(stream):
        while True:
            data = stream.recvFlags(CHUNK, libvirt.VIR_STREAM_RECV_STOP_AT_HOLE) if holes else stream.recv(CHUNK)
            if data == AT_HOLE:
                length = stream.recvHole()
                target.seek(length, os.SEEK_CUR)
                transfer.did(length, size)
            elif data:
                target.write(data)
                transfer.did(len(data), size)
            else:
                break
            if longest is not None and transfer.done > longest:
                raise StorageError(
                    f"the host sends more of {volume.name()!r} than the {longest} bytes that it can have",
                    resource=volume.name(),
                    hint="is this host what it says it is?",
                    outcome="failed",
                )
        if holes:
            target.truncate()
        target.flush()


def read_beginning(connection: Any, volume: Any) -> bytes:
    """Return the first EXAMINED bytes of a volume; nothing where libvirt can't read volumes, such as in its test driver."""
    content = io.BytesIO()
    try:
        download(connection, volume, content, Job("volume_get", volume.name()), most=EXAMINED)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
    return content.getvalue()


def relay(source: Any, volume: Any, destination: Any, target: Any, job: Job[Any]) -> None:
    """Send a volume's bytes from one host to another's volume, which is as long already; holes stay holes.

    Raises:
        NovaCronError: the target then has a part of the content.
    """
    size, transfer = int(volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2]), _Transfer(job)
    down, up = source.newStream(0), destination.newStream(0)
    volume.download(down, 0, 0, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)
    with transfer.on(down):
        target.upload(up, 0, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        with transfer.on(up):
            while data := down.recvFlags(CHUNK, libvirt.VIR_STREAM_RECV_STOP_AT_HOLE):
                if data == AT_HOLE:
                    length = down.recvHole()
                    up.sendHole(length)
                    transfer.did(length, size)
                else:
                    _send(up, data)
                    transfer.did(len(data), size)


class _Transfer:
    """How much went through a stream; ends it when the job is cancelled."""

    def __init__(self, job: Job[Any]) -> None:
        self.job, self.done = job, 0
        self._stopped: NovaCronError | None = None

    def did(self, count: int, size: int | None) -> None:
        self.done += count
        self.job.report("transferring", min(1.0, self.done / size) if size else None, bytes=self.done)
        try:
            self.job.raise_if_cancelled()
        except NovaCronError as error:
            self._stopped = error
            raise

    @contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        """Finish a stream at the block's end, or abort it when the block failed; its errors are ours then."""
        try:
            yield
        except BaseException as error:
            try:
                stream.abort()
            except libvirt.libvirtError:
                pass  # libvirt did already
            if self._stopped is not None:
                raise self._stopped from None
            if isinstance(error, libvirt.libvirtError):
                raise mapped(error) from error
            if isinstance(error, (OSError, ValueError)):
                raise StorageError(f"the file can't be used: {error}", hint="is there space, and is it open for this?") from error
            raise
        stream.finish()


def _has_descriptor(file: BinaryIO) -> bool:
    try:
        file.fileno()
    except (OSError, io.UnsupportedOperation, AttributeError):
        return False
    return True


__all__ = ["download", "left_in", "read_beginning", "relay", "upload"]
