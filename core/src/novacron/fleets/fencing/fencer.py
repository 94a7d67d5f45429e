"""Fences a node: off, never a restart. The node is off only if its devices say so twice in a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import AuthenticationError, NovaCronError
from novacron.fleets.fencing.agents import FenceAgents
from novacron.records.capacity import FleetNode
from novacron.records.fencing import FenceDevice, FenceReading, FenceResult, FenceTarget
from novacron.threads import within

if TYPE_CHECKING:
    from novacron.hookspecs.application import FenceAgent

REFUSALS, REFUSED_PAUSE = 2, 300.0
"""After so many rejected logins a device is not asked for so many seconds: many devices lock an account after a few more."""
CONFIRMATIONS = 2
"""How often in a row a device has to report "off". Some controllers report it once too early."""


class Refused:
    """A device that has rejected the user or the password: how often in a row, when, and with which options. Its `repr` has no values."""

    def __init__(self, text: str, times: int, since: float, options: Mapping[str, str]) -> None:
        self.text, self.times, self.since, self.options = text, times, since, options


class Fencer:
    """Operates fence devices.

    Args:
        agents: the fence agents.
        secrets: returns the value of a secret.
        hosts: the hosts of the fleet.
        timeout: seconds that one call of an agent may take.
        patience: seconds that a level of devices has until all of them report "off".
        pause: seconds between two readings.
        clock: returns the time in seconds.
        sleep: waits.
    """

    def __init__(
        self,
        agents: FenceAgents,
        secrets: Callable[[str], str],
        hosts: Mapping[str, object],
        *,
        timeout: float = 20.0,
        patience: float = 60.0,
        pause: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._agents, self._secrets, self._hosts = agents, secrets, hosts
        self._timeout, self._patience, self._pause = timeout, patience, pause
        self._clock, self._sleep = clock, sleep
        self._refused: dict[tuple[str, str], Refused] = {}

    def read(self, node: FleetNode, device: FenceDevice, confirmed_by: str = "") -> FenceReading:
        """Ask a device for the power of its node. Errors are part of the result."""
        status, problem = "unknown", ""
        try:
            status = self._call(node, device, confirmed_by, lambda agent, target: agent.status(target))
        except Exception as error:  # noqa: BLE001 - whatever an agent of a plugin raises, the power is not known
            problem = _text(error, self._timeout)
        if status not in ("on", "off", "unknown"):
            status, problem = "unknown", f"the agent answered {status!r}"
        return FenceReading(
            node=node.name,
            device=device.name,
            agent=device.agent,
            level=device.level,
            status=status,  # type: ignore[arg-type]
            error=problem,
        )

    def fence(
        self,
        node: FleetNode,
        devices: Sequence[FenceDevice],
        *,
        confirmed_by: str = "",
        allowed: Callable[[], object] = lambda: None,
    ) -> FenceResult:
        """Switch a node off and read its devices until they report "off" twice.

        Args:
            node: the node.
            devices: its devices.
            confirmed_by: the person who has confirmed that it is off.
            allowed: raises an error if fencing is not allowed any more. Called before each device is told to switch off.
        """
        steps: list[str] = []
        for level in sorted({device.level for device in devices}):
            members = [device for device in devices if device.level == level]
            for device in members:
                allowed()
                steps.append(f"{device.name}: {self._off(node, device, confirmed_by) or 'told to switch off'}")
            if self._verified(node, members, confirmed_by, steps):
                return FenceResult(node=node.name, off=True, steps=tuple(steps))
        return FenceResult(node=node.name, off=False, steps=(*steps, "no level of devices reported that it is off"))

    def _off(self, node: FleetNode, device: FenceDevice, confirmed_by: str) -> str:
        """Tell a device to switch off. Returns the text of an error; the node may be off nevertheless."""
        try:
            self._call(node, device, confirmed_by, lambda agent, target: agent.off(target))
        except Exception as error:  # noqa: BLE001 - the status decides, not the answer
            return _text(error, self._timeout)
        return ""

    def _verified(self, node: FleetNode, devices: Sequence[FenceDevice], confirmed_by: str, steps: list[str]) -> bool:
        """Return whether all devices report "off" twice in a row within the patience. A device that is left alone ends it."""
        deadline, confirmed = self._clock() + self._patience, 0
        while True:
            readings = [self.read(node, device, confirmed_by) for device in devices]
            confirmed = confirmed + 1 if all(each.status == "off" for each in readings) else 0
            if confirmed >= CONFIRMATIONS:
                steps += [f"{each.device}: off, read {CONFIRMATIONS} times" for each in readings]
                return True
            refused = any(self._rejects(node, device) for device in devices)
            asked = all(each.agent == "manual" and each.status == "unknown" for each in readings)
            if refused or asked or self._clock() >= deadline:
                steps += [f"{each.device}: {each.status}" + (f" ({each.error})" if each.error else "") for each in readings]
                return False
            self._sleep(self._pause)

    def _rejects(self, node: FleetNode, device: FenceDevice) -> bool:
        """Return whether a device has rejected the login so often that it is left alone. Once may be a busy BMC."""
        before = self._refused.get((node.id, device.name))
        return before is not None and before.times >= REFUSALS

    def _call(
        self, node: FleetNode, device: FenceDevice, confirmed_by: str, what: Callable[[FenceAgent, FenceTarget], Any]
    ) -> Any:
        """Call an agent. A device that has rejected the user or the password is left alone for a while, until these change."""
        agent, target = self._agents.find(device.agent), self._target(node, device, confirmed_by)
        key, times = (node.id, device.name), 0
        before = self._refused.get(key)
        if before is not None and before.options == target.options:
            wait = before.since + REFUSED_PAUSE - self._clock()
            if before.times >= REFUSALS and wait > 0:
                raise AuthenticationError(f"{before.text}; so that the account is not locked it is not asked for {wait:.0f} s")
            times = before.times
        try:
            answer = within(self._timeout, lambda: what(agent, target), "novacron-fence")
        except AuthenticationError as error:
            self._refused[key] = Refused(str(error), times + 1, self._clock(), dict(target.options))
            raise
        self._refused.pop(key, None)
        return answer

    def _target(self, node: FleetNode, device: FenceDevice, confirmed_by: str) -> FenceTarget:
        options = {}
        for name, value in device.options.items():
            secret = name.endswith("_secret")
            options[name.removesuffix("_secret") if secret else name] = self._secrets(value) if secret else value
        return FenceTarget(node.name, node.id, options, timeout=self._timeout, hosts=self._hosts, confirmed_by=confirmed_by)


def _text(error: Exception, timeout: float) -> str:
    """Return what went wrong. Only the class of errors that are not NovaCron's is named, because their texts may contain secrets."""
    if isinstance(error, NovaCronError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    return f"the agent failed: {type(error).__name__}"


__all__ = ["CONFIRMATIONS", "Fencer"]
