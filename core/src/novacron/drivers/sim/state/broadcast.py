"""Takes events to subscribers, in order, from one thread for all simulated hosts of the process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from novacron.plugins.listener import Listener
from novacron.records.events import Event


def now() -> str:
    """Return the time as records say it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Subscription(Listener):
    """Somebody who wants to know, and under which name it has the host."""

    def __init__(self, broadcast: Broadcast, host: str, callback: Callable[[Event], object]) -> None:
        super().__init__(callback, broadcast.drop)
        self._host = host

    def deliver(self, event: Event) -> None:
        """Tell of an event under the name that its connection has for the host."""
        self.tell(event.replace(host=self._host))


class Courier:
    """Delivers events from a thread of its own. The thread ends when everything is delivered, so an idle host has none."""

    def __init__(self) -> None:
        self._queue: deque[tuple[Subscription, Event]] = deque()
        self._guard = threading.Lock()
        self._working = False

    def send(self, subscription: Subscription, event: Event) -> None:
        """Deliver an event, after all that were sent before."""
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
    """One host's subscriptions. While nobody can reach the host its events are held, and told afterwards."""

    __slots__ = ("_courier", "_guard", "_held", "_subscriptions")

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._guard = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._held: list[Event] | None = None

    def subscribe(self, host: str, callback: Callable[[Event], object]) -> Subscription:
        """Add a subscription under the name that its connection has for the host."""
        subscription = Subscription(self, host, callback)
        with self._guard:
            self._subscriptions.append(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        with self._guard:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def tell(self, event: Event, *, always: bool = False) -> None:
        """Send an event to everybody; `always` even while the host can't be reached."""
        with self._guard:
            if self._held is not None and not always:
                self._held.append(event)
                return
            for subscription in self._subscriptions:
                self._courier.send(subscription, event)

    def hold(self) -> None:
        """Keep events back from now on."""
        with self._guard:
            self._held = self._held if self._held is not None else []

    def release(self) -> None:
        """Tell what was kept back."""
        with self._guard:
            held, self._held = self._held or [], None
            for event in held:
                for subscription in self._subscriptions:
                    self._courier.send(subscription, event)


__all__ = ["Broadcast", "Courier", "Subscription", "now"]
