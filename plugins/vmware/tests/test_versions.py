"""vCenters of older versions: what they have works, and what they lack is refused with the version that has it."""

from __future__ import annotations

import io

import pytest

import novacron
from novacron import VMSpec, errors
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter


@pytest.fixture(scope="module", params=["6.7", "7.0", "7.0.3", "8.0.3"])
def vcenter(request):
    with VCenter("-machines", "1", "-api-version", request.param) as vcenter:
        vcenter.version = request.param
        yield vcenter


def test_the_version_is_negotiated_and_vms_are_managed(vcenter):
    govc = Govc(vcenter)
    with novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password) as host:
        assert host.info().native["api_version"].startswith(vcenter.version)
        assert {vm.record.path for vm in host.vms.list()} == set(govc.lines("find", "/DC0/vm", "-type", "m"))
        vm = host.vms.create(VMSpec(name="own", memory="64MiB", tags=["old"]))
        vm.start()
        vm.snapshots.create("before")
        assert govc("object.collect", "-s", "/DC0/vm/own", "runtime.powerState") == "poweredOn"
        assert host.vms["own"].record.tags == {"old"}
        assert host.native.metric_list("/DC0/vm/own")
        assert host.native.vm_settings("own", boot_delay=1.0).boot_delay_ms == 1000
        assert {each.policy for each in host.native.policy_state("own")} == {None}
        vm.delete(force=True)
        assert "/DC0/vm/own" not in govc.lines("find", "/DC0/vm", "-type", "m")


def test_cloud_init_specifications_need_their_version(vcenter):
    with novacron.connect(vcenter.uri(), name="vc", password=vcenter.password) as host:

        def create():
            return host.native.customization_create_cloudinit(
                "lab", io.BytesIO(b"instance-id: lab\n"), io.BytesIO(b"#cloud-config\n")
            )

        if vcenter.version in ("6.7", "7.0"):
            with pytest.raises(errors.UnsupportedOperationError, match=r"7\.0\.3"):
                create()
            assert not [each for each in host.native.customization_list() if each.name == "lab"]
        else:
            assert create().name == "lab"
            host.native.customization_delete("lab")
