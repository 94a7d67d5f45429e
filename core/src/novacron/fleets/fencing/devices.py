"""The fence devices of the fleet: `fleet.fencing.set("kvm1", "redfish", url=..., username=..., password_secret=...)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from novacron.errors import MISSING, UNKNOWN, InvalidSpecError, InvalidStateError, NotFoundError, SpecProblem
from novacron.fleets.fencing.agents import FenceAgents
from novacron.fleets.fencing.fencer import Fencer
from novacron.fleets.fencing.redfish import Redfish
from novacron.fleets.nodes import NodeCollection, Recorded, checked_name
from novacron.records.fencing import FenceDevice, FenceReading
from novacron.redaction import is_secret_name
from novacron.secrets import require_encryption
from novacron.store.fencing import FenceStore
from novacron.threads import fan_out
from novacron.urls import problem_of, scheme_of

if TYPE_CHECKING:
    from novacron.hookspecs.application import FenceAgent

SECRET = ("community", "snmp_community", "key", "apikey", "privatekey", "pin")
"""Options of fence programs whose values are secrets though their names do not say so. They are given as NAME_secret."""
RESERVED = ("action", "option", "o")
"""Options that NovaCron sets itself: a device must not change "off" to "on"."""
LEVELS = 9
"""The highest level of a device."""


class FenceDevices:
    """The fence devices.

    Args:
        nodes: the nodes of the fleet.
        store: where devices are stored.
        agents: the fence agents.
        fencer: returns what operates the devices.
        recorded: writes audit lines.

    Example:
        >>> import novacron
        >>> fleet = novacron.fleet()
        >>> _ = fleet.add("fenced-a", "sim://fenced-a")
        >>> _ = fleet.nodes.refresh(["fenced-a"])
        >>> fleet.fencing.set("fenced-a", "manual").level
        1
        >>> [(reading.device, reading.status) for reading in fleet.fencing.test("fenced-a")]
        [('manual', 'unknown')]
        >>> fleet.fencing.remove("fenced-a", "manual")
        >>> fleet.remove("fenced-a")
    """

    def __init__(
        self,
        nodes: NodeCollection,
        store: FenceStore,
        agents: FenceAgents,
        fencer: Callable[[], Fencer],
        recorded: Recorded,
    ) -> None:
        self._nodes, self._store, self._agents, self._fencer, self._recorded = nodes, store, agents, fencer, recorded

    def __repr__(self) -> str:
        return "<fence devices of the fleet>"

    def agents(self) -> Mapping[str, FenceAgent]:
        """Return the fence agents by name: the built-in ones, and those of plugins."""
        return self._agents.all()

    def list(self, node: str | None = None) -> Sequence[FenceDevice]:
        """Return the devices of a node, or of all nodes, sorted by node, level and name.

        Args:
            node: name or UUID of a node; None for all nodes.
        """
        return self._store.list(None if node is None else self._nodes[node].id)

    def set(self, node: str, agent: str, *, name: str | None = None, level: int = 1, **options: str) -> FenceDevice:
        """Add a device to a node, or replace the one of the same name. The device is not contacted; `test` does that.

        Args:
            node: name or UUID of the node.
            agent: the fence agent.
            name: the name of the device; that of the agent by default.
            level: devices of a higher level are used if those of the lower ones fail.
            options: the options of the agent. NAME_secret="bmc-kvm1" takes the value of the option NAME from the secret "bmc-kvm1".

        Raises:
            NodeNotFoundError: there is no such node.
            NotFoundError: there is no such agent.
            InvalidSpecError: an option is missing, unknown, or a secret value. Nothing is stored then.
        """
        found, kind = self._nodes[node], self._agents.find(agent)
        problems = list(_problems(kind, options))
        if not isinstance(level, int) or not 1 <= level <= LEVELS:
            problems.append(SpecProblem("level", str(level), f"1 to {LEVELS}"))
        if problems:
            raise InvalidSpecError(f"invalid fence device of {found.name}", problems=problems, resource=found.name)
        called = checked_name("name", name or agent)
        device = FenceDevice(node=found.id, name=called, agent=agent, level=level, options=dict(options))
        with self._recorded("fence_set", found.name, {"device": called, "agent": agent, "level": level}):
            self._store.save(device)
        return device

    def remove(self, node: str, name: str) -> None:
        """Remove a device of a node. Raises NotFoundError."""
        found = self._nodes[node]
        with self._recorded("fence_remove", found.name, {"device": name}):
            if not self._store.remove(found.id, name):
                raise NotFoundError(f"{found.name} has no fence device {name!r}", resource=name, hint="`novacron fence list`")

    def test(self, node: str | None = None) -> Sequence[FenceReading]:
        """Ask the devices of a node, or of all nodes, for the power of their nodes. Nothing is switched off.

        Returns:
            One reading for each device, sorted by node, level and name. A device with a wrong password or without an answer has the
            status "unknown" and an error.
        """
        nodes = {each.id: each for each in self._nodes.list()}
        devices = [device for device in self.list(node) if device.node in nodes]
        fencer = self._fencer()
        answers = fan_out(
            devices, lambda device: fencer.read(nodes[device.node], device), seconds=None, limit=16, name="novacron-fence-test"
        )
        return [answer.result() for answer in answers]


def _problems(agent: FenceAgent, options: Mapping[str, str]) -> Sequence[SpecProblem]:
    """Return what is wrong with the options of a device."""
    found = []
    known = ", ".join([*agent.required, *(agent.optional or ())]) or "none"
    for name, value in options.items():
        plain = name.removesuffix("_secret")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name in RESERVED:
            found.append(SpecProblem("options", f"a name of {len(name)} characters", "names of options of the agent"))
        elif name == plain and (is_secret_name(name) or name in SECRET) and not name.endswith("_file"):
            found.append(SpecProblem(f"{name}_secret", "a value", f"the name of a secret, given as {name}_secret"))
        elif agent.optional is not None and plain not in (*agent.required, *agent.optional):
            found.append(SpecProblem(name, UNKNOWN, f"an option of the agent {agent.name}: {known}"))
        elif not isinstance(value, str) or not value or not value.isprintable():
            found.append(SpecProblem(name, type(value).__name__, "one line of text"))
        elif (plain == "url" or "://" in value) and (problem := problem_of(value)):
            found.append(SpecProblem(name, scheme_of(value), f"{problem}; user and password have their own options"))
        elif plain == "url" and agent.name == Redfish.name:
            try:
                require_encryption("the password of a BMC", value)
            except InvalidStateError as error:  # said now, and not when the node has to be switched off
                found.append(SpecProblem(name, scheme_of(value), f"https: {error}; {error.hint}"))
    plain_names = {name.removesuffix("_secret") for name in options}
    for name in agent.required:
        if name not in plain_names:
            found.append(SpecProblem(f"{name}_secret" if is_secret_name(name) else name, MISSING, "a value"))
    return found


__all__ = ["FenceDevices"]
