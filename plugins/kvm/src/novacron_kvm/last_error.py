"""Protects libvirt's last error: objects are freed in a thread of their own.

libvirt keeps the error of a failed call per thread, and libvirt-python reads it when it makes the exception. Freeing an object clears
that error. If an object is freed in between, by a garbage collection for example, the exception has no code, and a VM that does not
exist looks like a failure of the driver. So another thread frees objects.

Python ignores exceptions in finalizers and in `gc.callbacks`. A Ctrl-C that is handled inside of such a Python function is lost. So
the finalizers that are set here consist of C code alone, in which Python handles no signals.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import Any

import libvirt
import libvirtmod


def protect() -> None:
    """Let a thread free libvirt's objects, and let each error be reported once, for the whole process. Call it once."""
    libvirt.libvirtError.__init__ = _report_once(libvirt.libvirtError.__init__)
    dead: SimpleQueue[Any] = SimpleQueue()  # its `put` may be called from a finalizer
    free: dict[Any, Callable[[Any], object]] = {
        kind: vars(kind)["__del__"] for _, kind in inspect.getmembers(libvirt, inspect.isclass) if "__del__" in vars(kind)
    }
    threading.Thread(target=_free, args=(dead, free), name="novacron-libvirt-finalizers", daemon=True).start()
    for kind in free:
        # Python reads the property, which gives partial(dead.put, object), and calls that. The queue keeps the object alive, and
        # Python calls a finalizer only once for each object.
        kind.__del__ = property(partial(partial, dead.put))


def _report_once(init: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    """Return an initializer that clears libvirt's error after it was read, so that a later exception does not get it too."""

    def initialize(self: Any, message: str) -> None:
        init(self, message)
        libvirtmod.virResetLastError()

    return initialize


def _free(dead: SimpleQueue[Any], free: Mapping[type, Callable[[Any], object]]) -> None:
    while True:
        found = dead.get()
        free[next(kind for kind in type(found).__mro__ if kind in free)](found)
        del found  # the next one may come much later


__all__ = ["protect"]
