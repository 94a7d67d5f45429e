"""Somebody who listens to a host's events: what every driver's `event_subscribe` returns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from novacron.records.events import Event

_log = logging.getLogger(__name__)


class Listener:
    """A subscription: calls a stranger's callback, until it is closed.

    Args:
        callback: called with each event.
        leave: called once when it is closed, with the listener.
    """

    def __init__(self, callback: Callable[[Event], object], leave: Callable[[Any], object]) -> None:
        self._callback, self._leave, self._open = callback, leave, True
        self._delivering = threading.RLock()  # an RLock, so that a callback may close its own subscription

    def tell(self, event: Event) -> None:
        """Call the callback unless closed; what it raises is logged, and the others still get theirs."""
        with self._delivering:
            if self._open:
                try:
                    self._callback(event)
                except Exception:  # noqa: BLE001 - a stranger's callback
                    _log.exception("a subscriber to the events of %s failed", event.host)

    def close(self) -> None:
        """End it; when this returns no callback runs any more, unless it is called from the callback itself."""
        with self._delivering:
            was_open, self._open = self._open, False
        if was_open:
            self._leave(self)


__all__ = ["Listener"]
