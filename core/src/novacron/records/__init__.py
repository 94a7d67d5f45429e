"""The results of drivers: frozen, comparable values that can be converted to JSON, one module per area.

A record does no I/O. Field names contain their unit. Times are UTC ISO 8601 text. A field that was not read is None.
A module is imported when one of its records is first used, because a short command uses few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "appliances": "Appliance",
        "capacity": "Allocation Amounts Candidate CapacityReport Drift FleetNode GroupCapacity Inventory NodeGroup Placement PlacementRule "
        "Quota Rejection",
        "devices": "HostDevice",
        "diagnosis": "Finding",
        "disks": "Disk",
        "events": "Event",
        "filters": "TrafficFilter",
        "guest": "ConsoleEndpoint ExecResult GuestInfo Screenshot",
        "host": "Capabilities Host HostStats Node Ping",
        "metrics": "DiskMetrics DiskRates HostMetrics NICMetrics NICRates VMMetrics VMRates VMUsage",
        "migration": "MigrationCheck MigrationReport",
        "networks": "DHCPLease Network",
        "nics": "NIC MACClash",
        "pools": "StoragePool",
        "questions": "Question",
        "resources": "Resources",
        "snapshots": "Snapshot",
        "templates": "Template",
        "vm": "VM Deleted NativeDefinition Page Status",
        "volumes": "Volume",
    },
)

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
