"""The hardware of VMs beyond CPUs, memory, disks and NICs: created, changed, refused by name. govc is the witness."""

from __future__ import annotations

import pytest

from novacron import VMSpec, connect, errors

GIB = 2**30


def config(govc, name):
    """What govc reads of a VM: its configuration, and the extra configuration as a dictionary."""
    (found,) = govc.json("vm.info", "-e", name)["virtualMachines"]
    return found["config"], {each["key"]: each["value"] for each in found["config"]["extraConfig"] or ()}


def kinds(govc, name):
    """The types of a VM's devices, as govc lists them."""
    return {device["type"] for device in govc.json("device.ls", "-vm", name)["devices"]}


def test_all_of_the_hardware_of_a_new_vm(host, govc, create):
    """Each field is in the configuration that govc reads."""
    create(
        "fitted",
        vcpus=4,
        topology={"sockets": 2, "cores": 2},
        numa=[{"vcpus": "0-1", "memory": "32MiB", "host_nodes": "0"}, {"vcpus": "2-3", "memory": "32MiB", "host_nodes": "1"}],
        memory_backing={"hugepages": True, "page_size": "1GiB", "locked": True, "preallocate": True, "merge": False},
        features={"hide_hypervisor": True, "pmu": True, "iommu": "intel"},
        launch_security={"type": "sev"},
        firmware="uefi-secure",
        boot_menu=2.5,
        cpuset="0,2-3",
        balloon=False,
        watchdog="reset",
        sound="ich9",
        usb_controller="qemu-xhci",
        serial={"file": "/vmfs/volumes/LocalDS_0/fitted.log"},
        tpm=True,
        disks=[{"size": "1MiB", "boot_order": 1}],
    )
    found, extra = config(govc, "fitted")
    assert (found["hardware"]["numCoresPerSocket"], found["cpuAffinity"]["affinitySet"]) == (2, [0, 2, 3])
    assert (found["vPMCEnabled"], found["sevEnabled"], found["flags"]["vvtdEnabled"]) == (True, True, True)
    assert found["memoryReservationLockedToMax"] is True
    boot = found["bootOptions"]
    assert (boot["bootDelay"], boot["efiSecureBootEnabled"], len(boot["bootOrder"])) == (2500, True, 1)
    assert {key: value for key, value in extra.items() if key.startswith(("numa", "sched", "hypervisor"))} == {
        "hypervisor.cpuid.v0": "FALSE",
        "numa.vcpu.maxPerVirtualNode": "2",
        "sched.mem.lpage.enable1GPage": "TRUE",
        "sched.mem.maxmemctl": "0",
        "sched.mem.prealloc": "TRUE",
        "sched.mem.pshare.enable": "FALSE",
        "sched.node0.affinity": "0",
        "sched.node1.affinity": "1",
    }
    assert {"VirtualWDT", "VirtualHdAudioCard", "VirtualUSBXHCIController", "VirtualSerialPort", "VirtualTPM"} <= kinds(
        govc, "fitted"
    )
    files = [device["backing"].get("fileName") for device in found["hardware"]["device"] if device.get("backing")]
    assert "[LocalDS_0] fitted.log" in files


def test_the_hardware_of_a_stopped_vm_is_changed_and_changed_back(host, govc, create):
    """The plan shows the differences; undoing it restores the configuration."""
    vm = create("altered", vcpus=2, disks=[{"size": "1MiB"}, {"size": "1MiB"}], nics=[{"network": "VM Network"}])
    before, (nic,) = vm.configuration(), vm.record.nics
    changes = {
        "topology": {"sockets": 1, "cores": 2, "threads": 1},
        "features": {"pmu": True, "iommu": "intel", "hide_hypervisor": True},
        "memory_backing": {"locked": True, "merge": False},
        "boot_order": ["sdb", nic.mac],
        "watchdog": "reset",
        "sound": "ich9",
        "balloon": False,
        "tpm": True,
    }
    plan = vm.plan_update(**changes)
    assert {change.field.partition(".")[0] for change in plan} == {*changes}
    plan.apply()
    assert not len(vm.plan_update(**changes))
    found, extra = config(govc, "altered")
    assert (found["hardware"]["numCoresPerSocket"], extra["sched.mem.maxmemctl"]) == (2, "0")
    assert [disk.boot_order for disk in vm.refresh().record.disks] == [None, 1]
    vm.update(**plan.undo)
    assert vm.configuration() == before
    found, extra = config(govc, "altered")
    assert not {"VirtualWDT", "VirtualHdAudioCard", "VirtualTPM"} & kinds(govc, "altered")
    assert not [key for key in extra if key.startswith(("sched", "hypervisor"))]


def test_the_hardware_of_a_running_vm_stays(create):
    """vSphere has one configuration; nothing is changed, the description neither."""
    vm = create("busy", start=True)
    with pytest.raises(errors.InvalidStateError, match="watchdog") as caught:
        vm.update(watchdog="reset", description="changed")
    assert "stop it first" in caught.value.hint
    assert (vm.refresh().record.description, vm.configuration().fields["watchdog"]) == ("", None)


def test_a_boot_order_of_foreign_devices_is_refused(create):
    """The error names the devices that the VM has."""
    vm = create("boots", disks=[{"size": "1MiB"}])
    with pytest.raises(errors.InvalidSpecError) as caught:
        vm.update(boot_order=["sdz"])
    assert [(problem.path, problem.given, problem.allowed) for problem in caught.value.problems] == [
        ("boot_order", "sdz", "one of sda")
    ]


REFUSED = {
    "numa": {"vcpus": 3, "numa": [{"vcpus": "0-1", "memory": "32MiB"}, {"vcpus": "2", "memory": "32MiB"}]},
    "serial.file": {"serial": {"file": "/var/log/web1.log"}},
    "serial.type": {"serial": {"type": "virtio"}},
    "watchdog": {"watchdog": "pause"},
    "sound": {"sound": "ac97"},
    "features.iommu": {"features": {"iommu": "virtio"}},
    "memory_backing.hugepages": {"memory_backing": {"hugepages": True}},
    "launch_security.type": {"launch_security": {"type": "s390-pv"}},
    "cpu_model": {"cpu_model": "Skylake-Server"},
    "host_devices": {"host_devices": [{"pci": "00:07.0"}]},
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_vsphere_lacks_is_refused_by_name(host, path):
    """The VM is not created."""
    with pytest.raises(errors.InvalidSpecError) as caught:
        host.vms.create(VMSpec(name="never", memory="64MiB", **REFUSED[path]))
    assert path in [problem.path for problem in caught.value.problems]
    assert "never" not in host.vms


def test_the_cpu_model_is_an_evc_mode_of_the_vm(host, govc, create):
    """The VM has the masks of the mode, and its record names it."""
    vm = create("model", cpu_model="intel-broadwell")
    assert vm.refresh().record.native["cpu_model"] == "intel-broadwell"
    (found,) = govc.json("vm.info", "model")["virtualMachines"]
    assert [mask["featureName"] for mask in found["runtime"]["featureMask"]] == ["cpuid.AES", "cpuid.AVX2", "cpuid.ADX"]


def test_an_esxi_has_no_cpu_models(esxi):
    with (
        connect(esxi.uri("esx"), name="models", password=esxi.password) as host,
        pytest.raises(errors.InvalidSpecError, match="only a vCenter has EVC modes"),
    ):
        host.vms.create(VMSpec(name="never", memory="64MiB", cpu_model="intel-broadwell"))


def test_a_pci_device_goes_to_one_running_vm_at_a_time(host, govc, create):
    """At creation or later; its memory is reserved. A device that the node lacks, or that a running VM has, is refused."""
    node = host.nodes()[0].name
    one = create("owner", node=node, host_devices=[{"pci": "0000:00:07.0"}])
    found, _ = config(govc, "owner")
    assert (found["memoryReservationLockedToMax"], "VirtualPCIPassthrough" in kinds(govc, "owner")) == (True, True)
    listed = {device.address: device.vms for device in host.devices.list("pci") if device.node == node}
    assert listed["0000:00:07.0"] == ("owner",)
    two = create("heir", node=node)
    one.start()
    with pytest.raises(errors.ResourceAllocationError, match="owner"):
        two.host_devices.attach(pci="00:07.0")
    with pytest.raises(errors.InvalidStateError, match="running"):
        one.host_devices.detach("0000:00:07.0")
    one.stop()
    one.host_devices.detach("0000:00:07.0")
    two.host_devices.attach(pci="00:07.0")
    with pytest.raises(errors.AlreadyExistsError):
        two.host_devices.attach(pci="00:07.0")
    with pytest.raises(errors.DeviceNotFoundError, match=r"ff:1f\.7") as caught:
        two.host_devices.attach(pci="ff:1f.7")
    assert "0000:00:07.0" in caught.value.hint
    with pytest.raises(errors.DeviceNotFoundError):
        one.host_devices.detach("0000:00:07.0")
    listed = {device.address: device.vms for device in host.devices.list("pci") if device.node == node}
    assert listed["0000:00:07.0"] == ("heir",)


def test_the_cores_of_a_socket_follow_the_vcpus(host, govc, create):
    """vSphere takes multiples of them only. A part of a topology changes alone."""

    def sizes():
        hardware = config(govc, "cored")[0]["hardware"]
        return hardware["numCPU"], hardware["numCoresPerSocket"]

    vm = create("cored", vcpus=8, topology={"sockets": 2, "cores": 4})
    vm.update(vcpus=6)
    assert sizes() == (6, 2)
    vm.resources.set_vcpus(3)
    assert sizes() == (3, 1)
    vm.update(vcpus=8, topology={"cores": 4})
    assert sizes() == (8, 4)
    vm.update(topology={"threads": 1})
    assert sizes() == (8, 4), "the cores were not asked for"
    with pytest.raises(errors.InvalidSpecError, match="at least 8 vCPUs"):
        vm.update(topology={"sockets": 1})
