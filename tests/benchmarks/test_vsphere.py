"""Listing and measuring many VMs of a vCenter, against govc and against pyvmomi as people use it."""

import os
import subprocess

import pytest

import novacron
from novacron_lab.vcenter import PASSWORD, USER, VCenter, built

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

VMS = 2000
PATHS = ["name", "runtime.powerState", "config.hardware.numCPU", "config.hardware.memoryMB", "runtime.host"]


@pytest.fixture(scope="module")
def vcenter():
    """2,000 VMs in one datacenter."""
    with VCenter("-machines", str(VMS // 2), "-autostart=false") as vcenter:
        yield vcenter


def test_listing_takes_hardly_more_than_govc(vcenter, measure):
    """Connecting and a first listing, by one sweep; govc's time has its start and log-in too. And each later listing is a fraction."""
    govc = built("govc")
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "GOVC_PERSIST_SESSION": "false"}
    environment |= {"GOVC_URL": f"https://127.0.0.1:{vcenter.port}/sdk", "GOVC_INSECURE": "true"}
    environment |= {"GOVC_USERNAME": USER, "GOVC_PASSWORD": PASSWORD}
    uri = vcenter.uri(path="/DC0")

    def collect():
        command = [govc, "object.collect", "-s", "-type", "m", "/", *PATHS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.count("\n") >= VMS

    def ours():
        with novacron.connect(uri, name="vc", password=vcenter.password) as host:
            vms = host.vms.list()
            assert vms.total == VMS
            assert all(vm.record.node and vm.record.vcpus and vm.record.memory_bytes for vm in vms)

    with novacron.connect(uri, name="vc", password=vcenter.password) as host:

        def again():
            assert host.vms.list().total == VMS

        again()
        found = measure({"govc": collect, "govc again": collect, "ours": ours, "ours, a second listing": again}, rounds=5,
                        control=("govc", "govc again"))  # fmt: skip
    for way in ("ours", "ours, a second listing"):
        print(f"{VMS} VMs, {way}: {found.best(way) * 1000:.0f} ms, {found.told(way, 'govc')}")
    assert found.ratio("ours", "govc") <= 1.5
    assert found.ratio("ours, a second listing", "govc") <= 0.5


def test_listing_is_ten_times_as_fast_as_asking_for_each_value(vcenter, measure):
    """pyvmomi reads an attribute with a call, so three values of a VM take three."""
    from pyVim.connect import Disconnect, SmartConnect
    from pyVmomi import vim

    def each():
        service = SmartConnect(host="127.0.0.1", port=vcenter.port, user=USER, pwd=PASSWORD, disableSslCertValidation=True)
        content = service.RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        # runtime.powerState can't be read so: the simulator leaves an enumeration beside it empty, on which pyvmomi stumbles
        names = [(vm.name, vm.config.hardware.numCPU, vm.config.hardware.memoryMB) for vm in view.view]
        Disconnect(service)
        assert len(names) == VMS

    def ours():
        with novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password) as host:
            assert host.vms.list().total == VMS

    found = measure({"each value": each, "ours": ours}, rounds=1)
    print(f"{VMS} VMs: {found.told('each value', 'ours')}")
    assert found.ratio("each value", "ours") >= 10
