"""A subscription to a host's events: the result of every driver's `event_subscribe`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from novacron.records.events import Event

_log = logging.getLogger(__name__)


class Listener:
    """A subscription that calls a callback until it is closed.

    Args:
        callback: called with each event.
        leave: called once with the listener when it is closed.
    """

    def __init__(self, callback: Callable[[Event], object], leave: Callable[[Any], object]) -> None:
        self._callback, self._leave, self._open = callback, leave, True
        self._delivering = threading.RLock()  # an RLock, so that a callback can close its own subscription

    def tell(self, event: Event) -> None:
        """Call the callback unless the subscription is closed. Its exceptions are logged and do not affect other subscribers."""
        with self._delivering:
            if self._open:
                try:
                    self._callback(event)
                except Exception:  # noqa: BLE001 - a stranger's callback
                    _log.exception("a subscriber to the events of %s failed", event.host)

    def close(self) -> None:
        """End the subscription. Afterwards no callback runs, unless a callback itself called this."""
        with self._delivering:
            was_open, self._open = self._open, False
        if was_open:
            self._leave(self)


__all__ = ["Listener"]
