"""Recommendations of DRS, EVC, the power of vApps, and storage policies; govc is the witness."""

from __future__ import annotations

import json

import pytest

from novacron import DiskSpec, VMSpec, errors
from novacron_lab.vcenter import VCenter

C0 = "/DC0/host/DC0_C0"


@pytest.fixture(scope="module")
def vcenter():
    with VCenter("-machines", "0") as vcenter:
        yield vcenter


def test_a_recommendation_of_drs_is_listed_and_applied(host, govc):
    """The simulator's DRS, which is ours, recommends a migration when nodes differ by two running VMs."""
    native = host.native
    vms = [host.vms.create(VMSpec(name=f"busy{n}", memory="64MiB", node="DC0_C0_H0", start=True)) for n in range(2)]
    native.cluster_update("DC0_C0", drs=False)
    with pytest.raises(errors.InvalidStateError, match="DRS is off"):
        native.cluster_recommendation_list("DC0_C0")
    native.cluster_update("DC0_C0", drs=True, drs_mode="manual")
    (found,) = native.cluster_recommendation_list("DC0_C0")
    assert (found.source, found.cluster, found.vm in {vm.id for vm in vms}) == ("DC0_C0_H0", "DC0_C0", True)
    assert found.name == host.vms[found.vm].name
    theirs = json.loads(govc("object.collect", "-json", C0, "recommendation"))
    assert found.key in json.dumps(theirs)
    assert native.cluster_recommendation_list("DC0_C0", refresh=False) == [found]
    applied = native.cluster_recommendation_apply("DC0_C0", found.key)
    assert applied == found
    node = govc("object.collect", "-s", f"/DC0/vm/{found.name}", "runtime.host")
    assert govc("object.collect", "-s", node, "name") == found.destination
    assert native.cluster_recommendation_list("DC0_C0") == []
    with pytest.raises(errors.NotFoundError, match=found.key):
        native.cluster_recommendation_apply("DC0_C0", found.key)
    for vm in vms:
        vm.delete(force=True)


def test_evc_modes_are_checked_against_the_nodes(host, govc):
    """Each node by the highest mode that govc reads of it; govc has no command of its own for that. An unknown mode is refused."""
    paths = [path for path in govc("find", "/DC0", "-type", "h").split() if path.startswith(C0)]
    most = {path.rpartition("/")[2]: govc("object.collect", "-s", path, "summary.maxEVCModeKey").strip() for path in paths}
    for mode, enough in (("intel-broadwell", {"intel-broadwell", "intel-skylake"}), ("intel-skylake", {"intel-skylake"})):
        checked = {each.node: (each.most, each.fits) for each in host.native.cluster_evc_check("DC0_C0", mode)}
        assert checked == {node: (key, key in enough) for node, key in most.items()}
    assert {each.fits for each in host.native.cluster_evc_check("DC0_C0", "amd-zen2")} == {False}
    with pytest.raises(errors.NotFoundError, match="no EVC mode"):
        host.native.cluster_evc_check("DC0_C0", "no such mode")


def test_the_cpu_baseline_is_the_lowest_evc_mode_of_one_vendor(host, govc):
    paths = govc("find", "/DC0", "-type", "h").split()
    modes = {govc("object.collect", "-s", path, "summary.maxEVCModeKey").strip() for path in paths}
    assert modes == {"intel-skylake", "intel-broadwell"}
    found = host.cpu_baseline()
    assert (found.model, found.vendor) == ("intel-broadwell", "intel")
    assert found.nodes == tuple(sorted(node.name for node in host.nodes()))
    assert host.cpu_baseline(["intel-skylake"]).model == "intel-broadwell"
    assert host.cpu_baseline(["intel-haswell"]).model == "intel-haswell"
    with pytest.raises(errors.UnsupportedOperationError, match="amd, intel"):
        host.cpu_baseline(["amd-zen2"])
    with pytest.raises(errors.InvalidSpecError, match="an EVC mode"):
        host.cpu_baseline(["pentium"])


def test_a_vapp_starts_suspends_and_stops_its_vms(host, govc):
    native = host.native
    native.pool_create("shop", C0, vapp=True, memory_limit="1GiB")
    vms = [host.vms.create(VMSpec(name=f"shop{n}", memory="64MiB", native={"resource_pool": "shop"})) for n in range(2)]

    def states():
        return {govc("object.collect", "-s", vm.record.path, "runtime.powerState") for vm in vms}

    shown = native.vapp_show("shop")
    assert (shown.vms, shown.running, shown.state) == (("shop0", "shop1"), 0, "stopped")
    assert native.vapp_start("shop").running == 2
    assert states() == {"poweredOn"}
    assert native.vapp_start("shop").state == "started"
    assert native.vapp_suspend("shop").running == 0
    assert states() == {"suspended"}
    native.vapp_start("shop")
    assert native.vapp_stop("shop", force=True).state == "stopped"
    assert states() == {"poweredOff"}
    assert [each.path for each in native.vapp_list()] == govc.lines("find", "/DC0", "-type", "a")
    with pytest.raises(errors.NotFoundError):
        native.vapp_start("no such vApp")
    for vm in vms:
        vm.delete()
    native.pool_delete("shop")


def test_storage_policies_are_assigned_and_checked(host, govc):
    """Their assignment and the check are additions of ours to the simulator."""
    native = host.native
    policies = {each.name: each for each in native.policy_list()}
    theirs = json.loads(govc("storage.policy.info", "-json"))
    assert set(policies) == {each["profile"]["name"] for each in theirs["policies"]}
    name = sorted(policies)[0]
    vm = host.vms.create(VMSpec(name="kept", memory="64MiB", disks=[DiskSpec(size="1MiB"), DiskSpec(size="1MiB")]))
    assert {(each.policy, each.compliance) for each in native.policy_state("kept")} == {(None, "notApplicable")}
    native.policy_assign("kept", name, disk="sdb")
    assert {each.disk: each.policy for each in native.policy_state("kept")} == {None: None, "sda": None, "sdb": name}
    states = native.policy_assign("kept", policies[name].id)
    assert {each.policy for each in states} == {name}
    theirs = govc.json("vm.policy.ls", "-vm", vm.record.path)
    assert [each["policyName"] for each in theirs] == [name, name, name]
    checked = native.policy_state("kept", check=True)
    assert {(each.disk, each.compliance) for each in checked} == {(None, "compliant"), ("sda", "compliant"), ("sdb", "compliant")}
    assert all(each.checked_at for each in checked)
    assert {each.policy for each in native.policy_assign("kept", "default")} == {None}
    with pytest.raises(errors.NotFoundError, match="no such policy"):
        native.policy_assign("kept", "no such policy")
    with pytest.raises(errors.DeviceNotFoundError):
        native.policy_assign("kept", name, disk="sdz")
    vm.delete()
