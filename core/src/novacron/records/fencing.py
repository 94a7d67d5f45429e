"""Fencing: the devices that switch nodes off, and what they reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from novacron.records.record import Record
from novacron.text import printable_line

PowerStatus = Literal["on", "off", "unknown"]
"""The power of a node as its fence device reports it. A node that is powering off is "on". "unknown" is never treated as "off"."""


class FenceDevice(Record, frozen=True):
    """A device that can switch a node off.

    Attributes:
        node: UUID of the node.
        name: Name of the device, unique for the node.
        agent: Fence agent that operates the device, such as "redfish".
        level: Devices of level 1 are used first. Those of the next level are used if a device of the level fails. All devices of
            one level have to report "off", such as the two outlets of a server with two power supplies.
        options: Options of the agent. An option NAME_secret is the name of a secret; the agent gets its value as the option NAME.

    Example:
        >>> FenceDevice(node="n1", name="bmc", agent="redfish", options={"password_secret": "bmc-kvm1"}).level
        1
    """

    node: str
    name: str
    agent: str
    level: int = 1
    options: dict[str, str] = msgspec.field(default_factory=dict)


class FenceReading(Record, frozen=True):
    """What a fence device answered when it was asked for the power of its node.

    Attributes:
        node: UUID of the node.
        device: Name of the device.
        agent: Fence agent that operates the device.
        level: Level of the device; level 1 is used first.
        status: "on", "off" or "unknown".
        error: Why the status is unknown; empty if it is known.
    """

    node: str
    device: str
    agent: str
    level: int
    status: PowerStatus
    error: str = ""


class FenceTarget:
    """What a fence agent works on: a node, and the options of its device with the values of the secrets. Its `repr` has no values.

    Attributes:
        node: the name of the node.
        node_id: the UUID of the node.
        options: the options; NAME instead of NAME_secret, with the value of the secret.
        timeout: seconds that one call may take.
        hosts: the hosts of the fleet by name, connected when they are used.
        confirmed_by: the person who has confirmed that the node is off; empty if nobody has.
    """

    def __init__(
        self,
        node: str,
        node_id: str,
        options: Mapping[str, str],
        *,
        timeout: float = 20.0,
        hosts: Mapping[str, Any] | None = None,
        confirmed_by: str = "",
    ) -> None:
        self.node, self.node_id, self.options, self.timeout = node, node_id, options, timeout
        self.hosts: Mapping[str, Any] = hosts or {}
        self.confirmed_by = confirmed_by

    def __repr__(self) -> str:
        return printable_line(f"<FenceTarget {self.node}: {', '.join(sorted(self.options)) or 'no options'}>")


class FenceResult(Record, frozen=True):
    """The result of fencing a node.

    Attributes:
        node: UUID of the node.
        off: Whether the node is certainly off. If false it may still run.
        steps: What was done, in order.
    """

    node: str
    off: bool
    steps: tuple[str, ...] = ()


__all__ = ["FenceDevice", "FenceReading", "FenceResult", "FenceTarget", "PowerStatus"]
