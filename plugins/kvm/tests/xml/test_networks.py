"""Definitions of networks: the spanning tree of a network's own bridge is written, changed and read back."""

import pytest
from lxml import etree

from novacron.specs import NetworkSpec
from novacron_kvm.xml.networks import change, fields, network_element


@pytest.mark.parametrize(
    ("given", "attributes", "reported"),
    [
        ({}, None, {}),
        ({"stp": False}, {"stp": "off"}, {"stp": False}),
        ({"stp": True}, {"stp": "on"}, {}),
        ({"stp": True, "forward_delay": 4}, {"stp": "on", "delay": "4"}, {"forward_delay": 4}),
        ({"forward_delay": 0, "bridge": "br7"}, {"name": "br7", "delay": "0"}, {}),
    ],
)
def test_spanning_tree_settings_are_written_as_asked(given, attributes, reported):
    element = network_element(NetworkSpec(name="lan", type="isolated", **given))
    bridge = element.find("bridge")
    assert (None if bridge is None else dict(bridge.attrib)) == attributes
    assert fields(element)["native"] == reported


def test_changing_one_setting_of_a_bridge_keeps_the_others():
    root = etree.fromstring(
        "<network><name>lan</name><bridge name='virbr4' stp='on' delay='3'/><mac address='52:54:00:00:00:01'/></network>"
    )
    change(root, NetworkSpec(name="lan", type="isolated", stp=False), {"stp"})
    assert dict(root.find("bridge").attrib) == {"name": "virbr4", "stp": "off", "delay": "3"}
    change(root, NetworkSpec(name="lan", type="isolated", bridge="br9"), {"bridge"})
    assert dict(root.find("bridge").attrib) == {"name": "br9", "stp": "off", "delay": "3"}
    change(root, NetworkSpec(name="lan", type="isolated", mtu=1400), {"mtu"})
    assert dict(root.find("bridge").attrib) == {"name": "br9", "stp": "off", "delay": "3"}


@pytest.mark.parametrize(
    ("vlan", "read"),
    [
        ("", {}),
        ('<vlan><tag id="42"/></vlan>', {"vlan": 42}),
        ('<vlan trunk="yes"><tag id="42"/></vlan>', {"vlan_trunk": [42]}),
        ('<vlan trunk="yes"><tag id="42"/><tag id="47" nativeMode="untagged"/></vlan>', {"vlan_trunk": [42, 47]}),
        ('<vlan><tag id="42"/><tag id="47"/></vlan>', {"vlan_trunk": [42, 47]}),
    ],
)
def test_a_trunk_of_a_port_group_is_not_read_as_its_first_tag(vlan, read):
    group = f'<portgroup name="g">{vlan}</portgroup>'
    text = (
        f'<network><name>n</name><forward mode="bridge"/><bridge name="b"/>{group}<portgroup name="d" default="yes"/></network>'
    )
    groups = fields(etree.fromstring(text))["native"]["portgroups"]
    assert groups == [{"name": "g"} | read, {"name": "d", "default": True}]
