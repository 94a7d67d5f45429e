"""The other hosts of a fleet, as a driver sees them: for shared storage and identifiers that must be unique in the fleet."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from novacron.errors import NovaCronError
from novacron.plugins.driver import NO_ANSWER, HostURI

if TYPE_CHECKING:
    from novacron.fleets import Fleet

T = TypeVar("T")
TIMEOUT = 10.0
"""Seconds that a peer has to answer, including the connection to it. It may have to read the definitions of a thousand VMs."""
UNKNOWN = "fleet"
"""Stands in place of the names of the hosts if the state database can't be read."""
SILENT = 60.0
"""Seconds for which a peer that did not answer is not asked again."""


class Peers:
    """Asks the other registered hosts of the same driver.

    Args:
        fleet: returns the fleet.
    """

    def __init__(self, fleet: Callable[[], Fleet]) -> None:
        self._fleet = fleet
        self._silent: dict[str, float] = {}

    def ask(self, name: str, schemes: Collection[str], what: Callable[[Any], T]) -> Sequence[tuple[str, T | Any]]:
        """Call `what` with the driver's native connection of each other host, in threads.

        Args:
            name: the host that asks.
            schemes: URI schemes of the driver.
            what: takes the native connection of a peer, only reads, and ends within 10 s.
        Returns:
            The names of the hosts and their answers. The answer of a host that doesn't answer is `NO_ANSWER`; it is not asked again for
            a minute. The failover controller's process does not ask hosts that were fenced: waiting for them would delay the restart of
            their VMs, and the definitions that they still have when they return must not prevent it. It looks for itself whether a VM
            runs there. If the state database can't be read, the fleet itself counts as one host that does not answer.
        """
        now = time.monotonic()
        try:
            hosts = [host.name for host in self._fleet().list() if host.name != name and _scheme(host.uri) in schemes]
            off = self._fenced() if self._fleet().controls_failover and hosts else set[str]()
        except NovaCronError:
            return [(UNKNOWN, NO_ANSWER)]  # the state database can't be read, and there may be other hosts
        asked = [host for host in hosts if host not in off and now - self._silent.get(host, -SILENT) >= SILENT]
        answers = self._fleet().ask(asked, lambda host: what(host.dispatcher.driver.native), timeout=TIMEOUT) if asked else []
        self._silent.update({answer.host: now for answer in answers if answer.error is not None})
        said = {answer.host: answer.value for answer in answers if answer.error is None}
        return [(host, said.get(host, NO_ANSWER)) for host in hosts]

    def _fenced(self) -> set[str]:
        return {host for node in self._fleet().nodes.list() if node.status == "fenced" for host in node.hosts}

    def shared_pools(self, name: str) -> Collection[str] | None:
        """Return which storage pools a host shares with others, as the settings of its group or of the fleet say; None if they do not."""
        try:
            groups = {group.name: group for group in self._fleet().groups.list()}
            own = next((group for group in groups.values() if {*group.nodes} & self._nodes_of(name)), None)
        except NovaCronError:
            return None
        said = [group.settings.get("shared_pools") for group in (own, groups.get("fleet")) if group is not None]
        return next((pools for pools in said if pools is not None), None)

    def _nodes_of(self, name: str) -> set[str]:
        return {node.name for node in self._fleet().nodes.list() if name in node.hosts}


def _scheme(uri: str) -> str:
    try:
        return HostURI.parse(uri).scheme
    except NovaCronError:
        return ""


__all__ = ["Peers"]
