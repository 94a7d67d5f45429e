"""Export and import of appliances."""

from __future__ import annotations

import io
import tarfile

import pytest

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.specs import ApplianceSpec
from novacron.testing.conformance.case import Conformance, needs

BOTH = ("appliance_export", "appliance_import")


def exported(vm: VMHandle) -> bytes:
    """Return a VM's appliance."""
    target = io.BytesIO()
    vm.host.invoke("appliance_export", vm=vm.id, target=target)
    return target.getvalue()


def imported(host: HostHandle, content: bytes, **fields: object) -> VMHandle:
    """Create a VM from an appliance."""
    record = host.invoke("appliance_import", source=io.BytesIO(content), spec=ApplianceSpec.parse(fields))
    return host.vms[record.id]


class TestAppliances(Conformance):
    """A VM that is exported and imported is the same with another identity."""

    @needs(*BOTH)
    def test_a_vm_goes_out_and_comes_back(self, host: HostHandle, vm_with_disk: VMHandle, prefix: str) -> None:
        """The new VM has the CPUs, memory, description and disks of the first one, which is unchanged."""
        before = vm_with_disk.refresh().record
        content = exported(vm_with_disk)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            assert archive.getnames()[0].endswith(".ovf"), "the description comes first"
        copy = imported(host, content, name=f"{prefix}-copy")
        assert (copy.status, copy.record.vcpus, copy.record.memory_bytes) == ("stopped", before.vcpus, before.memory_bytes)
        sizes = [[d.size_bytes for d in r.disks or () if d.device == "disk"] for r in (copy.record, before)]
        assert sizes[0] == sizes[1]
        assert copy.id != before.id
        assert vm_with_disk.refresh().record == before
        assert copy.start().status == "running"
        copy.delete(force=True)

    @needs(*BOTH)
    def test_a_running_vm_is_not_exported(self, host: HostHandle, running: VMHandle) -> None:
        """An appliance of a running VM would have disks of different moments."""
        with pytest.raises(InvalidStateError, match=running.name):
            exported(running)

    @needs(*BOTH)
    def test_a_taken_name_is_refused(self, host: HostHandle, vm: VMHandle) -> None:
        """The import is refused before anything is made."""
        with pytest.raises(AlreadyExistsError):
            imported(host, exported(vm))

    @needs(*BOTH, "vm_list")
    @pytest.mark.parametrize("harm", ["empty", "no tar", "cut off", "changed"])
    def test_a_broken_appliance_leaves_nothing(self, host: HostHandle, vm_with_disk: VMHandle, prefix: str, harm: str) -> None:
        """The import is refused by InvalidSpecError, which says what is wrong with the appliance."""
        content = exported(vm_with_disk)
        at = content.index(b".vmdk") if harm == "changed" and b".vmdk" in content else 0
        broken = {
            "empty": b"",
            "no tar": b"no tar" * 500,
            "cut off": content[: len(content) // 3],
            "changed": content[:at] + content[at:].replace(b"KDMV", b"KDMW", 1) if at else content[:600] + b"<" + content[601:],
        }[harm]
        with pytest.raises(InvalidSpecError):
            imported(host, broken, name=f"{prefix}-broken")
        assert f"{prefix}-broken" not in host.vms


__all__ = ["TestAppliances"]
