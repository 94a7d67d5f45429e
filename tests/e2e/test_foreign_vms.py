"""VMs that other tools defined, on a real host: media, clones, imports and filters do what was asked, or say by name why not."""

import uuid

import libvirt
import pytest
from lxml import etree

from novacron import errors
from novacron.specs import NetworkSpec, TrafficFilterSpec

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
MIB = 2**20


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def define(lab, a):
    """Return a function that defines a VM of some devices; each VM whose name begins like it is gone at the end."""
    raw, prefix = libvirt.open(lab.hosts[0].uri), f"foreign{uuid.uuid4().hex[:6]}"

    def defined(devices="", extra="", *, name="", running=False):
        text = (
            f"<domain type='qemu'><name>{prefix}{name}</name>{extra}<memory unit='MiB'>64</memory>"
            f"<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{devices}</devices></domain>"
        )
        domain = raw.defineXML(text)
        if running:
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        return a.vms[domain.UUIDString()]

    defined.raw, defined.prefix = raw, prefix
    yield defined
    for domain in raw.listAllDomains():
        if domain.name().startswith(prefix):
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    raw.close()


def definition_of(define, vm):
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    return etree.fromstring(define.raw.lookupByUUIDString(vm.id).XMLDesc(flags))


@pytest.fixture
def medium(lab, a):
    path = lab.shared / f"medium-{uuid.uuid4().hex[:6]}.iso"
    path.write_bytes(bytes(MIB))
    a.invoke("pool_refresh", pool="default")
    yield path
    path.unlink()
    a.invoke("pool_refresh", pool="default")


DRIVES = {
    "block": ("block", "<source dev='/dev/sr0'/>"),
    "volume": ("volume", "<source pool='default' volume='gone.iso'/>"),
    "network": ("network", "<source protocol='https' name='a.iso'><host name='example.org' port='443'/></source>"),
    "empty block": ("block", ""),
    "file": ("file", "<source file='/gone.iso'/>"),
}


@pytest.mark.parametrize("kind", DRIVES)
def test_a_medium_goes_into_a_drive_of_any_type(define, medium, kind):
    type_, source = DRIVES[kind]
    vm = define(
        f"<disk type='{type_}' device='cdrom'><driver name='qemu' type='raw'/>{source}<target dev='sda' bus='sata'/><readonly/></disk>"
    )
    assert vm.disks["sda"].change_media(f"image:{medium.name}").record.source == str(medium)
    assert vm.refresh().record.disks[0].source == str(medium)
    assert vm.disks["sda"].change_media().record.source is None
    assert definition_of(define, vm).find("devices/disk").get("type") == "file"


CHANNELS = (
    "<channel type='unix'><source mode='connect' path='/run/other.sock'/><target type='virtio' name='a.connect'/></channel>"
    "<channel type='unix'><source mode='bind' path='/var/lib/libvirt/own.sock'/><target type='virtio' name='b.bind'/></channel>"
    "<channel type='file'><source path='/var/tmp/channel.log'/><target type='virtio' name='c.file'/></channel>"
)


def test_a_clone_keeps_what_its_user_named_and_gets_its_own_identity(define):
    identity = str(uuid.uuid4())
    sysinfo = (
        f"<uuid>{identity}</uuid><sysinfo type='smbios'><system><entry name='manufacturer'>Other</entry>"
        f"<entry name='uuid'>{identity}</entry></system></sysinfo>"
    )
    nic = (
        "<interface type='hostdev' managed='yes'><mac address='52:54:00:1d:00:01'/><source>"
        "<address type='pci' domain='0x0000' bus='0x05' slot='0x10' function='0x1'/></source><alias name='ua-passthrough'/></interface>"
    )
    vm = define(CHANNELS + nic, sysinfo)
    clone = vm.clone(f"{define.prefix}-copy")
    root = definition_of(define, clone)
    assert root.findtext("sysinfo/system/entry[@name='uuid']") == root.findtext("uuid") == clone.id != identity
    assert root.findtext("sysinfo/system/entry[@name='manufacturer']") == "Other"
    channels = {c.find("target").get("name"): c.find("source") for c in root.iterfind("devices/channel")}
    assert channels["a.connect"].get("path") == "/run/other.sock"
    assert channels["c.file"].get("path") == "/var/tmp/channel.log"
    assert channels["b.bind"] is None or channels["b.bind"].get("path") != "/var/lib/libvirt/own.sock"
    (interface,) = root.iterfind("devices/interface")
    assert (interface.get("type"), interface.find("source/address").get("bus")) == ("hostdev", "0x05")
    assert interface.find("alias").get("name") == "ua-passthrough"
    assert interface.find("mac").get("address") != "52:54:00:1d:00:01"


def test_a_clone_empties_no_file_of_the_original_and_takes_no_port_of_it(define, tmp_path):
    """QEMU empties the file of a serial port when it starts, and two VMs can't have one port."""
    log = tmp_path / "serial.log"
    log.write_text("of the original")
    devices = (
        f"<serial type='file'><source path='{log}'/></serial><parallel type='file'><source path='{log}'/></parallel>"
        "<graphics type='vnc' port='5990' autoport='no' websocket='5790'/>"
        "<graphics type='spice' port='5991' autoport='no'/>"
        "<vsock model='virtio'><cid auto='no' address='77'/></vsock>"
    )
    vm = define(devices)
    root = definition_of(define, vm.clone(f"{define.prefix}-copy"))
    files = [source for source in root.iterfind("devices/*[@type='file']/source") if source.get("path")]
    assert {(source.get("path"), source.get("append")) for source in files} == {(str(log), "on")}
    displays = {each.get("type"): each for each in root.iterfind("devices/graphics")}
    assert [displays[kind].get("autoport") for kind in ("vnc", "spice")] == ["yes", "yes"]
    assert displays["vnc"].get("port") in (None, "-1")
    assert displays["vnc"].get("websocket") == "-1"
    assert root.find("devices/vsock/cid").get("auto") == "yes"
    before = definition_of(define, vm)
    assert before.find("devices/graphics").get("port") == "5990", "the original stays as it is"
    assert before.find("devices/serial/source").get("append") is None


def test_an_imported_vm_takes_no_files_with_it(lab, lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "runs-on", ticks=1)
    (disk,) = vm.refresh().record.disks
    copy = b.vms.import_definition(vm.export().text)
    gone = copy.delete()
    assert disk.source in gone.kept
    assert (lab.shared / disk.source.rpartition("/")[2]).exists()
    vm.console.wait_for_more_ticks(30, 1)


def test_a_definition_beyond_the_schema_is_imported_when_asked_and_can_be_changed(a, define):
    text = (
        f"<domain type='qemu'><name>{define.prefix}-wild</name><memory unit='MiB'>64</memory><vcpu>2</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        "<interface type='bridge'><mac address='52:54:00:1d:00:02'/><source bridge=';vdsmdummy;'/></interface></devices></domain>"
    )
    with pytest.raises(errors.InvalidSpecError):
        a.vms.import_definition(text)
    vm = a.vms.import_definition(text, validate=False)
    vm.update(description="ours now", tags={"wild"})
    vm.resources.limit(cpu_shares=512)
    assert (vm.refresh().record.description, vm.record.tags) == ("ours now", {"wild"})
    assert ";vdsmdummy;" in vm.export().text
    vm.clone(f"{define.prefix}-wild-copy")


NATIVE = "<filter chain='root'><rule action='drop' direction='in' priority='100'>{}</rule></filter>"


@pytest.mark.parametrize("match", ["<icmp-ipv6 srcipaddr='2001:db8::'/>", "<tpc dstportstart='22'/>", "<tcp dstport='22'/>"])
def test_a_rule_that_libvirt_does_not_know_is_refused_and_no_filter_is_left(a, match):
    name = f"f{uuid.uuid4().hex[:6]}"
    with pytest.raises(errors.NovaCronError) as caught:
        a.invoke("filter_create", spec=TrafficFilterSpec(name=name, native=NATIVE.format(match)))
    assert isinstance(caught.value, errors.InvalidSpecError | errors.DriverError)
    assert name not in [f.name for f in a.invoke("filter_list")]


def test_rules_for_peers_of_both_ip_versions_are_there_as_asked(a):
    name = f"f{uuid.uuid4().hex[:6]}"
    rules = (
        {"action": "deny", "direction": "in", "protocol": "icmpv6", "peer": "2001:db8::/32"},
        {"action": "deny", "direction": "in", "protocol": "icmp", "peer": "192.0.2.0/24"},
        {"action": "allow", "direction": "out", "peer": "2001:db8:1::/48"},
        {"action": "reject", "direction": "in", "protocol": "sctp", "ports": "5000-5010", "peer": "fd00::/8"},
    )
    try:
        assert a.invoke("filter_create", spec=TrafficFilterSpec(name=name, rules=rules)).rules == rules
    finally:
        a.invoke("filter_delete", filter=name)


def test_a_network_with_spaces_in_its_name_is_updated(a):
    name = f"guest net {uuid.uuid4().hex[:4]}"
    a.networks.create(name=name, type="isolated", cidr="10.123.7.1/24")
    try:
        spec = NetworkSpec(name=name, dns_hosts=[{"address": "10.123.7.5", "names": ["web"]}])
        changed = a.invoke("network_update", network=name, spec=spec)
        assert changed.dns_hosts[0]["names"] == ["web"]
    finally:
        a.networks.delete(name)


def test_a_vm_without_balloon_has_the_same_memory_in_the_list_and_alone(a, define):
    vm = define("<memballoon model='none'/>", "<currentMemory unit='MiB'>32</currentMemory>", running=True)
    (listed,) = [each for each in a.vms.list() if each.name == vm.name]
    assert listed.record.memory_bytes == vm.refresh().record.memory_bytes == 64 * MIB
