"""Events of a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from novacron.hookspecs.operation import operation
from novacron.records.events import Event


class Subscription(Protocol):
    """An open subscription."""

    def close(self) -> None:
        """End the subscription. No event is delivered afterwards."""


@operation(kind="read")
def event_subscribe(callback: Callable[[Event], object]) -> Subscription:
    """Deliver every event of the host to a callback, in order.

    No status change is lost over a reconnect: the driver compares the state before and after it.

    Args:
        callback: Function that is called with each event, in a thread of the driver. It must return quickly.
    Returns:
        The subscription; closing it ends the delivery.
    """
    raise NotImplementedError
