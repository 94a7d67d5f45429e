"""Keeps a session alive: a server ends one that nobody uses, after half an hour by default, and firewalls forget quiet connections."""

from __future__ import annotations

import http.client
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from novacron_vmware.sdk import vim, vmodl

if TYPE_CHECKING:
    from novacron_vmware.session import Session

INTERVAL = 600.0
"""Seconds between two signs of life."""


class KeepAlive:
    """A thread that asks the server for its time now and then, until it is closed or its session is no more.

    It uses the session, which renews one that has expired. A server that does not answer is asked again the next time: who
    needs it is told by the call that does.
    """

    def __init__(self, session: Session, interval: float) -> None:
        self._ended = threading.Event()
        arguments = (weakref.ref(session), self._ended, interval)
        threading.Thread(target=_run, args=arguments, name="vsphere-keepalive", daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._ended.set()


def _run(found: weakref.ref[Session], ended: threading.Event, interval: float) -> None:
    while not ended.wait(interval):
        session = found()
        if session is None:
            return
        with suppress(vmodl.MethodFault, OSError, http.client.HTTPException):
            content = vim.ServiceInstance("ServiceInstance", session).RetrieveContent()
            if content.sessionManager.currentSession is None:
                session.log_in_again(session.logins)
        del session


__all__ = ["INTERVAL", "KeepAlive"]
