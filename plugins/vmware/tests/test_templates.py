"""Templates on a real vSphere API."""

from __future__ import annotations

import base64
import email
import json
import uuid

import pytest

from novacron import DiskSpec, VMSpec, errors

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""A public key that nobody has the private one of."""

SAME = ("id", "name", "vcpus", "memory_bytes", "machine", "firmware", "disks", "nics", "description", "tags", "metadata")


@pytest.fixture
def golden(host):
    vm = host.vms.create(VMSpec(name="golden", memory="64MiB", disks=[DiskSpec(size="1MiB")], tags={"base"}))
    yield vm
    for template in ("debian", "plain"):
        try:
            host.templates.delete(template)
        except errors.TemplateNotFoundError:
            pass
    vm.delete()


def extra(host, vm) -> dict[str, str]:
    native = host.dispatcher.driver.native
    options = native.read(native.inventory.find(vm.id), ["config.extraConfig"])["config.extraConfig"]
    return {option.key: option.value for option in options}


def test_a_template_has_versions(host, golden):
    """A second one of the same name is version 2; the VM stays, and no template is a VM."""
    first = host.templates.create(golden, "debian", description="Debian 13", tags={"linux"})
    second = host.templates.create(golden, "debian", description="Debian 13.1")
    assert (first.version, first.description, first.tags) == (1, "Debian 13", {"linux"})
    assert second.version == 2
    assert [t.version for t in host.templates.versions("debian")] == [1, 2]
    assert [(t.name, t.version) for t in host.templates.list()] == [("debian", 2)]
    assert {"debian", "debian-v2"}.isdisjoint(v.name for v in host.vms.list())
    assert golden.refresh().status == "stopped"
    assert host.templates.update("debian", description="newer", tags={"a"}).tags == {"a"}
    assert host.templates.versions("debian")[1].description == "newer"
    host.templates.delete("debian", 2)
    assert host.templates["debian"] == first
    with pytest.raises(errors.TemplateNotFoundError) as caught:
        host.templates.deploy("debain", name="x")
    assert "debian" in caught.value.hint


@pytest.mark.parametrize("linked", [False, True])
def test_a_vm_is_deployed_as_asked(host, golden, linked):
    """What the spec gives takes the template's place; disks are added. A linked VM keeps its template alive."""
    host.templates.create(golden, "debian", tags={"linux"})
    vm = host.templates.deploy(
        "debian",
        linked=linked,
        name="web1",
        vcpus=2,
        memory="128MiB",
        description="a web server",
        metadata={"owner": "ann"},
        disks=[DiskSpec(size="2MiB")],
        nics=[{"network": "DC0_DVPG0"}],
        start=True,
        cloud_init={"hostname": "web1.lan", "ssh_keys": [KEY], "user_data": "#!/bin/sh\ntouch /x\n"},
    )
    record = vm.record
    assert (record.status, record.vcpus, record.memory_bytes, record.description) == ("running", 2, 128 * 2**20, "a web server")
    assert (record.tags, record.metadata) == ({"linux"}, {"owner": "ann"})
    assert [d.size_bytes for d in record.disks] == [2**20, 2 * 2**20]
    assert [n.network for n in record.nics] == ["DC0_DVPG0"]
    assert bool(record.disks[0].backing) is linked
    seed = extra(host, vm)
    about = json.loads(base64.b64decode(seed["guestinfo.metadata"]))
    assert about["local-hostname"] == "web1.lan"
    userdata = base64.b64decode(seed["guestinfo.userdata"]).decode()
    parts = [part.get_payload(decode=True).decode() for part in email.message_from_string(userdata).get_payload()]
    assert parts[0] == "#!/bin/sh\ntouch /x\n"
    assert KEY in parts[1]
    if linked:
        with pytest.raises(errors.InvalidStateError, match="web1"):
            host.templates.delete("debian")
    vm.delete(force=True)
    assert host.templates.delete("debian").removed


def test_a_deployment_that_fails_leaves_nothing(host, golden, vcenter):
    """Neither when the start fails, nor when the name is taken."""
    host.templates.create(golden, "debian")
    vcenter.fault("PowerOnVM_Task", "InsufficientResourcesFault", task=True)
    with pytest.raises(errors.ResourceAllocationError):
        host.templates.deploy("debian", name="web1", start=True)
    vcenter.heal()
    assert "web1" not in host.vms
    with pytest.raises(errors.AlreadyExistsError):
        host.templates.deploy("debian", name="golden")


def test_a_linked_clone_shares_the_disks(host, golden):
    """It begins at a snapshot that is taken for it; a full one has its own."""
    linked, full = golden.clone("linked", linked=True), golden.clone("full")
    assert linked.record.disks[0].backing
    assert full.record.disks[0].backing is None
    assert {linked.id, full.id, golden.id} == {v.id for v in host.vms.list(name="*") if v.name in ("linked", "full", "golden")}
    assert linked.record.tags == {"base"}
    for vm in (linked, full):
        vm.delete()


def test_an_exported_definition_has_no_secrets_and_comes_back(host):
    """What cloud-init was given stays where it is; XML that would read files or the network is refused."""
    vm = host.vms.create(
        VMSpec(
            name="exported",
            memory="64MiB",
            cloud_init={"user_data": "#cloud-config\npassword: hunter2"},
            disks=[DiskSpec(size="1MiB")],
        )
    )
    text = vm.export().text
    secret = base64.b64encode(b"#cloud-config\npassword: hunter2").decode()
    assert secret not in text
    assert "hunter2" not in text
    vm.delete(keep_disks=True)
    back = host.vms.import_definition(text)
    assert [getattr(back.record, field) for field in SAME] == [getattr(vm.record, field) for field in SAME]
    disk = vm.record.disks[0].source
    other = text.replace(">exported<", ">other<").replace(vm.id, str(uuid.uuid4()))
    with pytest.raises(errors.DiskLockedError, match="exported"):
        host.vms.import_definition(other)
    assert "other" not in host.vms
    assert disk in back.delete().kept
    assert disk in host.vms.import_definition(other).delete().kept
    for bad in ("", "<a", "<domain/>", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "{}"):
        with pytest.raises(errors.InvalidSpecError):
            host.vms.import_definition(bad)
