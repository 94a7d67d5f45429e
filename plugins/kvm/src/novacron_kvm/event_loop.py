"""The one libvirt event loop of the process. It must run before the first connection is opened, or keepalive and events never work."""

from __future__ import annotations

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
        threading.Thread(target=_loop, name="novacron-libvirt-events", daemon=True).start()
        _running = True


def _loop() -> None:
    # a timer that does nothing keeps the loop turning even before the first connection adds a handle
    libvirt.virEventAddTimeout(1000, lambda *_: None, None)
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            continue


__all__ = ["ensure_running"]
