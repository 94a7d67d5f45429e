"""The requirements for every driver, one module per area. `novacron.testing` explains how to run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names
from novacron.testing.target import Target

if TYPE_CHECKING:
    from novacron.testing.conformance.anyorder import TestAnyOrder
    from novacron.testing.conformance.appliances import TestAppliances
    from novacron.testing.conformance.case import Conformance, needs
    from novacron.testing.conformance.cleanup import TestCleanUp
    from novacron.testing.conformance.concurrency import TestConcurrency
    from novacron.testing.conformance.contract import TestContract
    from novacron.testing.conformance.devices import TestDevices
    from novacron.testing.conformance.diagnosis import TestCPUBaseline, TestDiagnosis
    from novacron.testing.conformance.disks import TestDisks
    from novacron.testing.conformance.errors import TestErrors
    from novacron.testing.conformance.events import TestEvents
    from novacron.testing.conformance.fields import TestFields
    from novacron.testing.conformance.lifecycle import TestLifecycle
    from novacron.testing.conformance.listing import TestListing
    from novacron.testing.conformance.migration import TestMigration
    from novacron.testing.conformance.networks import TestNetworks
    from novacron.testing.conformance.nics import TestNICs
    from novacron.testing.conformance.pools import TestPools
    from novacron.testing.conformance.power import TestPower
    from novacron.testing.conformance.records import TestRecords
    from novacron.testing.conformance.resources import TestResources
    from novacron.testing.conformance.snapshots import TestSnapshots
    from novacron.testing.conformance.templates import TestTemplates
    from novacron.testing.conformance.volumes import TestVolumes

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "anyorder": "TestAnyOrder",
        "appliances": "TestAppliances",
        "case": "Conformance needs",
        "cleanup": "TestCleanUp",
        "concurrency": "TestConcurrency",
        "contract": "TestContract",
        "devices": "TestDevices",
        "diagnosis": "TestCPUBaseline TestDiagnosis",
        "disks": "TestDisks",
        "errors": "TestErrors",
        "events": "TestEvents",
        "fields": "TestFields",
        "lifecycle": "TestLifecycle",
        "listing": "TestListing",
        "migration": "TestMigration",
        "networks": "TestNetworks",
        "nics": "TestNICs",
        "pools": "TestPools",
        "power": "TestPower",
        "records": "TestRecords",
        "resources": "TestResources",
        "snapshots": "TestSnapshots",
        "templates": "TestTemplates",
        "volumes": "TestVolumes",
    },
)

__all__ = [
    "Conformance",
    "Target",
    "TestAnyOrder",
    "TestAppliances",
    "TestCPUBaseline",
    "TestCleanUp",
    "TestConcurrency",
    "TestContract",
    "TestDevices",
    "TestDiagnosis",
    "TestDisks",
    "TestErrors",
    "TestEvents",
    "TestFields",
    "TestLifecycle",
    "TestListing",
    "TestMigration",
    "TestNICs",
    "TestNetworks",
    "TestPools",
    "TestPower",
    "TestRecords",
    "TestResources",
    "TestSnapshots",
    "TestTemplates",
    "TestVolumes",
    "needs",
]
