"""What happens on a host, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from novacron.hookspecs.operation import operation
from novacron.records.events import Event


class Subscription(Protocol):
    """An open subscription."""

    def close(self) -> None:
        """End it; no event is delivered afterwards."""


@operation(kind="read")
def event_subscribe(callback: Callable[[Event], object]) -> Subscription:
    """Call `callback` with every event, in order, from a thread of the driver's; it must return quickly.

    Over a reconnect no status change is lost: the driver compares the state before and after.
    """
    raise NotImplementedError
