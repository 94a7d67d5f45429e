"""The provider of `sim://`: parses the URI, finds the host's state, and creates the area objects."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from novacron.drivers.sim.fields import FIELDS
from novacron.plugins.driver import ConnectContext, Driver, DriverProvider, HostURI

if TYPE_CHECKING:
    from novacron.drivers.sim.area import SimConnection
    from novacron.drivers.sim.state.world import World

QUERY = ("vms", "prefix", "latency", "jitter", "seed")
"""What the URI's query may say."""


def connect(uri: HostURI, context: ConnectContext) -> Driver:
    """Connect to a simulated host, which is created if it does not exist.

    Raises:
        InvalidSpecError: the query has an unknown key or an invalid value.
        HostConnectionError: the host was disconnected by `World.disconnect`.
    """
    from novacron.drivers.sim.area import SimConnection
    from novacron.drivers.sim.state.world import world
    from novacron.errors import HostConnectionError

    asked = _parsed(uri)
    found: World = world(uri.host or "local", asked.get("seed", "0"))
    if not found.faults.connected:
        raise HostConnectionError("the simulated host can't be reached", outcome="not_sent")
    found.fill(asked.get("vms", 0), asked.get("prefix", "vm-"))
    found.faults.latency = asked.get("latency", found.faults.latency)
    found.faults.jitter = asked.get("jitter", found.faults.jitter)
    connection = SimConnection(found, context.name, uri.text, context.secrets)
    made = {area: partial(_make, area, connection) for area in _AREAS}
    return Driver(areas=made, close=connection.close, native=connection)


def _make(area: str, connection: SimConnection) -> object:
    """Return the object of an area."""
    return _area(area)(connection)


def _area(name: str) -> type:
    """Import the class of an area."""
    found: type = getattr(import_module(f"novacron.drivers.sim.operations.{name}"), _AREAS[name])
    return found


_AREAS = {
    "host": "SimHost",
    "lifecycle": "SimLifecycle",
    "power": "SimPower",
    "resources": "SimResources",
    "pools": "SimPools",
    "volumes": "SimVolumes",
    "disks": "SimDisks",
    "nics": "SimNICs",
    "devices": "SimDevices",
    "networks": "SimNetworks",
    "filters": "SimFilters",
    "snapshots": "SimSnapshots",
    "migration": "SimMigration",
    "templates": "SimTemplates",
    "metrics": "SimMetrics",
    "events": "SimEvents",
    "guest": "SimGuest",
    "console": "SimConsole",
    "appliances": "SimAppliances",
    "diagnosis": "SimDiagnosis",
}
"""The module of each area in `operations`, and its class. A module is imported when an operation of its area is first used."""


def areas() -> list[type]:
    """Return the classes of the area objects."""
    return [_area(name) for name in _AREAS]


def _parsed(uri: HostURI) -> dict[str, Any]:
    from novacron.errors import InvalidSpecError, SpecProblem
    from novacron.units import parse_duration

    problems = [SpecProblem(key, value, "one of " + ", ".join(QUERY)) for key, value in uri.query.items() if key not in QUERY]
    found: dict[str, Any] = {key: uri.query[key] for key in ("prefix", "seed") if key in uri.query}
    for key in ("latency", "jitter"):
        if key in uri.query:
            try:
                found[key] = parse_duration(uri.query[key])
            except ValueError:
                problems.append(SpecProblem(key, uri.query[key], "a duration such as 10ms"))
    if "vms" in uri.query:
        if uri.query["vms"].isdecimal():
            found["vms"] = int(uri.query["vms"])
        else:
            problems.append(SpecProblem("vms", uri.query["vms"], "a whole number"))
    if uri.path not in ("", "/"):
        problems.append(SpecProblem("path", uri.path, "none: sim://NAME?QUERY"))
    if problems:
        raise InvalidSpecError(
            "invalid URI of a simulated host", problems=problems, hint="for example sim://lab?vms=100&latency=10ms"
        )
    return found


provider = DriverProvider(name="sim", schemes=("sim",), connect=connect, options=(), areas=areas, fields=lambda: FIELDS)

__all__ = ["QUERY", "areas", "connect", "provider"]
