"""Node devices of libvirt as records, with libvirt's test driver; the VMs that have them."""

import pytest

import novacron
from novacron import errors
from novacron_kvm.xml.node_devices import host_devices, node_device
from novacron_kvm.xml.parsing import parse

NODE = """<node>
  <domain type='test'><name>one</name><memory>65536</memory><os><type>hvm</type></os>
    <devices>
      <hostdev mode='subsystem' type='pci' managed='yes'>
        <source><address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></source>
      </hostdev>
      <hostdev mode='subsystem' type='usb' managed='yes'><source><vendor id='0x046d'/><product id='0xc52b'/></source></hostdev>
    </devices>
  </domain>
  <device><name>computer</name><capability type='system'><hardware>
    <uuid>11111111-2222-3333-4444-555555555555</uuid></hardware><firmware/></capability></device>
  <device><name>pci_0000_03_00_0</name><parent>computer</parent><driver><name>nouveau</name></driver>
    <capability type='pci'><domain>0</domain><bus>3</bus><slot>0</slot><function>0</function>
      <product id='0x1eb8'>TU104GL</product><vendor id='0x10de'>NVIDIA</vendor>
      <iommuGroup number='7'><address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></iommuGroup></capability></device>
  <device><name>usb_1_4</name><parent>computer</parent>
    <capability type='usb_device'><bus>1</bus><device>4</device><product id='0xc52b'>Receiver</product><vendor id='0x046d'/></capability>
  </device>
</node>"""


@pytest.fixture
def host(tmp_path):
    (tmp_path / "node.xml").write_text(NODE)
    with novacron.connect(f"test://{tmp_path}/node.xml", name="kvm1") as found:
        yield found


def test_node_devices_are_records_with_the_vms_that_have_them(host):
    pci, usb = host.devices.list()
    assert (pci.address, pci.id, pci.vendor, pci.product) == ("0000:03:00.0", "10de:1eb8", "NVIDIA", "TU104GL")
    assert (pci.iommu_group, pci.vms) == (7, ("one",))
    assert (usb.address, usb.id, usb.vendor, usb.product, usb.vms) == ("001:004", "046d:c52b", None, "Receiver", ("one",))


def test_a_device_that_is_there_already_is_refused_by_name(host):
    vm = host.vms["one"]
    with pytest.raises(errors.AlreadyExistsError):
        vm.host_devices.attach(pci="03:00.0")
    with pytest.raises(errors.DeviceNotFoundError, match="046d:ffff"):
        vm.host_devices.attach(usb="046d:ffff")
    with pytest.raises(errors.DeviceNotFoundError) as caught:
        vm.host_devices.detach("04:00.0")
    assert "0000:03:00.0, 046d:c52b" in caught.value.hint


def test_the_driver_of_a_device_is_read():
    """The test driver does not keep it."""
    assert [found["driver"] for each in parse(NODE).iterfind("device") if (found := node_device(each))] == ["nouveau", None]


def test_every_kind_of_hostdev_has_a_name():
    root = parse(
        "<domain><devices><hostdev type='usb'><source><address bus='1' device='4'/></source></hostdev>"
        "<hostdev type='mdev'><source><address uuid='4B20D080-1B54-4048-85B3-A6A62D165C01'/></source></hostdev>"
        "<hostdev type='scsi'><source><adapter name='scsi_host0'/></source></hostdev></devices></domain>"
    )
    assert [name for name, _ in host_devices(root)] == ["001:004", "4b20d080-1b54-4048-85b3-a6a62d165c01"]
