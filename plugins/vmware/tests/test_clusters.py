"""Resource pools, clusters and nodes; govc is the witness."""

from __future__ import annotations

import pytest

from novacron import VMSpec, errors
from novacron_lab.vcenter import VCenter

C0 = "/DC0/host/DC0_C0"


@pytest.fixture(scope="module")
def vcenter():
    """Of its own: clusters are made."""
    with VCenter("-machines", "1") as vcenter:
        yield vcenter


def test_resource_pools(host, govc):
    """Created, changed and deleted; what is not given stays, and VMs of a deleted pool go up."""
    made = host.native.pool_create("gold / 1", f"{C0}/Resources", cpu_limit=4000, memory_reservation="64MiB", cpu_shares="high")
    assert made.path == f"{C0}/Resources/gold %2f 1"
    (found,) = govc.json("pool.info", made.path)["resourcePools"]
    cpu, memory = found["config"]["cpuAllocation"], found["config"]["memoryAllocation"]
    assert (cpu["limit"], cpu["shares"]["level"], memory["reservation"], memory["limit"]) == (4000, "high", 64, -1)
    changed = host.native.pool_update(made.id, cpu_shares="1234", memory_limit="1GiB")
    assert (changed.cpu_shares, changed.cpu_limit_mhz, changed.memory_limit_bytes) == (1234, 4000, 2**30)
    (found,) = govc.json("pool.info", made.path)["resourcePools"]
    assert found["config"]["cpuAllocation"]["shares"] == {"shares": 1234, "level": "custom"}
    assert found["config"]["cpuAllocation"]["limit"] == 4000
    assert [pool.path for pool in host.native.pool_list()] == govc.lines("find", "/DC0", "-type", "p")
    vm = host.vms.create(VMSpec(name="pooled", memory="64MiB", native={"resource_pool": made.path}))
    assert host.native.pool_show(made.path).vms == 1
    host.native.pool_delete(made.path)
    assert host.vms["pooled"].id == vm.id
    assert made.path not in govc.lines("find", "/DC0", "-type", "p")
    vm.delete()
    with pytest.raises(errors.InvalidStateError):
        host.native.pool_delete(f"{C0}/Resources")
    for wrong in ({"cpu_shares": "much"}, {"memory_limit": "1000B"}):
        with pytest.raises(errors.InvalidSpecError):
            host.native.pool_create("bad", C0, **wrong)
    with pytest.raises(errors.InvalidSpecError):
        host.native.pool_create("bad", "/DC0/vm")


def test_vapps(host, govc):
    made = host.native.pool_create("app", C0, vapp=True)
    assert made.kind == "vapp"
    assert made.path in govc.lines("find", "/DC0", "-type", "a")
    host.native.pool_delete(made.path)
    assert govc.lines("find", "/DC0", "-type", "a") == []


def test_clusters_are_created_changed_and_deleted(host, govc):
    made = host.native.cluster_create("/DC0/host/new one", drs=True)
    assert (made.drs, made.ha, made.hosts) == (True, False, 0)
    changed = host.native.cluster_update(made.path, drs_mode="manual", ha=True)
    assert (changed.drs, changed.drs_mode, changed.ha) == (True, "manual", True)
    read = govc.json("object.collect", made.path, "configurationEx")
    config = next(each["val"] for each in read if each["name"] == "configurationEx")
    assert (config["drsConfig"]["defaultVmBehavior"], config["dasConfig"]["enabled"]) == ("manual", True)
    assert [cluster.path for cluster in host.native.cluster_list()] == govc.lines("find", "/DC0", "-type", "c")
    host.native.cluster_delete(made.path)
    assert made.path not in govc.lines("find", "/DC0", "-type", "c")
    with pytest.raises(errors.InvalidStateError, match="3 hosts"):
        host.native.cluster_delete("DC0_C0")


def test_groups_and_rules(host, govc):
    """A rule names its groups, which stay as long as it does."""
    native = host.native
    for name in ("a", "b"):
        host.vms.create(VMSpec(name=name, memory="64MiB", native={"cluster": "DC0_C0"}))
    native.cluster_group_create("DC0_C0", "web", vms=("a", "b"))
    native.cluster_group_create("DC0_C0", "rack", nodes=("DC0_C0_H0", "DC0_C0_H1"))
    assert govc.lines("cluster.group.ls", "-cluster", C0) == ["rack", "web"]
    assert govc.lines("cluster.group.ls", "-cluster", C0, "-name", "web") == ["a", "b"]
    native.cluster_rule_create("DC0_C0", "apart", "anti-affinity", ("a", "b"), mandatory=True)
    near = native.cluster_rule_create("DC0_C0", "near", "vm-host-affinity", ("web", "rack"))
    assert (near.members, near.hosts, near.mandatory) == (("web",), "rack", False)
    assert govc.lines("cluster.rule.ls", "-cluster", C0) == ["apart", "near"]
    assert {(rule.name, rule.kind, rule.mandatory) for rule in native.cluster_rule_list("DC0_C0")} == {
        ("apart", "anti-affinity", True),
        ("near", "vm-host-affinity", False),
    }
    with pytest.raises(errors.InvalidStateError, match="near"):
        native.cluster_group_delete("DC0_C0", "web")
    with pytest.raises(errors.AlreadyExistsError):
        native.cluster_rule_create("DC0_C0", "apart", "affinity", ("a", "b"))
    for wrong in (("affinity", ("a",)), ("vm-host-affinity", ("web", "web"))):
        with pytest.raises(errors.InvalidSpecError):
            native.cluster_rule_create("DC0_C0", "wrong", *wrong)
    with pytest.raises(errors.NotFoundError, match="none"):
        native.cluster_rule_create("DC0_C0", "wrong", "vm-host-affinity", ("web", "none"))
    for rule in ("apart", "near"):
        native.cluster_rule_delete("DC0_C0", rule)
    for group in ("web", "rack"):
        native.cluster_group_delete("DC0_C0", group)
    assert govc("cluster.rule.ls", "-cluster", C0) == govc("cluster.group.ls", "-cluster", C0) == ""
    for name in ("a", "b"):
        host.vms[name].delete()


def test_maintenance_moves_running_vms_or_refuses(host, govc):
    vm = host.vms.create(VMSpec(name="there", memory="64MiB", node="DC0_C0_H1"))
    vm.start()
    with pytest.raises(errors.InvalidStateError, match="there"):
        host.native.node_maintenance_enter("DC0_C0_H1")
    assert host.native.node_maintenance_enter("DC0_C0_H1", evacuate=True).maintenance
    assert govc("object.collect", "-s", f"{C0}/DC0_C0_H1", "runtime.inMaintenanceMode") == "true"
    moved = govc("object.collect", "-s", "/DC0/vm/there", "runtime.host")
    assert moved in {f"HostSystem:{node.id}" for node in host.native.node_list() if node.name in ("DC0_C0_H0", "DC0_C0_H2")}
    assert host.vms["there"].status == "running"
    assert not host.native.node_maintenance_leave("DC0_C0_H1").maintenance
    assert not host.native.node_maintenance_leave("DC0_C0_H1").maintenance
    vm.delete(force=True)
    with pytest.raises(errors.InvalidStateError, match="no other node"):
        host.native.node_maintenance_enter("DC0_H0", evacuate=True)


def test_services_time_servers_and_reboot(host, govc):
    """Of one node only; an unknown service is refused with those there are."""
    native, node = host.native, f"{C0}/DC0_C0_H0"
    assert native.node_service_start("DC0_C0_H0", "TSM-SSH").running
    assert native.node_service_policy("DC0_C0_H0", "TSM-SSH", "off").policy == "off"
    (theirs,) = [line.split() for line in govc("host.service.ls", "-host", node).splitlines() if line.startswith("TSM-SSH")]
    assert theirs[1:3] == ["off", "Running"]
    assert not next(each for each in native.node_service_list("DC0_C0_H1") if each.name == "TSM-SSH").running
    assert native.node_service_restart("DC0_C0_H0", "ntpd").running
    assert not native.node_service_stop("DC0_C0_H0", "TSM-SSH").running
    with pytest.raises(errors.NotFoundError, match="httpd"):
        native.node_service_start("DC0_C0_H0", "httpd")
    assert native.node_time_servers("DC0_C0_H0", ("ntp1.example", "ntp2.example")).servers == ("ntp1.example", "ntp2.example")
    assert "ntp1.example" in govc("host.date.info", "-host", node)
    with pytest.raises(errors.InvalidStateError):
        native.node_reboot("DC0_C0_H0")
    before = govc("object.collect", "-s", node, "runtime.bootTime")
    native.node_maintenance_enter("DC0_C0_H0", evacuate=True)
    native.node_reboot("DC0_C0_H0")
    native.node_maintenance_leave("DC0_C0_H0")
    assert govc("object.collect", "-s", node, "runtime.bootTime") != before


def test_nodes_are_disconnected_connected_added_and_removed(own_world, monkeypatch):
    """The simulator's cluster keeps a node that was removed: no other test has this cluster."""
    host, govc = own_world("-machines", "0")
    state = f"{C0}/DC0_C0_H2", "runtime.connectionState"
    assert host.native.node_disconnect("DC0_C0_H2").connection == "disconnected"
    assert govc("object.collect", "-s", *state) == "disconnected"
    assert host.native.node_connect("DC0_C0_H2").connection == "connected"
    assert govc("object.collect", "-s", *state) == "connected"
    with pytest.raises(errors.AuthenticationError):
        host.native.node_add("new.example", "DC0_C0")
    monkeypatch.setenv("NOVACRON_VSPHERE_NODE_PASSWORD", "secret of a node")
    made = host.native.node_add("new.example", "DC0_C0")
    assert made.path in govc.lines("find", "/DC0", "-type", "h")
    with pytest.raises(errors.InvalidStateError):
        host.native.node_remove(made.path)
    host.native.node_maintenance_enter(made.path)
    host.native.node_remove(made.path)
    assert [node.path for node in host.native.node_list()] == govc.lines("find", "/DC0", "-type", "h")


def test_a_change_of_a_pool_keeps_what_another_client_changes_at_the_same_time(host, govc, monkeypatch):
    """govc sets the memory limit just before NovaCron's change of the CPU limit arrives."""
    from pyVmomi import SoapStubAdapter

    made = host.native.pool_create("contended", "DC0_C0")
    real = SoapStubAdapter.InvokeMethod

    def invoke(stub, thing, info, *more):
        if info.name == "UpdateConfig":
            govc("pool.change", "-mem.limit", "512", "-cpu.shares", "high", made.path)
        return real(stub, thing, info, *more)

    with monkeypatch.context() as patched:
        patched.setattr(SoapStubAdapter, "InvokeMethod", invoke)
        changed = host.native.pool_update("contended", cpu_limit=4000)
    assert (changed.cpu_limit_mhz, changed.memory_limit_bytes, changed.cpu_level) == (4000, 512 * 2**20, "high")
    host.native.pool_delete("contended")
