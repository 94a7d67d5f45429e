"""Records of a driver: plain, typed, comparable values."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from novacron.conversion import convert
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.records.record import Record
from novacron.testing.conformance.case import Conformance, Create, needs, skip_unless_offered

OF_THE_HOST = [
    "host_info",
    "host_stats",
    "host_expirations",
    "host_capabilities",
    "host_ping",
    "node_list",
    "pool_list",
    "network_list",
    "filter_list",
    "template_list",
    "metrics_host",
    "metrics_vms",
    "host_diagnose",
    "device_list",
]
OF_A_VM = [
    "vm_get",
    "vm_export",
    "vm_configuration",
    "snapshot_list",
    "checkpoint_list",
    "resources_get",
    "metrics_vm",
    "vm_diagnose",
]


def check(record: Record) -> None:
    """Fail unless a record matches the declaration of its class, can be converted to JSON and back, and equals its copy."""
    plain = record.as_dict()
    assert convert(json.loads(json.dumps(plain)), type(record)) == record, "each field is as the record declares it"
    assert record.replace() == record
    with pytest.raises(AttributeError):
        setattr(record, next(iter(plain)), None)


class TestRecords(Conformance):
    """Records of all kinds."""

    @pytest.mark.parametrize("operation", OF_THE_HOST)
    def test_records_of_the_host_are_plain_and_typed(
        self, host: HostHandle, running: VMHandle, capabilities: Any, operation: str
    ) -> None:
        """Every read returns records of the declared types; lists are sorted by name."""
        skip_unless_offered(capabilities, operation)
        answer = host.invoke(operation)
        for record in answer if isinstance(answer, list | tuple) else [answer]:
            check(record)
            if hasattr(record, "host"):
                assert record.host == host.name
        if isinstance(answer, list) and answer and hasattr(answer[0], "name"):
            assert [r.name for r in answer] == sorted(r.name for r in answer)

    @pytest.mark.parametrize("operation", OF_A_VM)
    def test_records_of_a_vm_are_plain_and_typed(
        self, host: HostHandle, running: VMHandle, capabilities: Any, operation: str
    ) -> None:
        """The same for a running VM. Where a record has a field `vm`, that is the id of the VM, whichever name it was asked by."""
        skip_unless_offered(capabilities, operation)
        answer = host.invoke(operation, vm=running.name)
        for record in answer if isinstance(answer, list) else [answer]:
            check(record)
            assert getattr(record, "vm", running.id) == running.id

    @needs("metrics_history")
    def test_a_history_is_of_intervals_in_their_order(self, running: VMHandle) -> None:
        """The history is of the VM and the time that were asked for, and has no negative values."""
        began = datetime.now(UTC)
        found = running.history(over="1h")
        for usage in found:
            check(usage)
            assert (usage.vm, usage.host) == (running.id, running.host.name)
            assert began - timedelta(hours=1) < datetime.fromisoformat(usage.at) <= datetime.now(UTC)
            assert usage.seconds > 0
            assert all(value is None or value >= 0 for value in msgspec.structs.astuple(usage)[4:])
        assert [usage.at for usage in found] == sorted({usage.at for usage in found})

    def test_vm_record_is_plain_and_typed_in_every_status(self, host: HostHandle, vm: VMHandle) -> None:
        """The record is plain and typed for a stopped, a running and a suspended VM, and in a listing."""
        check(vm.record)
        check(vm.start().record)
        if host.supports("vm_suspend"):
            check(vm.suspend().record)
        for listed in host.vms.list():
            check(listed.record)

    def test_reading_twice_gives_equal_records(self, host: HostHandle, vm: VMHandle) -> None:
        """Nothing in a record changes by itself while the VM is stopped."""
        assert host.vms[vm.id].record == host.vms[vm.id].record
        assert host.info() == host.info()

    def test_identity_and_time_have_one_form(self, host: HostHandle, create: Create) -> None:
        """Ids are UUIDs, lower case; times ISO 8601 with their zone."""
        vms = [create(), create()]
        assert len({vm.id for vm in vms}) == 2
        for vm in vms:
            assert str(uuid.UUID(vm.id)) == vm.id
            if vm.record.created_at is not None:
                assert datetime.fromisoformat(vm.record.created_at).tzinfo is not None
        info = host.info()
        assert (info.name, info.driver) == (host.name, host.driver_name)
        assert info.version
        assert host.ping().latency_seconds >= 0


__all__ = ["TestRecords", "check"]
