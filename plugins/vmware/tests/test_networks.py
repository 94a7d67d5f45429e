"""Port groups and NICs on a real vSphere API."""

from __future__ import annotations

import pytest

from novacron import VMSpec, errors


@pytest.fixture
def vm(host):
    vm = host.vms.create(VMSpec(name="wired", memory="64MiB", nics=[]))
    yield vm
    vm.delete(force=True)


def test_port_groups_are_networks(host):
    """Standard and distributed ones; the switches' uplinks are none."""
    networks = {n.name: n for n in host.networks.list()}
    assert networks["DC0_DVPG0"].native["kind"] == "distributed"
    assert networks["DC0_DVPG0"].bridge == "DVS0"
    assert networks["VM Network"].native["kind"] == "standard"
    assert not any("Uplink" in name for name in networks)


def test_a_distributed_port_group_lives(host, vm):
    """Made with a VLAN, changed, refused to go while a NIC is on it, deleted."""
    made = host.networks.create(name="blue", type="bridged", bridge="DVS0", vlan=42)
    assert (made.bridge, made.native) == ("DVS0", {"kind": "distributed", "vlan": 42})
    assert host.networks.update("blue", type="bridged", bridge="DVS0", vlan=43).native["vlan"] == 43
    with pytest.raises(errors.AlreadyExistsError):
        host.networks.create(name="blue", type="bridged", bridge="DVS0")
    nic = vm.nics.attach(network="blue")
    assert nic.record.network == "blue"
    with pytest.raises(errors.InvalidStateError, match="wired"):
        host.networks.delete("blue")
    nic.detach()
    host.networks.delete("blue")
    with pytest.raises(errors.NetworkNotFoundError) as caught:
        host.networks["blue"]
    assert "DC0_DVPG0" in caught.value.hint


def test_the_hint_for_a_wrong_network_names_only_what_a_nic_can_be_on(vm):
    with pytest.raises(errors.NetworkNotFoundError) as caught:
        vm.nics.attach(network="no such")
    assert "DC0_DVPG0" in caught.value.hint
    assert "Uplink" not in caught.value.hint


@pytest.mark.parametrize("fields", [{"type": "bridged", "bridge": "vSwitch0", "vlan": 7}, {"type": "isolated"}])
def test_a_port_group_is_made_on_every_node(host, vm, fields):
    """On the switch that all have, or on one of its own."""
    host.networks.create(name="green", **fields)
    native = host.dispatcher.driver.native
    from pyVmomi import vim

    systems = [r["configManager.networkSystem"] for _, r in native.collect(vim.HostSystem, ["configManager.networkSystem"])]
    for _, read in native.read_all(systems, vim.host.NetworkSystem, ["networkInfo.portgroup"]):
        assert "green" in {group.spec.name for group in read["networkInfo.portgroup"]}
    assert vm.nics.attach(network="green").detach().record.nics == ()
    host.networks.delete("green")
    assert "green" not in {n.name for n in host.networks.list()}


def test_what_vsphere_has_no_like_of_is_refused(host):
    """All fields at once, by name, and then all values; nothing was made."""
    with pytest.raises(errors.InvalidSpecError) as caught:
        host.networks.create(name="lan", type="nat", cidr="10.0.0.1/24", dhcp_start="10.0.0.5", dhcp_end="10.0.0.9", domain="lan")
    assert {p.path for p in caught.value.problems} == {"cidr", "dhcp_start", "dhcp_end", "domain"}
    with pytest.raises(errors.InvalidSpecError) as caught:
        host.networks.create(name="lan", type="nat")
    assert {p.path for p in caught.value.problems} == {"type"}
    with pytest.raises(errors.InvalidSpecError) as caught:
        host.networks.create(name="lan", type="bridged", bridge="br0")
    assert "DVS0" in str(caught.value)
    assert "lan" not in {n.name for n in host.networks.list()}


def test_a_nic_changes(host, vm):
    """Network, cable and bandwidth; its MAC address stays."""
    nic = vm.nics.attach(network="DC0_DVPG0", mac="00:50:56:01:02:03", outbound_bytes_per_second="10MB/s")
    assert (nic.record.network, nic.record.model, nic.record.outbound_bytes_per_second) == ("DC0_DVPG0", "vmxnet3", 10_000_000)
    assert nic.link(up=False).record.link_up is False
    assert nic.link(up=True).record.link_up is True
    with pytest.raises(errors.AlreadyExistsError):
        vm.nics.attach(network="DC0_DVPG0", mac="00:50:56:01:02:03")
    with pytest.raises(errors.DeviceNotFoundError) as caught:
        host.invoke("nic_detach", vm=vm.id, nic="00:50:56:00:00:99")
    assert "00:50:56:01:02:03" in caught.value.hint
    assert [n.mac for n in vm.refresh().record.nics] == ["00:50:56:01:02:03"]


def test_a_nic_model_is_as_asked(vm):
    """The paravirtual one is vSphere's vmxnet3."""
    for model, theirs in (("virtio", "vmxnet3"), ("e1000", "e1000"), ("e1000e", "e1000e")):
        assert vm.nics.attach(network="DC0_DVPG0", model=model).record.model == theirs
    with pytest.raises(errors.InvalidSpecError, match="rtl8139"):
        vm.nics.attach(network="DC0_DVPG0", model="rtl8139")


def test_a_port_group_s_security_policy_is_a_filter(host):
    """By the network's name; rules for packets are refused, and so is a name that no network has."""
    filters = {f.name: f for f in host.filters.list()}
    assert {"DC0_DVPG0", "VM Network"} <= set(filters)
    for name in ("DC0_DVPG0",):
        assert host.filters.update(name, anti_spoofing=True).anti_spoofing
        assert host.filters[name].anti_spoofing
        assert not host.filters.update(name, anti_spoofing=False).anti_spoofing
    for field, value in {"rules": [{"action": "deny"}], "default": "deny"}.items():
        with pytest.raises(errors.InvalidSpecError) as caught:
            host.filters.update("DC0_DVPG0", **{field: value})
        assert {p.path for p in caught.value.problems} == {field}
    with pytest.raises(errors.TrafficFilterNotFoundError) as caught:
        host.filters["nowhere"]
    assert "DC0_DVPG0" in caught.value.hint


def test_an_update_needs_only_what_changes(host):
    """A VLAN alone; type and bridge may be given again as they are, and are refused when they differ."""
    host.networks.create(name="alone", type="bridged", bridge="DVS0")
    assert host.networks.update("alone", vlan=7).native["vlan"] == 7
    assert host.networks.update("alone").native["vlan"] == 7
    assert host.networks.update("alone", type="bridged", bridge="DVS0", vlan=8).native["vlan"] == 8
    for wrong in ({"type": "isolated"}, {"type": "bridged", "bridge": "other"}, {"mtu": 9000}):
        with pytest.raises(errors.InvalidSpecError):
            host.networks.update("alone", **wrong)
    assert host.networks["alone"].native["vlan"] == 8
    host.networks.delete("alone")
