"""The checks of a vCenter and its VMs. Findings that the simulator has no way to are made from the properties that vSphere sends."""

from types import SimpleNamespace

import pytest

from novacron.handles.diagnosis import diagnose_vm
from novacron_vmware.operations import diagnosis


def wrong(findings):
    """What is not in order, as pairs (check, status); each has a hint."""
    found = [each for each in findings if each.status != "ok"]
    assert all(each.hint for each in found)
    return [(each.check, each.status) for each in found]


def test_a_vcenter_and_its_vms_are_diagnosed(host):
    findings = host.diagnose()
    assert {"version", "node", "connection", "memory", "storage"} <= {each.check for each in findings}
    assert not [each for each in findings if each.message.startswith("this could not be checked")]
    vm = diagnose_vm(host.vms["DC0_H0_VM0"])
    assert ("files", "ok") in [(each.check, each.status) for each in vm]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({"runtime.connectionState": "connected"}, []),
        ({"runtime.connectionState": "notResponding"}, [("node", "problem")]),
        ({"runtime.inMaintenanceMode": True}, [("node", "warning")]),
        ({"configIssue": [SimpleNamespace(fullFormattedMessage="no syslog")]}, [("node", "warning")]),
        ({"overallStatus": "yellow"}, [("node", "warning")]),
        ({"overallStatus": "red"}, [("node", "problem")]),
    ],
)
def test_what_vsphere_reports_of_a_node_is_named(read, expected):
    assert wrong(diagnosis._node({"name": "esx1", **read})) == expected


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({"summary.accessible": True}, []),
        ({"summary.accessible": False}, [("storage", "problem")]),
        ({"summary.accessible": True, "summary.maintenanceMode": "inMaintenance"}, [("storage", "warning")]),
    ],
)
def test_a_datastore_that_can_not_be_used_is_named(read, expected):
    assert wrong(diagnosis._datastore({"name": "store", **read})) == expected


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({"runtime.connectionState": "inaccessible"}, [("files", "problem")]),
        ({"runtime.consolidationNeeded": True}, [("snapshots", "warning")]),
        ({"runtime.powerState": "poweredOn", "guest.toolsStatus": "toolsOld"}, [("guest agent", "warning")]),
    ],
)
def test_what_vsphere_reports_of_a_vm_is_named(read, expected):
    assert wrong(diagnosis._vm({"name": "web1", **read})) == expected
