"""Keeps libvirt's last error over a garbage collection.

A failed call leaves its error with the thread, and libvirt-python fetches it when it makes the exception. A collection in between
(making the exception may begin one) frees whatever libvirt objects it finds, and freeing one clears the thread's error: what is raised
then has no code, and a VM that is not there looks like a failure of the driver. So the error is fetched before each collection.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

import libvirt
import libvirtmod

_kept = threading.local()
_fetch = libvirtmod.virGetLastError


def keep() -> None:
    """Begin to keep it, for this process; again is nothing."""
    if _before_collection not in gc.callbacks:
        gc.callbacks.append(_before_collection)
        libvirt.libvirtError.__init__ = _whole


def _before_collection(phase: str, _: dict[str, int]) -> None:
    if phase == "start":
        error = _fetch()
        if error is not None:
            _kept.error = error


def _whole(self: Any, message: str) -> None:
    """Make a libvirtError as libvirt-python does, from the kept error when the thread has none any more."""
    self.err = _fetch() or getattr(_kept, "error", None)
    libvirtmod.virResetLastError()  # it is told; a later collection must not keep it for another exception
    _kept.error = None
    Exception.__init__(self, message if self.err is None else self.err[2])


__all__ = ["keep"]
