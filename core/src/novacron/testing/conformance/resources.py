"""CPU and memory of a VM."""

from __future__ import annotations

from typing import Any

import pytest

from novacron.errors import InvalidSpecError, InvalidStateError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.records.resources import Resources
from novacron.testing.conformance.case import Conformance, needs

MIB = 2**20


class TestResources(Conformance):
    """CPUs and memory, in force and from the next start on."""

    @needs("resources_get", "vcpus_set", "memory_set")
    def test_a_stopped_vm_gets_what_is_asked(self, vm: VMHandle) -> None:
        """More than it was made with too; it is read back, also in the VM's record."""
        assert vm.resources.set_vcpus(2).vcpus == 2
        assert vm.resources.set_memory("128MiB").memory_bytes == 128 * MIB
        found = vm.resources.read()
        assert (found.vcpus, found.memory_bytes, found.next_start) == (2, 128 * MIB, None)
        record = vm.refresh().record
        assert (record.vcpus, record.memory_bytes) == (2, 128 * MIB)

    @needs("resources_get", "vcpus_set")
    def test_what_can_not_be_is_refused_and_nothing_changes(self, host: HostHandle, vm: VMHandle) -> None:
        """No vCPUs, a change in no place, a live change of what is stopped."""
        before = vm.resources.read()
        bad: list[tuple[dict[str, Any], Any]] = [
            ({"count": 0, "live": False, "persistent": True}, InvalidSpecError),
            ({"count": 2, "live": False, "persistent": False}, InvalidSpecError),
            ({"count": 2, "live": True, "persistent": False}, (InvalidStateError, InvalidSpecError)),
        ]
        for arguments, error in bad:
            with pytest.raises(error) as caught:
                host.invoke("vcpus_set", vm=vm.id, **arguments)
            assert caught.value.hint or getattr(caught.value, "problems", ())
        assert vm.resources.read() == before

    @needs("resources_get", "vcpus_set")
    def test_now_and_the_next_start_are_told_apart(self, running: VMHandle) -> None:
        """A persistent change of a running VM leaves it as it is; a hypervisor that has no such change says so."""
        before = running.resources.read()
        more = before.vcpus + 1
        try:
            found = running.resources.set_vcpus(more, live=False)
        except InvalidStateError as caught:
            refused: InvalidStateError | None = caught
        else:
            refused = None
        if refused:
            assert refused.hint
            assert running.resources.read() == before
            return
        assert found.vcpus == before.vcpus
        assert isinstance(found.next_start, Resources)
        assert found.next_start.vcpus == more
        running.stop()
        assert running.resources.read().vcpus == more


__all__ = ["TestResources"]
