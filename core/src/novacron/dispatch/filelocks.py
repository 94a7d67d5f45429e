"""Locks shared by all processes that use the same state directory. The operating system releases them when a process ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from novacron.state import StateDirectory, open_private

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

PAUSE = 0.02
"""Seconds between two tries to get a lock."""


class FileLocks:
    """Locks by key, as files in the folder `locks` of the state directory. A file is deleted when its lock is released.

    Args:
        state: the state directory.
    """

    def __init__(self, state: StateDirectory) -> None:
        self._state = state

    @contextmanager
    def hold(self, key: str, remaining: Callable[[], float], refuse: Callable[[], BaseException]) -> Iterator[None]:
        """Hold a lock during the block.

        Args:
            key: name of the lock.
            remaining: returns the remaining time to wait, in seconds.
            refuse: returns the error to raise when no time is left.
        """
        if fcntl is None:  # pragma: no cover - Windows
            yield
            return
        path = self._path(key)
        descriptor = _locked(path)
        while descriptor is None:
            if remaining() <= 0:
                raise refuse()
            time.sleep(PAUSE)
            descriptor = _locked(path)
        try:
            yield
        finally:
            path.unlink(
                missing_ok=True
            )  # deleted while locked: a process that opened the file before notices this, and opens a new one
            os.close(descriptor)

    def _path(self, key: str) -> Path:
        folder = self._state.create() / "locks"
        folder.mkdir(mode=0o700, exist_ok=True)
        import hashlib

        return folder / hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _locked(path: Path) -> int | None:
    """Lock a file and return its descriptor, None if another process holds it."""
    descriptor = open_private(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


__all__ = ["FileLocks"]
