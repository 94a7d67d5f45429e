"""Delivers events in order, from one thread for all simulated hosts."""

from __future__ import annotations

from collections.abc import Callable

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.broadcast import Subscription
from novacron.records.events import Event


class SimEvents(Area):
    """Subscribes to the host's events."""

    @simulated
    def event_subscribe(self, callback: Callable[[Event], object]) -> Subscription:
        """Call `callback` with every event from now on."""
        subscription = self.world.broadcast.subscribe(self.connection.name, callback)
        self.connection.subscriptions.append(subscription)
        return subscription


__all__ = ["SimEvents"]
