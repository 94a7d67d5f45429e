"""The fleet: registered hosts, their VMs, and the capacity of their nodes."""

from novacron.fleets.asking import Answer
from novacron.fleets.fleet import Fleet
from novacron.fleets.hosts import FleetHosts

__all__ = ["Answer", "Fleet", "FleetHosts"]
