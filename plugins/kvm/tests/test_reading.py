"""Definitions that other tools wrote are read as what they mean."""

import pytest
from lxml import etree

from novacron_kvm.xml import networks
from novacron_kvm.xml.filters import outline, rules
from novacron_kvm.xml.reading import disk, nic
from novacron_kvm.xml.sources import backing_key, normalised, source_key

NVME = "<source type='pci' managed='yes' namespace='2'><address domain='0x0000' bus='0x01' slot='0x00' function='0x3'/></source>"
SOURCES = {
    "nvme:0000:01:00.3/2": ("nvme", NVME),
    "vhost-user:/run/blk.sock": ("vhostuser", "<source type='unix' path='/run/blk.sock'/>"),
    "/images/a.img": ("file", "<source file='//images/./b/../a.img'/>"),
    "/dev/vg-0/web": ("block", "<source dev='/dev/mapper/vg--0-web'/>"),
    "/srv/floppy": ("dir", "<source dir='/srv/floppy/'/>"),
    "rbd:pool/image": ("network", "<source protocol='rbd' name='pool/image'><host name='mon'/></source>"),
    "fast/web": ("volume", "<source pool='fast' volume='web'/>"),
}


@pytest.mark.parametrize("key", SOURCES)
def test_each_kind_of_source_has_one_key(key):
    kind, source = SOURCES[key]
    element = etree.fromstring(f"<disk type='{kind}'>{source}</disk>").find("source")
    assert source_key(element, lambda pool, volume: f"{pool}/{volume}") == key


@pytest.mark.parametrize(("kind", "source"), [("nvme", NVME), ("vhostuser", "<source type='unix' path='/run/blk.sock'/>")])
def test_disks_without_a_file_have_a_source(kind, source):
    assert disk(etree.fromstring(f"<disk type='{kind}'>{source}<target dev='vda'/></disk>")).source in SOURCES


@pytest.mark.parametrize(
    ("kind", "source", "backing"),
    [
        ("file", "<source file='/a.img'/>", "/a.img"),
        ("block", "<source dev='/dev/vg0/base'/>", "/dev/vg0/base"),
        ("network", "<source protocol='nbd' name='export'><host name='h'/></source>", "export"),
    ],
)
def test_a_backing_file_is_read_whatever_its_type(kind, source, backing):
    text = f"<disk type='file'><source file='/t'/><backingStore type='{kind}'><format type='raw'/>{source}</backingStore></disk>"
    assert disk(etree.fromstring(text)).backing == backing
    assert disk(etree.fromstring("<disk type='file'><backingStore/></disk>")).backing is None


@pytest.mark.parametrize(
    ("vlan", "tag", "trunk"),
    [
        ("<vlan><tag id='7'/></vlan>", 7, ()),
        ("<vlan trunk='yes'><tag id='7'/></vlan>", None, (7,)),
        ("<vlan><tag id='7'/><tag id='8' nativeMode='untagged'/></vlan>", None, (7, 8)),
        ("", None, ()),
    ],
)
def test_a_trunk_is_not_its_first_vlan(vlan, tag, trunk):
    record = nic(etree.fromstring(f"<interface type='bridge'><source bridge='b'/>{vlan}</interface>"))
    assert (record.vlan, record.vlan_trunk) == (tag, trunk)
    native = networks.fields(etree.fromstring(f"<network>{vlan}</network>"))["native"]
    assert (native.get("vlan"), tuple(native.get("vlan_trunk", ()))) == (tag, trunk)


@pytest.mark.parametrize(
    ("ip", "cidr"),
    [
        ("<ip address='10.1.2.3'/>", "10.1.2.3/8"),
        ("<ip address='172.16.0.1'/>", "172.16.0.1/16"),
        ("<ip address='192.168.9.1'/>", "192.168.9.1/24"),
        ("<ip family='ipv6' address='fd00::1'/>", "fd00::1/64"),
        ("<ip address='10.1.2.3' netmask='255.255.255.0'/>", "10.1.2.3/24"),
        ("<ip address='10.1.2.3' prefix='20'/>", "10.1.2.3/20"),
    ],
)
def test_an_address_without_a_prefix_has_the_one_that_libvirt_takes(ip, cidr):
    assert networks.fields(etree.fromstring(f"<network>{ip}</network>"))["cidrs"] == (cidr,)


def test_a_mask_with_gaps_breaks_no_list():
    """libvirt stores such a network, and refuses to start it."""
    text = "<network><ip address='10.99.0.1' netmask='255.255.0.255'/><ip address='10.1.2.3' prefix='20'/></network>"
    assert networks.fields(etree.fromstring(text))["cidrs"] == ("10.1.2.3/20",)


DROP = "<rule action='drop' direction='inout' priority='1000'><{0}/></rule>"


@pytest.mark.parametrize(
    ("protocols", "default", "left"), [(("all", "all-ipv6"), "deny", 0), (("all",), "allow", 1), (("all-ipv6",), "allow", 1)]
)
def test_a_filter_denies_by_default_only_if_it_drops_both_ip_versions(protocols, default, left):
    text = "".join(map(DROP.format, protocols))
    found = rules(etree.fromstring(f"<filter name='f'>{text}</filter>"))
    assert (found["default"], len(found["rules"])) == (default, left)


def test_a_rule_that_lost_its_match_is_another_rule():
    asked = "<filter name='f'><rule action='drop' direction='in' priority='500'><icmp-ipv6 srcipaddr='::1'/></rule></filter>"
    there = "<filter name='f'><rule action='drop' direction='in' priority='500'/></filter>"
    assert outline(etree.fromstring(asked)) != outline(etree.fromstring(there))
    assert outline(etree.fromstring(asked)) == outline(etree.fromstring(asked.replace("::1", "0:0::1")))


@pytest.mark.parametrize(
    ("path", "above", "key"),
    [
        ("base.img", "/images/top.img", "/images/base.img"),
        ("../base/a.img", "/images/top.img", "/base/a.img"),
        ("/abs//a.img", "/images/top.img", "/abs/a.img"),
        ("nbd://server/export", "/images/top.img", "nbd:export"),
        (None, "/images/top.img", None),
    ],
)
def test_a_backing_file_is_named_from_the_file_above_it(path, above, key):
    assert backing_key(path, above) == key
    assert normalised("/a/../../b") == "/b"
