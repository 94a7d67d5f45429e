"""The entry points of the installed distributions. They are cached, because reading them takes longer than many commands.

`importlib.metadata` reads a file of every installed distribution, in 40 ms. The cache has only the groups of NovaCron. It is valid
as long as no folder of `sys.path` has changed: installing, upgrading or removing a distribution changes the folder that it is in.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any, TypeGuard
from zlib import crc32

import msgspec

from novacron.conversion import decode
from novacron.plugins.names import is_name
from novacron.state import make_private, open_private

PREFIX = "novacron"
"""The groups of entry points that are kept: this one, and those that begin with it and a dot."""
SETTLED = 2.0
"""Seconds. The cache is written only if all folders are older: two changes at nearly the same time may have the same time stamp."""
_log = logging.getLogger(__name__)


class InstalledDistribution(msgspec.Struct, frozen=True):
    """The distribution that an entry point belongs to."""

    name: str
    version: str


class InstalledEntryPoint(msgspec.Struct, frozen=True):
    """An entry point, with the attributes of `importlib.metadata.EntryPoint`. That class takes 18 ms to import."""

    group: str
    name: str
    value: str
    dist: InstalledDistribution | None = None

    @property
    def module(self) -> str:
        """The name of the module: "pkg.module" of "pkg.module:object.attribute"."""
        return self.value.partition(":")[0].strip()

    def load(self) -> Any:
        """Import the module and return it, or the object in it that the entry point names. Raises whatever the import raises."""
        path = self.value.partition(":")[2].partition("[")[0].strip()
        return reduce(getattr, filter(None, path.split(".")), import_module(self.module))


class InstalledEntryPoints(tuple[InstalledEntryPoint, ...]):
    """Entry points that can be selected by their group."""

    __slots__ = ()

    def select(self, *, group: str) -> InstalledEntryPoints:
        """Return the entry points of a group."""
        return InstalledEntryPoints(point for point in self if point.group == group)


class _Cache(msgspec.Struct):
    """The content of the file: the folders of `sys.path` with their time stamps, and what was found in them."""

    folders: list[tuple[str, int, int]]
    points: list[InstalledEntryPoint]


def installed_entry_points() -> InstalledEntryPoints:
    """Return NovaCron's entry points of all installed distributions, from the cache if nothing was installed since.

    Example:
        >>> sorted(point.name for point in installed_entry_points().select(group="novacron.drivers") if point.name == "sim")
        ['sim']
    """
    folders = _folders()
    cached = _read()
    if cached is not None and cached.folders == folders:
        return InstalledEntryPoints(cached.points)
    found = list(_scan())
    newest = max((changed for _, changed, _ in folders), default=0) / 1e9
    if time.time() - newest > SETTLED:
        _write(_Cache(folders, found))
    return InstalledEntryPoints(found)


def is_entry_point(origin: object) -> TypeGuard[InstalledEntryPoint]:
    """Return whether an object is an entry point. There are several classes: that of Python, and those of backports."""
    return all(hasattr(origin, name) for name in ("group", "value", "load"))


def _folders() -> list[tuple[str, int, int]]:
    """Return the entries of `sys.path` that exist, each with the time of its last change and its inode."""
    found = []
    for entry in sys.path:
        try:
            status = os.stat(entry or os.curdir)
        except OSError:
            continue
        found.append((entry, status.st_mtime_ns, status.st_ino))
    return found


def _scan() -> Iterator[InstalledEntryPoint]:
    """Read the entry points of all distributions. One whose metadata can't be read is left out; the others work."""
    from importlib.metadata import distributions, entry_points

    try:
        found = entry_points()
        yield from list(_of_novacron(point for group in found.groups for point in found.select(group=group)))
    except Exception:  # noqa: BLE001 - importlib.metadata raises what its parsers raise: of text, of lines, of missing fields
        seen = set[str]()
        for distribution in distributions():
            try:
                name = re.sub(r"[-_.]+", "-", distribution.name or "").lower()
                if name in seen:  # as Python does it: the first of the path is the one that is imported
                    continue
                yield from list(_of_novacron(distribution.entry_points))
                seen.add(name)
            except Exception:  # noqa: BLE001 - as above
                _log.exception("the metadata of a distribution can't be read: %r", getattr(distribution, "_path", distribution))


def _of_novacron(points: Iterable[Any]) -> Iterator[InstalledEntryPoint]:
    for point in points:
        if point.group == PREFIX or point.group.startswith(f"{PREFIX}."):
            if not (is_name(point.name) and is_name(point.group) and point.value.isprintable()):
                _log.error("an entry point is left out: its name or its value is not one line of text: %.100r", point.name)
                continue
            dist = point.dist
            about = (
                InstalledDistribution(*(each if is_name(each) else "?" for each in (dist.name, dist.version))) if dist else None
            )
            yield InstalledEntryPoint(point.group, point.name, point.value, about)


def _file() -> Path:
    """Return the cache file for this `sys.path`. The first entry differs between `novacron` and a script."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return cache / "novacron" / "entry-points" / f"{crc32(os.pathsep.join(sys.path).encode(errors='surrogatepass')):08x}.json"


def _read() -> _Cache | None:
    """Return the cache; None if there is none that can be trusted. What it names is imported, so only its owner may be able to write it."""
    try:
        with _file().open("rb") as file:
            status = os.fstat(file.fileno())
            if os.name == "posix" and (status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022):
                return None
            return decode(file.read(), _Cache)
    except (OSError, ValueError):
        return None


def _write(cache: _Cache) -> None:
    """Write the cache. Where that is impossible, each process scans again."""
    target = _file()
    part = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        make_private(target.parent)
        with os.fdopen(open_private(part, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(msgspec.json.encode(cache))
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)


__all__ = ["InstalledEntryPoint", "InstalledEntryPoints", "installed_entry_points", "is_entry_point"]
