"""The driver against a real vSphere API: govmomi's simulator."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time

import pytest

import novacron
from novacron import DiskSpec, NICSpec, VMSpec, errors


@pytest.fixture
def vm(host):
    vm = host.vms.create(VMSpec(name="mine", vcpus=2, memory="64MiB", description="for a test", disks=[DiskSpec(size="1GiB")]))
    yield vm
    if "mine" in host.vms:
        host.vms["mine"].delete(force=True)


def test_host_info_counts_all_nodes(host):
    """A vCenter's size is the sum of its nodes'."""
    info, nodes = host.info(), host.nodes()
    assert (info.driver, info.version) == ("vmware", "8.0.3")
    assert len(nodes) == 4
    assert info.cpus == sum(node.cpus for node in nodes) > 0
    assert host.ping().host == "vc"


def test_standalone_esxi_works_too(esxi):
    """Listing, starting and stopping need no vCenter."""
    with novacron.connect(esxi.uri("esx"), password=esxi.password) as host:
        vm = host.vms.create(name="alone", memory="64MiB")
        assert vm.start().status == "running"
        assert host.info().native["api_type"] == "HostAgent"
        vm.delete(force=True)


def test_the_environment_gives_the_password(vcenter, monkeypatch):
    """Nobody has to write a password into a URI or program."""
    monkeypatch.setenv("NOVACRON_VSPHERE_PASSWORD", vcenter.password)
    with novacron.connect(vcenter.uri()) as host:
        assert host.vms.list().total == 4
    monkeypatch.delenv("NOVACRON_VSPHERE_PASSWORD")
    with pytest.raises(errors.AuthenticationError, match="no password") as caught:
        novacron.connect(vcenter.uri())
    assert "NOVACRON_VSPHERE_PASSWORD" in caught.value.hint


def test_wrong_password_is_an_authentication_error(vcenter):
    """Nothing else is blamed."""
    with pytest.raises(errors.AuthenticationError) as caught:
        novacron.connect(vcenter.uri(), password="wrong")
    assert caught.value.outcome == "not_sent"
    assert caught.value.__cause__ is not None


def test_untrusted_certificate_is_refused_with_a_way_out(vcenter):
    """TLS is verified unless the user says otherwise."""
    with pytest.raises(errors.HostConnectionError, match="not trusted") as caught:
        novacron.connect(vcenter.uri(query=""), password=vcenter.password)
    assert "thumbprint" in caught.value.hint
    assert "verify=no" in caught.value.hint


def certificate_of(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as tls:
        return tls.getpeercert(binary_form=True)


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_a_thumbprint_trusts_that_certificate_only(vcenter, algorithm):
    """The right one connects, with or without colons; another is refused."""
    thumbprint = hashlib.new(algorithm, certificate_of(vcenter.port)).hexdigest().upper()
    for written in (thumbprint, ":".join(thumbprint[i : i + 2] for i in range(0, len(thumbprint), 2))):
        with novacron.connect(vcenter.uri(query=f"?thumbprint={written}"), password=vcenter.password) as host:
            assert host.vms.list().total == 4
    wrong = ("0" if thumbprint[0] != "0" else "1") + thumbprint[1:]
    with pytest.raises(errors.HostConnectionError, match="has the thumbprint"):
        novacron.connect(vcenter.uri(query=f"?thumbprint={wrong}"), password=vcenter.password)


def test_refused_connection_was_not_sent():
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(errors.HostConnectionError) as caught:
            novacron.connect(f"vsphere://u@127.0.0.1:{free.getsockname()[1]}", password="x")
    assert caught.value.outcome == "not_sent"


def test_a_silent_server_ends_connecting_in_time():
    """One that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(errors.OperationTimeoutError):
            novacron.connect(f"vsphere://u@127.0.0.1:{silent.getsockname()[1]}", password="x", timeout=0.5)
        assert time.monotonic() - began < 30, "the server would be silent for ever"


def test_unknown_datacenter_names_those_there_are(vcenter):
    """The hint says what to write instead."""
    with pytest.raises(errors.NotFoundError) as caught:
        novacron.connect(vcenter.uri(path="/DC9"), password=vcenter.password)
    assert "DC0" in caught.value.hint


def test_created_vm_is_as_asked(host, vm):
    """All fields of the spec are in the record."""
    record = vm.record
    assert (record.name, record.status, record.vcpus, record.memory_bytes) == ("mine", "stopped", 2, 64 * 2**20)
    assert record.description == "for a test"
    assert [d.size_bytes for d in record.disks] == [2**30]
    assert host.vms[record.id].record == host.vms["mine"].record == record


def test_power_follows_the_asked_state(vm):
    """Start, suspend, resume, stop, and wrong states are refused by name."""
    assert vm.start().status == "running"
    with pytest.raises(errors.InvalidStateError, match="mine"):
        vm.start()
    assert vm.suspend().status == "suspended"
    assert vm.resume().status == "running"
    with pytest.raises(errors.InvalidStateError, match="running"):
        vm.delete()
    assert vm.stop().status == "stopped"
    with pytest.raises(errors.InvalidStateError):
        vm.stop()


def test_a_taken_name_is_refused_before_creating(host, vm):
    """The simulator would accept a second VM of that name."""
    with pytest.raises(errors.AlreadyExistsError):
        host.vms.create(name="mine")
    assert host.vms.list(name="mine").total == 1


def test_deleted_vm_is_gone(host, vm):
    """Neither name nor UUID finds it, and its disk is named as removed."""
    gone = vm.delete()
    assert len(gone.removed) == 1
    assert gone.name not in host.vms
    assert gone.id not in host.vms
    with pytest.raises(errors.VMNotFoundError):
        vm.refresh()


def test_nic_is_on_the_asked_network(host):
    """And an unknown network is refused, leaving nothing."""
    with pytest.raises(errors.NetworkNotFoundError) as caught:
        host.vms.create(name="wired", nics=[NICSpec(network="nowhere")])
    assert "DC0_DVPG0" in caught.value.hint
    assert "wired" not in host.vms
    vm = host.vms.create(name="wired", memory="64MiB", nics=[NICSpec(network="DC0_DVPG0", mac="00:50:56:00:00:07")])
    assert [(nic.mac, nic.model) for nic in vm.record.nics] == [("00:50:56:00:00:07", "vmxnet3")]
    vm.delete()


def test_fields_not_offered_are_refused_by_name(host):
    """All of them at once, nested ones too."""
    with pytest.raises(errors.InvalidSpecError) as caught:
        host.vms.create(
            name="x",
            memory_backing={"shared": True},
            vsock=True,
            disks=[DiskSpec(size="1GiB", serial="one"), DiskSpec(size="1GiB", limits={"read_iops": 5})],
            nics=[NICSpec(network="DC0_DVPG0", mtu=9000), NICSpec(bridge="br0")],
        )
    assert {p.path for p in caught.value.problems} == {
        "memory_backing.shared",
        "vsock",
        "disks.0.serial",
        "disks.1.limits.read_iops",
        "nics.0.mtu",
        "nics.1.bridge",
    }
    assert "x" not in host.vms


def test_values_not_offered_are_refused_by_name(host):
    """Fields that are supported, with values that are not: all of them at once."""
    with pytest.raises(errors.InvalidSpecError) as caught:
        host.vms.create(
            name="x",
            autostart=True,
            arch="aarch64",
            cpu_mode="host-model",
            disks=[DiskSpec(size="1GiB", format="qcow2"), DiskSpec(size="1GiB", bus="usb")],
        )
    assert {p.path for p in caught.value.problems} == {"autostart", "arch", "cpu_mode", "disks.0.format", "disks.1.bus"}
    assert "x" not in host.vms


def test_listing_costs_the_same_calls_for_few_and_many(host, monkeypatch):
    """A summary costs one call for what changed, the full records a sweep in pages."""
    from pyVmomi import SoapStubAdapter

    calls, real = [], SoapStubAdapter.InvokeMethod
    monkeypatch.setattr(SoapStubAdapter, "InvokeMethod", lambda *a, **k: (calls.append(a[2].name), real(*a, **k))[1])
    host.vms.list()
    calls.clear()
    host.vms.list()
    assert len(calls) == 1
    made = [host.vms.create(name=f"many-{n}", memory="64MiB") for n in range(10)]
    calls.clear()
    assert host.vms.list(name="many-*").total == 10
    assert len(calls) <= 2
    calls.clear()
    assert host.vms.list(name="many-*", detail="full").total == 10
    assert len(calls) <= 7
    for vm in made:
        vm.delete()


def test_expired_session_is_renewed_without_losing_the_call(host):
    """The user sees nothing of it."""
    native = host.dispatcher.driver.native
    for ask in (host.vms.list, lambda: host.vms["DC0_H0_VM0"].stop(), lambda: host.vms["DC0_H0_VM0"].start(), host.nodes):
        native.content.sessionManager.Logout()
        assert ask()


def test_a_vm_goes_where_the_spec_says(host):
    """Cluster, resource pool and folder by name; one that is not there is said with those that are."""
    vm = host.vms.create(VMSpec(name="placed", memory="64MiB", native={"cluster": "DC0_C0"}))
    assert vm.record.node.startswith("DC0_C0_")
    vm.delete()
    native = host.dispatcher.driver.native
    top = native.read(native.root, ["vmFolder"])["vmFolder"]
    inner = top.CreateFolder("prod").CreateFolder("web")
    vm = host.vms.create(VMSpec(name="placed", memory="64MiB", native={"folder": "prod/web"}))
    assert native.read(native.inventory.find(vm.id), ["parent"])["parent"] == inner
    vm.delete()
    for key, value, there in (
        ("cluster", "C9", "DC0_C0"),
        ("folder", "prod/nowhere", "web"),
        ("resource_pool", "none", "Resources"),
    ):
        with pytest.raises(errors.InvalidSpecError, match=there):
            host.vms.create(VMSpec(name="placed", memory="64MiB", native={key: value}))
    native.read(top, ["childEntity"])
    native.wait(
        next(f for f in native.read(top, ["childEntity"])["childEntity"] if "Folder" in str(f)).Destroy_Task(), resource="prod"
    )


def test_a_vm_on_a_datastore_is_registered(host):
    """By the path of its .vmx; a second time it is there already."""
    vm = host.vms.create(VMSpec(name="kept", memory="64MiB"))
    native = host.dispatcher.driver.native
    thing = native.inventory.find(vm.id)
    path = native.read(thing, ["config.files.vmPathName"])["config.files.vmPathName"]
    thing.UnregisterVM()
    assert "kept" not in host.vms
    assert host.vms.import_definition(path).name == "kept"
    with pytest.raises(errors.AlreadyExistsError):
        host.vms.import_definition(path)
    host.vms["kept"].delete()


def test_an_esxi_starts_vms_with_itself(esxi, host):
    """As the spec or an update says; in a vCenter HA decides, so there it is refused."""
    with novacron.connect(esxi.uri("esx"), password=esxi.password) as alone:
        vm = alone.vms.create(name="early", memory="64MiB", autostart=True)
        assert vm.record.autostart is True
        assert vm.autostart(False).record.autostart is False
        assert vm.autostart().record.autostart is True
        assert {v.name for v in alone.vms.list(detail="full") if v.record.autostart} == {"early"}
        vm.delete()
    with pytest.raises(errors.InvalidSpecError, match="HA"):
        host.vms["DC0_H0_VM0"].autostart()


def test_a_running_vm_is_forked(vcenter, host):
    """An instant clone runs on the original's disks, with its tags; one that fails leaves nothing; a stopped VM and an ESXi have none."""
    vm = host.vms.create(VMSpec(name="forked", memory="64MiB", tags={"web"}, disks=[DiskSpec(size="1MiB")]))
    with pytest.raises(errors.InvalidStateError, match="stopped"):
        vm.clone("twin", instant=True)
    vm.start()
    twin = vm.clone("twin", instant=True)
    assert (twin.status, twin.tags) == ("running", {"web"})
    native = host.dispatcher.driver.native
    devices = native.read(native.inventory.find(twin.id), ["config.hardware.device"])["config.hardware.device"]
    disk = next(d for d in devices if hasattr(d, "capacityInKB"))
    assert disk.backing.parent.fileName == vm.record.disks[0].source
    assert twin.stop().delete().removed
    vcenter.fault("InstantClone_Task", "NoDiskSpace", task=True)
    with pytest.raises(errors.ResourceAllocationError):
        vm.clone("twin", instant=True)
    assert "twin" not in host.vms
    assert vm.refresh().status == "running"
    with pytest.raises(errors.InvalidValueError, match="not both"):
        vm.clone("twin", instant=True, linked=True)
    vm.delete(force=True)


def test_a_running_vm_is_cloned(host):
    """The copy is stopped, has an identity of its own, and the original runs on."""
    vm = host.vms.create(VMSpec(name="busy", memory="64MiB", disks=[DiskSpec(size="1MiB")], start=True))
    for linked in (False, True):
        copy = vm.clone(f"copy-{linked}", linked=linked)
        assert (copy.status, vm.refresh().status) == ("stopped", "running")
        assert copy.id != vm.id
        copy.delete()
    vm.delete(force=True)


def test_an_esxi_alone_forks_nothing(esxi):
    """And says who does."""
    with novacron.connect(esxi.uri("esx"), password=esxi.password) as alone:
        vm = alone.vms.create(name="single", memory="64MiB", start=True)
        with pytest.raises(errors.UnsupportedOperationError, match="vCenter"):
            vm.clone("twin", instant=True)
        vm.delete(force=True)


@pytest.mark.parametrize("firmware", ["bios", "uefi", "uefi-secure"])
def test_firmware_controllers_and_tpm_are_as_asked(host, firmware):
    """One controller for each bus that a disk is on, and a TPM where one is wanted."""
    buses = {"scsi": "sda", "sata": "hde", "nvme": "nvme0n1", "ide": "hda"}
    disks = [DiskSpec(size="1MiB", bus=bus) for bus in buses]
    vm = host.vms.create(VMSpec(name="firm", memory="64MiB", firmware=firmware, tpm=firmware == "uefi-secure", disks=disks))
    assert vm.record.firmware == firmware
    assert {disk.target for disk in vm.record.disks} == set(buses.values())
    native = host.dispatcher.driver.native
    devices = native.read(native.inventory.find(vm.id), ["config.hardware.device"])["config.hardware.device"]
    kinds = [type(device).__name__.rpartition(".")[2] for device in devices]
    for controller in ("ParaVirtualSCSIController", "VirtualAHCIController", "VirtualNVMEController"):
        assert kinds.count(controller) == 1
    assert kinds.count("VirtualTPM") == (1 if firmware == "uefi-secure" else 0)
    vm.delete()


def test_one_vm_costs_few_calls(host, create, monkeypatch):
    """A VM that was found by its name is known by its UUID: no further search for it."""
    from pyVmomi import SoapStubAdapter

    create("counted")
    calls, real = [], SoapStubAdapter.InvokeMethod
    monkeypatch.setattr(SoapStubAdapter, "InvokeMethod", lambda *a, **k: (calls.append(a[2].name), real(*a, **k))[1])
    vm = host.vms["counted"]
    host.invoke("address_list", vm=vm.id, source=None)
    assert "FindByUuid" not in calls
    assert len(calls) <= 8
