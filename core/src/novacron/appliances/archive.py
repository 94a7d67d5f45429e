"""The archive of an appliance: a tar file with the description, a manifest of checksums, and the disks, in this order."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from novacron.appliances.ovf import ApplianceDisk, Description, read, written
from novacron.errors import InvalidSpecError, SpecProblem

DESCRIPTION_MOST = 16 * 2**20
"""Size limit of a description, in bytes."""
MANIFEST_MOST = 2**20
"""Size limit of a manifest or a certificate, in bytes."""
MEMBERS_MOST = 4096
"""Limit for the number of files in an archive."""
HEADERS_MOST = 4 * 2**20
"""Limit for the bytes between two files of an archive: tar headers and padding."""
CHUNK = 2**20


def write(
    target: BinaryIO, description: Description, files: Sequence[Path], progress: Callable[[int], None] = lambda done: None
) -> None:
    """Write an appliance with these disk files, named as in the description. `target` is only written, so it can be a pipe."""
    text = written(description)
    sums = {f"{description.name}.ovf": hashlib.sha256(text).hexdigest()}
    for file in files:
        with file.open("rb") as content:
            sums[file.name] = hashlib.file_digest(content, "sha256").hexdigest()
    manifest = "".join(f"SHA256({name})= {digest}\n" for name, digest in sums.items()).encode()
    done = 0
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in ((f"{description.name}.ovf", text), (f"{description.name}.mf", manifest)):
            _put(archive, name, len(data), io.BytesIO(data))
        for file in files:
            with file.open("rb") as content:
                _put(archive, file.name, file.stat().st_size, content)
            done += file.stat().st_size
            progress(done)


def _put(archive: tarfile.TarFile, name: str, size: int, content: BinaryIO) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, content)


class Archive:
    """An appliance that is read from start to end: the description, then one disk after another.

    Raises:
        InvalidSpecError: it is not a tar file, its first file is not a description, or its content is inconsistent.
    """

    def __init__(self, source: BinaryIO) -> None:
        with _as_spec_error():
            self._metered = _Metered(_plain(source))
            self._members = 0
            self._archive = tarfile.open(fileobj=cast(Any, self._metered), mode="r|")  # noqa: SIM115 - read on in disks()
            first = self._next()
            if first is None or not first.name.endswith(".ovf"):
                raise _bad("the first file", first.name if first else "none", "the description, *.ovf")
            self.text = self._content(first)
        self.description = read(self.text)
        self._sums = {first.name: _digests(self.text)}
        self._said: dict[str, tuple[str, str]] = {}

    def disks(self) -> Iterator[tuple[ApplianceDisk, BinaryIO, int]]:
        """Yield each disk that has a file, with its content and length. Read the content before requesting the next disk.

        Raises:
            InvalidSpecError: a disk is missing, or does not match the manifest (raised after the last one).
        """
        wanted = {disk.file: disk for disk in self.description.disks if disk.file}
        with _as_spec_error():
            while wanted or not self._said:
                member = self._next()
                if member is None:
                    break
                if not member.isfile() or member.issparse() or "/" in member.name:
                    raise _bad("a member", member.name, "a plain file")
                if member.name.endswith(".mf"):
                    self._said = _manifest(self._content(member, MANIFEST_MOST))
                elif member.name in wanted:
                    disk = wanted.pop(member.name)
                    content = _Hashing(cast(BinaryIO, self._archive.extractfile(member)))
                    plain = gzip.GzipFile(fileobj=content) if disk.compressed else content
                    yield disk, cast(BinaryIO, plain), member.size
                    content.drain()
                    self._sums[member.name] = content.digests()
                elif member.size > DESCRIPTION_MOST:  # a compressed archive can claim terabytes at no cost
                    raise _bad(member.name, f"{member.size} bytes", f"at most {DESCRIPTION_MOST}, because it is not a disk")
        if wanted:
            raise _bad("the disks", ", ".join(sorted(wanted)), "in the appliance")
        for name, (algorithm, digest) in self._said.items():
            if name in self._sums and self._sums[name].get(algorithm) != digest:
                raise _bad("the manifest", f"{algorithm.upper()}({name})", "as the file: one of them was changed or cut off")

    def _next(self) -> tarfile.TarInfo | None:
        """Return the next file. The headers before it have a size limit here; the tar format has none."""
        found = self._archive.next()
        self._members += 1
        if self._members > MEMBERS_MOST:
            raise _bad("the files", str(self._members), f"at most {MEMBERS_MOST}")
        if found is not None:
            cast(Any, self._archive).members.clear()  # tarfile keeps them all
            self._metered.left = found.size + HEADERS_MOST
        return found

    def _content(self, member: tarfile.TarInfo, most: int = DESCRIPTION_MOST) -> bytes:
        if member.size > most:
            raise _bad(member.name, f"{member.size} bytes", f"at most {most}")
        found = self._archive.extractfile(member)
        return found.read() if found else b""


def _plain(source: BinaryIO) -> BinaryIO:
    """Return the content of a file, decompressed if it is compressed with gzip or bzip2."""
    begun = source.read(4)
    whole = cast(BinaryIO, _Begun(begun, source))
    if begun.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=whole))
    return cast(BinaryIO, bz2.BZ2File(whole)) if begun.startswith(b"BZh") else whole


class _Begun(io.RawIOBase):
    """A file whose first bytes were read already."""

    def __init__(self, begun: bytes, rest: BinaryIO) -> None:
        self._begun, self._rest = begun, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._begun:
            found, self._begun = (self._begun, b"") if size < 0 else (self._begun[:size], self._begun[size:])
            return found
        return self._rest.read(size)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Metered(io.RawIOBase):
    """A file that allows to read at most `left` more bytes."""

    def __init__(self, content: BinaryIO) -> None:
        self._content, self.left = content, HEADERS_MOST

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._content.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _bad("a header", "too large", f"at most {HEADERS_MOST} bytes between two files")
        return data


class _Hashing(io.RawIOBase):
    """A file that computes the checksums of the bytes that are read."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self._hashes = [hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with _as_spec_error():
            data = self._content.read(size)
        for each in self._hashes:
            each.update(data)
        return data

    def drain(self) -> None:
        """Read the rest of the file for its checksum. A compressed archive can have a rest of terabytes."""
        left = HEADERS_MOST
        while data := self.read(CHUNK):
            left -= len(data)
            if left < 0:
                raise _bad("a disk", f"more than {HEADERS_MOST} bytes after its end", "at most that")

    def digests(self) -> dict[str, str]:
        return {each.name: each.hexdigest() for each in self._hashes}


ALGORITHMS = ("sha1", "sha256", "sha512")
"""Those that manifests use."""


def _digests(data: bytes) -> dict[str, str]:
    return {name: hashlib.new(name, data, usedforsecurity=False).hexdigest() for name in ALGORITHMS}


_CHECKSUM = re.compile(r"^[ \t]*(SHA1|SHA256|SHA512)[ \t]*\(([^\r\n]+?)\)[ \t]*=[ \t]*([0-9a-fA-F]+)[ \t]*\r?$", re.MULTILINE)
"""A line of a manifest. No part of it matches the end of a line, so that many empty lines take no long time."""


def _manifest(text: bytes) -> dict[str, tuple[str, str]]:
    lines = _CHECKSUM.findall(text.decode(errors="replace"))
    return {name: (algorithm.lower(), digest.lower()) for algorithm, name, digest in lines} or {"": ("", "")}


@contextmanager
def _as_spec_error() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise _bad("the file", str(error), "an OVA: a tar that is whole") from error


def _bad(field: str, given: Any, allowed: str) -> InvalidSpecError:
    return InvalidSpecError("that appliance can't be read", problems=[SpecProblem(field, str(given), allowed)])


__all__ = ["Archive", "write"]
