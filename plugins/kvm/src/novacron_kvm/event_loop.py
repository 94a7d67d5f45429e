"""The one libvirt event loop of the process. It must run before the first connection is opened, or keepalive and events never work."""

from __future__ import annotations

import atexit
import operator
import threading

import libvirt

from novacron_kvm import last_error

_started = threading.Lock()
_running = False


def ensure_running() -> None:
    """Start the loop's thread unless it runs."""
    global _running
    with _started:
        if _running:
            return
        libvirt.virEventRegisterDefaultImpl()
        libvirt.registerErrorHandler(operator.is_, None)  # libvirt would print errors to stderr; C code can't lose a Ctrl-C
        last_error.protect()
        # a timer that does nothing keeps the loop turning even before the first connection adds a handle
        timer = libvirt.virEventAddTimeout(1000, lambda *_: None, None)
        ended = threading.Event()
        thread = threading.Thread(target=_loop, args=(ended,), name="novacron-libvirt-events", daemon=True)
        thread.start()
        atexit.register(_end, thread, ended, timer)
        _running = True


def _loop(ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            continue


def _end(thread: threading.Thread, ended: threading.Event, timer: int) -> None:
    """End the loop before the interpreter ends: the thread would be in libvirt while its libraries are taken down."""
    if not thread.is_alive():
        return  # of a process that was forked; libvirt's lock may be held for good
    ended.set()
    libvirt.virEventUpdateTimeout(timer, 0)
    thread.join(1.0)


__all__ = ["ensure_running"]
