"""Delivers events to subscribers in order, from one thread for all simulated hosts of the process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from novacron.plugins.listener import Listener
from novacron.records.events import Event


def now() -> str:
    """Return the current time in the format of records."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Subscription(Listener):
    """A subscriber, and the name that its connection uses for the host."""

    def __init__(self, broadcast: Broadcast, host: str, callback: Callable[[Event], object]) -> None:
        super().__init__(callback, broadcast.drop)
        self._host = host

    def deliver(self, event: Event) -> None:
        """Deliver an event with the connection's name for the host."""
        self.tell(event.replace(host=self._host))


class Courier:
    """Delivers events in a separate thread. The thread ends when all events are delivered, so an idle host has no thread."""

    def __init__(self) -> None:
        self._queue: deque[tuple[Subscription, Event]] = deque()
        self._guard = threading.Lock()
        self._working = False

    def send(self, subscription: Subscription, event: Event) -> None:
        """Deliver an event after all earlier ones."""
        with self._guard:
            self._queue.append((subscription, event))
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="novacron-sim-events", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._guard:
                if not self._queue:
                    self._working = False
                    return
                subscription, event = self._queue.popleft()
            subscription.deliver(event)


class Broadcast:
    """The subscriptions to one host. While the host is disconnected, events are queued and delivered afterwards."""

    __slots__ = ("_courier", "_guard", "_held", "_subscriptions")

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._guard = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._held: list[Event] | None = None

    def subscribe(self, host: str, callback: Callable[[Event], object]) -> Subscription:
        """Add a subscription with the connection's name for the host."""
        subscription = Subscription(self, host, callback)
        with self._guard:
            self._subscriptions.append(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Remove a subscription."""
        with self._guard:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def tell(self, event: Event, *, always: bool = False) -> None:
        """Send an event to all subscribers; with `always` also while the host is disconnected."""
        with self._guard:
            if self._held is not None and not always:
                self._held.append(event)
                return
            for subscription in self._subscriptions:
                self._courier.send(subscription, event)

    def hold(self) -> None:
        """Queue events from now on."""
        with self._guard:
            self._held = self._held if self._held is not None else []

    def release(self) -> None:
        """Deliver the queued events."""
        with self._guard:
            held, self._held = self._held or [], None
            for event in held:
                for subscription in self._subscriptions:
                    self._courier.send(subscription, event)


__all__ = ["Broadcast", "Courier", "Subscription", "now"]
