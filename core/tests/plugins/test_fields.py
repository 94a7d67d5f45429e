"""A field of a spec is honoured or refused by name, before the driver is called."""

from __future__ import annotations

import pytest

import novacron
from novacron.dispatch.dispatcher import Dispatcher
from novacron.dispatch.fields import FieldPolicy
from novacron.errors import InvalidSpecError
from novacron.plugins.driver import Driver, hookimpl
from novacron.plugins.fields import mistakes, spec_fields, supported, unsupported
from novacron.plugins.matrix import installed_providers
from novacron.records.vm import NIC
from novacron.specs import DiskSpec, LimitsSpec, NICSpec, VMSpec
from novacron.testing.probes import PROBES
from novacron.testing.values import UNSEEN, VALUES, WITHIN


def refused(table, operation, spec):
    return [each.path for each in unsupported(table, operation, spec)]


def test_every_unsupported_field_is_named_at_once_with_its_path():
    """Nested specs in tuples and mappings included."""
    disks = [{"size": "1GiB"}, {"size": "1GiB", "cache": "none", "limits": {"read_iops": 5}}]
    spec = VMSpec(name="web1", tpm=True, memory_backing={"locked": True}, disks=disks)
    table = {"VMSpec": "name disks memory_backing", "DiskSpec": "size limits", "DiskLimits": "", "MemoryBackingSpec": ""}
    assert refused(table, "vm_create", spec) == ["disks.1.cache", "disks.1.limits.read_iops", "memory_backing.locked", "tpm"]
    limits = LimitsSpec(disks={"vda": {"read_iops": 1, "write_iops": 2}}, cpu_shares=10)
    assert refused({"LimitsSpec": "disks", "DiskLimits": "write_iops"}, "limits_set", limits) == [
        "cpu_shares",
        "disks.vda.read_iops",
    ]


def test_only_given_fields_count_and_a_given_default_is_given():
    assert refused({"VMSpec": "name"}, "vm_create", VMSpec(name="web1")) == []
    assert refused({"VMSpec": "name"}, "vm_create", VMSpec(name="web1", tpm=False)) == ["tpm"]


def test_the_most_specific_key_holds():
    table = {"DiskSpec": "size", "VMSpec.disks": "size cache", "template_deploy.disks": "size bus", "VMSpec": "disks"}
    assert supported(table, "disk_attach", "DiskSpec", (), "DiskSpec") == {"size"}
    assert supported(table, "vm_create", "VMSpec", ("disks",), "DiskSpec") == {"size", "cache"}
    assert supported(table, "template_deploy", "VMSpec", ("disks",), "DiskSpec") == {"size", "bus"}


def test_keys_of_a_free_mapping_can_be_declared_one_by_one():
    spec = VMSpec(name="web1", native={"folder": "a", "colour": "red"})
    assert refused({"VMSpec": "name native.folder"}, "vm_create", spec) == ["native.colour"]
    assert refused({"VMSpec": "name native"}, "vm_create", spec) == []
    assert refused({"VMSpec": "name"}, "vm_create", spec) == ["native"]


class Recorder:
    """A driver's area that notes whether it was called."""

    def __init__(self):
        self.called = []

    @hookimpl
    def nic_attach(self, vm, spec):
        self.called.append(spec)
        return NIC(mac="52:54:00:00:00:01")


def test_a_refused_field_never_reaches_the_driver(monkeypatch):
    """The error names each field, the driver and the host; nothing was sent."""
    monkeypatch.setattr("novacron.dispatch.dispatcher.check_driver", lambda *_, **__: None)
    part = Recorder()
    dispatcher = Dispatcher("lab", "acme", Driver([part]), [FieldPolicy("acme", {"NICSpec": "network"})])
    dispatcher.invoke("nic_attach", vm="web1", spec=NICSpec(network="default"))
    with pytest.raises(InvalidSpecError) as caught:
        dispatcher.invoke("nic_attach", vm="web1", spec=NICSpec(network="default", mtu=1400, queues=2))
    error = caught.value
    assert [problem.path for problem in error.problems] == ["mtu", "queues"]
    assert "acme" in str(error)
    assert error.host == "lab"
    assert error.outcome == "not_sent"
    assert len(part.called) == 1


def test_what_is_refused_is_not_echoed():
    """A field's value may be a secret."""
    policy = FieldPolicy("acme", {"VMSpec": "name"})
    with novacron.connect("sim://fields-echo", policies=[policy]) as host, pytest.raises(InvalidSpecError) as caught:
        host.vms.create(name="web1", cloud_init={"user_data": "#cloud-config\npassword: hunter2\n"})
    assert "hunter2" not in str(caught.value)
    assert "cloud_init" in str(caught.value)
    assert "password" not in repr(caught.value)


def test_a_driver_without_a_declaration_gets_everything():
    from novacron.plugins.driver import DriverProvider
    from novacron.site import _field_policies

    assert _field_policies(DriverProvider(name="acme", schemes=["acme"], connect=lambda uri, context: Driver([]))) == []


@pytest.mark.parametrize("provider", [p for p in installed_providers() if p.fields], ids=lambda p: p.name)
def test_declarations_name_what_there_is(provider):
    """Each spec class has a key, each name is a field, and each longer key names an operation or a place; reasons are for other fields."""
    assert list(mistakes(provider.fields(), provider.reasons())) == []
    assert spec_fields().keys() <= provider.fields().keys()


def test_a_wrong_declaration_is_found():
    table = dict.fromkeys(spec_fields(), "") | {
        "VMSpec": "nmae",
        "vm_crate": "name",
        "VMSpec.dinks": "size",
        "disk_limit": "read_iops",
    }
    found = list(mistakes(table))
    assert found == ["VMSpec: VMSpec has no field 'nmae'", "vm_crate names no spec", "VMSpec.dinks names no spec"]


def test_a_wrong_reason_is_found():
    """A reason is for a field of a spec, and for one that is not supported."""
    table = dict.fromkeys(spec_fields(), "") | {"VMSpec": "tpm"}
    reasons = {"VMSpec.tpm": "x", "VMSpec.tmp": "x", "VMSpce.tpm": "x", "VMSpec.sound": "x"}
    assert list(mistakes(table, reasons)) == [
        "a reason why VMSpec.tpm is not supported, but it is",
        "a reason for VMSpec.tmp, which is no field",
        "a reason for VMSpce.tpm, which is no field",
    ]


def test_the_error_says_why_a_field_is_refused():
    """The driver's reason, for nested specs too; a plain sentence where it has none."""
    policy = FieldPolicy("acme", {"VMSpec": "name disks"}, {"VMSpec.sound": "it is deaf", "DiskSpec.cache": "it has none"})
    with novacron.connect("sim://fields-why", policies=[policy]) as host, pytest.raises(InvalidSpecError) as caught:
        host.vms.create(name="web1", sound="ich9", tpm=True, disks=[{"cache": "none", "size": "1MiB"}])
    assert {problem.path: problem.allowed for problem in caught.value.problems} == {
        "sound": "it is deaf",
        "disks.0.cache": "it has none",
        "disks.0.size": "no value",
        "tpm": "no value",
    }
    assert str(caught.value.problems[0]) == "disks.0.cache: it has none"


def test_sim_refuses_keys_of_native_that_it_does_not_know():
    with novacron.connect("sim://fields-native") as host:
        with pytest.raises(InvalidSpecError, match=r"native\.colour"):
            host.vms.create(name="web1", native={"colour": "red"})
        assert host.vms.create(name="web2", native={"ignores_shutdown": True}).record.native["ignores_shutdown"]


def test_sim_keeps_what_its_records_do_not_show():
    """Through export and import, copies and snapshots."""
    with novacron.connect("sim://fields-kept") as host:
        vm = host.vms.create(
            name="web1",
            clock="localtime",
            watchdog="reset",
            topology={"cores": 2},
            vcpus=2,
            disks=[DiskSpec(size="1GiB", cache="none")],
            nics=[{"network": "default", "queues": 4}],
        )
        before = vm.export().text
        for word in ('"clock": "localtime"', '"watchdog": "reset"', '"cache": "none"', '"queues": 4'):
            assert word in before
            assert word in vm.clone("web2").export().text
            host.vms["web2"].delete()
        vm.delete(keep_disks=True)
        assert host.vms.import_definition(before).export().text == before


def test_conformance_has_a_value_for_every_field_of_every_spec():
    """A new field without one fails here; so does a value of a field that is gone."""
    fields = {name: set(each) for name, each in spec_fields().items() if each}
    assert {name: set(values) for name, values in VALUES.items()} == fields
    assert set(WITHIN) | set(PROBES) == set(VALUES)
    assert all(name.partition(".")[0] in fields for name in UNSEEN)
