"""The results of drivers: frozen, comparable values that can be converted to JSON, one module per area.

A record does no I/O. Field names contain their unit. Times are UTC ISO 8601 text. A field that was not read is None.
"""

from novacron.records.appliances import Appliance
from novacron.records.capacity import (
    Allocation,
    Amounts,
    Candidate,
    CapacityReport,
    Drift,
    FleetNode,
    GroupCapacity,
    Inventory,
    NodeGroup,
    Placement,
    PlacementRule,
    Quota,
    Rejection,
)
from novacron.records.devices import HostDevice
from novacron.records.diagnosis import Finding
from novacron.records.disks import Disk
from novacron.records.events import Event
from novacron.records.filters import TrafficFilter
from novacron.records.guest import ConsoleEndpoint, ExecResult, GuestInfo, Screenshot
from novacron.records.host import Capabilities, Host, HostStats, Node, Ping
from novacron.records.metrics import DiskMetrics, DiskRates, HostMetrics, NICMetrics, NICRates, VMMetrics, VMRates, VMUsage
from novacron.records.migration import MigrationCheck, MigrationReport
from novacron.records.networks import DHCPLease, Network
from novacron.records.nics import NIC, MACClash
from novacron.records.pools import StoragePool
from novacron.records.questions import Question
from novacron.records.resources import Resources
from novacron.records.snapshots import Snapshot
from novacron.records.templates import Template
from novacron.records.vm import VM, Deleted, NativeDefinition, Page, Status
from novacron.records.volumes import Volume

__all__ = [
    "NodeGroup",
    "Candidate",
    "Placement",
    "PlacementRule",
    "Quota",
    "Rejection",
    "Inventory",
    "GroupCapacity",
    "FleetNode",
    "Drift",
    "CapacityReport",
    "Amounts",
    "Allocation",
    "NIC",
    "VM",
    "Appliance",
    "Capabilities",
    "ConsoleEndpoint",
    "DHCPLease",
    "Deleted",
    "Disk",
    "DiskMetrics",
    "DiskRates",
    "Event",
    "ExecResult",
    "Finding",
    "GuestInfo",
    "Host",
    "HostDevice",
    "HostMetrics",
    "HostStats",
    "MACClash",
    "MigrationCheck",
    "MigrationReport",
    "NICMetrics",
    "NICRates",
    "NativeDefinition",
    "Network",
    "Node",
    "Page",
    "Ping",
    "Question",
    "Resources",
    "Screenshot",
    "Snapshot",
    "Status",
    "StoragePool",
    "Template",
    "TrafficFilter",
    "VMMetrics",
    "VMRates",
    "VMUsage",
    "Volume",
]
