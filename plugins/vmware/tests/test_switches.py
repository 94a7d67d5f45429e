"""Switches and port groups; govc is the witness."""

from __future__ import annotations

import pytest

from novacron import NICSpec, VMSpec, errors
from novacron_lab.vcenter import VCenter


@pytest.fixture(scope="module")
def vcenter():
    with VCenter("-machines", "1") as vcenter:
        yield vcenter


def test_distributed_switches_and_trunks(host, govc):
    """Created with port groups, one of them a trunk; a group that a VM is on stays."""
    native = host.native
    made = native.switch_create("fab/ric", mtu=9000, uplinks=("up1", "up2"))
    assert (made.kind, made.mtu, made.uplinks) == ("distributed", 9000, ("up1", "up2"))
    assert "/DC0/network/fab%2fric" in govc.lines("find", "/DC0/network", "-type", "w")
    (tagged,) = native.portgroup_create("tagged", "fab/ric", vlan="12", promiscuous=True)
    (trunk,) = native.portgroup_create("trunk", "fab/ric", vlan="10-20,30")
    assert (tagged.vlan, tagged.promiscuous, trunk.vlan) == ("12", True, "10-20,30")
    config = govc("object.collect", "-json", "/DC0/network/trunk", "config.defaultPortConfig")
    assert '"start":10' in config.replace(" ", "")
    native.switch_attach("fab/ric", ("DC0_H0",))
    assert native.node_show("DC0_H0").id in govc("object.collect", "-s", "/DC0/network/fab%2fric", "summary.hostMember")
    vm = host.vms.create(VMSpec(name="plugged", memory="64MiB", node="DC0_H0", nics=[NICSpec(network="tagged")]))
    for refused in (lambda: native.portgroup_delete("tagged"), lambda: native.switch_delete("fab/ric")):
        with pytest.raises(errors.InvalidStateError):
            refused()
    with pytest.raises(errors.AlreadyExistsError):
        native.portgroup_create("tagged", "fab/ric")
    vm.delete()
    native.switch_detach("fab/ric", ("DC0_H0",))
    assert govc("object.collect", "-s", "/DC0/network/fab%2fric", "summary.hostMember") == ""
    native.portgroup_delete("tagged")
    assert {group.name for group in native.portgroup_list("fab/ric")} == {"trunk"}
    native.portgroup_delete("trunk")
    native.switch_delete("fab/ric")
    assert "/DC0/network/fab%2fric" not in govc.lines("find", "/DC0/network", "-type", "w")


def test_standard_switches_of_one_node_and_of_all(host, govc):
    native = host.native
    native.switch_create("vSwitch7", node="DC0_H0")
    assert "vSwitch7" in govc("host.vswitch.info", "-host", "/DC0/host/DC0_H0/DC0_H0")
    (made,) = native.portgroup_create("own", "vSwitch7", vlan="7", forged_transmits=False)
    assert (made.node, made.vlan, made.kind) == ("DC0_H0", "7", "standard")
    assert "own" in govc("host.portgroup.info", "-host", "/DC0/host/DC0_H0/DC0_H0")
    everywhere = native.portgroup_create("everywhere", "vSwitch0")
    assert {group.node for group in everywhere} == {node.name for node in native.node_list()}
    native.portgroup_delete("everywhere")
    assert [group for group in native.portgroup_list() if group.name == "everywhere"] == []
    with pytest.raises(errors.InvalidStateError, match="own"):
        native.switch_delete("vSwitch7", node="DC0_H0")
    native.portgroup_delete("own", node="DC0_H0")
    native.switch_delete("vSwitch7", node="DC0_H0")
    assert "vSwitch7" not in govc("host.vswitch.info", "-host", "/DC0/host/DC0_H0/DC0_H0")
    for vlan in ("4095", "x", "5-1", "1-2"):
        with pytest.raises(errors.InvalidSpecError):
            native.portgroup_create("bad", "vSwitch0", vlan=vlan)
    with pytest.raises(errors.NotFoundError):
        native.portgroup_create("bad", "none")


def test_port_groups_agree_with_govc(host, govc):
    """Without uplinks: the simulator forgets to delete those of a deleted switch."""
    theirs = {line.rpartition("/")[2] for line in govc.lines("find", "/DC0/network", "-type", "g") if "-DVUplinks" not in line}
    ours = {group.name for group in host.native.portgroup_list() if group.kind == "distributed"}
    assert {name for name in ours if "-DVUplinks" not in name} == theirs


def test_teaming(host, govc):
    """VLAN and security policy stay when the teaming changes; a standard port group changes on all nodes."""
    native = host.native
    native.switch_create("teamed", uplinks=("up1", "up2"))
    native.portgroup_create("spread", "teamed", vlan="7", promiscuous=True)
    (changed,) = native.portgroup_teaming_set("spread", active=("up1",), standby=("up2",), balance="load", failback=False)
    assert (changed.active, changed.standby, changed.balance, changed.failback) == (("up1",), ("up2",), "load", False)
    (kept,) = native.portgroup_teaming_set("spread", notify=True)
    assert kept == changed.replace(notify=True)
    theirs = govc("object.collect", "-json", "/DC0/network/spread", "config.defaultPortConfig")
    assert "loadbalance_loadbased" in theirs
    (group,) = native.portgroup_list("teamed")
    assert (group.vlan, group.promiscuous) == ("7", True)
    states = native.portgroup_teaming_set("VM Network", active=("vmnic0",), balance="explicit")
    assert len(states) == len(native.node_list())
    assert {(each.active, each.balance) for each in states} == {(("vmnic0",), "explicit")}
    with pytest.raises(errors.UnsupportedOperationError):
        native.portgroup_teaming_set("VM Network", balance="load")
    with pytest.raises(errors.InvalidSpecError):
        native.portgroup_teaming_set("spread", active=("up1",), standby=("up1",))
    native.portgroup_delete("spread")
    native.switch_delete("teamed")


def ports_of(govc, name):
    """What govc reads of a distributed port group's ports."""
    return govc.json("object.collect", f"/DC0/network/{name}", "config.defaultPortConfig")[0]["val"]


def test_a_change_of_a_distributed_port_group_leaves_the_rest_of_its_ports(host, govc):
    """Teaming, security policy, shaping and promiscuous mode stay when the VLAN or the filter changes, and the other way round."""
    native = host.native
    native.portgroup_create("whole", "DVS0", vlan="7", promiscuous=True)
    try:
        native.portgroup_teaming_set("whole", active=("up1",), standby=("up2",), balance="load")
        shaped(host, "whole")
        before = ports_of(govc, "whole")
        assert before["inShapingPolicy"]["averageBandwidth"]["value"] == 1000
        host.networks.update("whole", vlan=8)
        after = ports_of(govc, "whole")
        assert after.pop("vlan")["vlanId"] == 8
        assert after == {key: value for key, value in before.items() if key != "vlan"}
        host.filters.update("whole", anti_spoofing=True)
        filtered = ports_of(govc, "whole")
        assert filtered["securityPolicy"]["forgedTransmits"]["value"] is False
        assert filtered["securityPolicy"]["allowPromiscuous"] == before["securityPolicy"]["allowPromiscuous"]
        assert filtered["vlan"]["vlanId"] == 8
        assert filtered["uplinkTeamingPolicy"] == before["uplinkTeamingPolicy"]
        assert filtered["inShapingPolicy"] == before["inShapingPolicy"]
    finally:
        native.portgroup_delete("whole")


def shaped(host, name):
    """Shape the traffic of a port group, as another client does."""
    from pyVmomi import vim

    from novacron_vmware.networks.port_groups import reconfigure

    connection = host.dispatcher.driver.native
    groups = connection.collect(vim.dvs.DistributedVirtualPortgroup, ["name"])
    group = next(thing for thing, read in groups if read["name"] == name)
    policy = vim.dvs.DistributedVirtualPort.TrafficShapingPolicy(
        inherited=False,
        enabled=vim.BoolPolicy(inherited=False, value=True),
        averageBandwidth=vim.LongPolicy(inherited=False, value=1000),
    )
    reconfigure(connection, group, name, lambda ports: setattr(ports, "inShapingPolicy", policy))
