"""Every fault of vSphere's API has its error, which keeps the fault's name, words and properties."""

from __future__ import annotations

from novacron import errors
from novacron_vmware.errors import FAULTS, mapped


def every_fault() -> list[type]:
    from pyVmomi import VmomiSupport, vmodl

    names = {
        *VmomiSupport._dataDefMap,
        *(name if isinstance(name, str) else name[0] for name in VmomiSupport._wsdlDefMap.values()),
    }
    found = []
    for name in sorted(names):
        kind = VmomiSupport.GetVmodlType(name)
        if isinstance(kind, type) and issubclass(kind, vmodl.MethodFault):
            found.append(kind)
    return found


def test_every_fault_of_the_api_has_its_error():
    """All of pyvmomi's; the root alone is left to few, and each keeps its name."""
    faults = every_fault()
    assert len(faults) > 700
    left = []
    for kind in faults:
        error = mapped(kind(), resource="web1")
        assert error.details["fault"] == kind.__name__
        assert error.outcome in ("failed", "not_sent", "unknown")
        assert str(error)
        if type(error) is errors.DriverError:
            left.append(kind.__name__)
    assert len(left) < 90, left
    assert set(FAULTS) <= {kind.__name__ for kind in faults}, "the table names faults that are there"


def test_a_fault_s_own_words_and_properties_are_kept():
    """The message where there is one, otherwise its name in words; objects by type and id."""
    from pyVmomi import vim

    error = mapped(vim.fault.DuplicateName(name="web1", object=vim.VirtualMachine("vm-7", None)))
    assert error.details == {"fault": "vim.fault.DuplicateName", "name": "web1", "object": "VirtualMachine:vm-7"}
    assert "duplicate name" in str(error)
    assert str(mapped(vim.fault.NoDiskSpace(msg="the datastore is full", file="[a] b", datastore="a"))).startswith(
        "the datastore is full"
    )
    silent = vim.fault.InvalidState(faultCause=vim.fault.NoDiskSpace(msg="the datastore is full"))
    assert "the datastore is full" in str(mapped(silent)), "its cause says it"
