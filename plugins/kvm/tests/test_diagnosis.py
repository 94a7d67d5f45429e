"""The checks of libvirt hosts and their VMs: each finding is provoked, with libvirt's test driver where that can show it."""

import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import libvirt
import pytest

from novacron_kvm.connection import KVMConnection
from novacron_kvm.diagnosis import domains, hosts
from novacron_kvm.diagnosis.folders import closed_folder
from novacron_kvm.xml.parsing import parse


@pytest.fixture
def connection():
    found = KVMConnection("test:///default", "t")
    yield found
    for made in found.read.storagePoolLookupByName("default-pool").listAllVolumes(0):
        made.delete(0)  # libvirt's test driver has one state for the whole process
    found.close()


def wrong(findings):
    """What is not in order, as pairs (check, status); each has a hint."""
    found = [each for each in findings if each.status != "ok"]
    assert all(each.hint for each in found)
    return [(each.check, each.status) for each in found]


def host(*, uri="qemu:///system", version=9_000_000, qemu=7_002_000, capabilities="<domainCapabilities/>"):
    """A connection to QEMU that answers what a check asks."""
    read = SimpleNamespace(
        getType=lambda: "QEMU",
        getVersion=lambda: qemu,
        getURI=lambda: uri,
        getCapabilities=lambda: GUESTS,
        getDomainCapabilities=lambda *_: capabilities,
    )
    return SimpleNamespace(read=read, name="kvm1", uri=uri, libvirt_version=version)


GUESTS = """<capabilities><host><cpu><arch>x86_64</arch></cpu>
<secmodel><model>apparmor</model></secmodel><secmodel><model>dac</model><baselabel type='kvm'>+64055:+64055</baselabel></secmodel></host>
<guest><os_type>hvm</os_type><arch name='x86_64'><machine>pc</machine><domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>"""


@pytest.mark.parametrize(
    ("libvirt_version", "qemu", "expected"),
    [
        (9_000_000, 7_002_000, []),
        (6_005_000, 7_002_000, [("version", "warning")]),
        (9_000_000, 4_002_000, [("version", "warning")]),
    ],
    ids=["new", "old libvirt", "old QEMU"],
)
def test_old_versions_are_named(libvirt_version, qemu, expected):
    assert wrong(hosts._versions(host(version=libvirt_version, qemu=qemu), None)) == expected


@pytest.mark.parametrize(("found", "expected"), [(("kvm", "it works"), []), (("qemu", "no KVM"), [("kvm", "warning")])])
def test_a_host_without_kvm_is_named(monkeypatch, found, expected):
    monkeypatch.setattr(hosts, "best_virt_type", lambda *_: found)
    assert wrong(hosts._virt_type(host(), parse(GUESTS))) == expected


@pytest.mark.parametrize(("uri", "expected"), [("qemu:///system", []), ("qemu:///session", [("session", "warning")])])
def test_a_session_is_named(uri, expected):
    assert wrong(hosts._session(host(uri=uri), None)) == expected


@pytest.mark.parametrize(("model", "expected"), [("apparmor", []), ("selinux", []), ("none", [("confinement", "warning")])])
def test_a_host_that_confines_no_guest_is_named(model, expected):
    assert wrong(hosts._confinement(host(), parse(GUESTS.replace("apparmor", model)))) == expected


@pytest.mark.parametrize(("value", "expected"), [("efi", []), ("bios", [("firmware", "warning")])])
def test_a_host_without_uefi_is_named(value, expected):
    offered = f"<domainCapabilities><os><enum name='firmware'><value>{value}</value></enum></os></domainCapabilities>"
    assert wrong(hosts._firmware(host(capabilities=offered), parse(GUESTS))) == expected


@pytest.fixture
def open_folder():
    """A folder that everybody can enter, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_the_first_folder_that_qemu_can_not_enter_is_named(open_folder):
    inner = open_folder / "closed" / "images"
    inner.mkdir(parents=True)
    assert closed_folder(str(inner), 64055, 64055) is None
    inner.parent.chmod(0o700)
    assert closed_folder(str(inner), 64055, 64055) == str(inner.parent)
    assert closed_folder(str(inner), 0, 0) is None
    assert closed_folder(str(inner), inner.stat().st_uid, 64055) is None
    assert closed_folder(str(open_folder / "nowhere"), 64055, 64055) is None


def test_a_pool_in_a_closed_folder_is_named(connection, monkeypatch, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(hosts, "is_local", lambda _: True)
    monkeypatch.setattr(hosts, "closed_folder", lambda path, user, group: path if path == str(folder) else None)
    connection.read.storagePoolCreateXML(f"<pool type='dir'><name>closed</name><target><path>{folder}</path></target></pool>", 0)
    found = list(hosts._pool_folders(connection, parse(GUESTS)))
    assert wrong(found) == [("permissions", "problem")]
    assert len(found) == 2


def domain(devices="", kind="kvm", more=""):
    return parse(
        f"<domain type='{kind}' id='1'><name>web1</name><os><type arch='x86_64'>hvm</type></os>{more}<devices>{devices}</devices></domain>"
    )


@pytest.mark.parametrize(
    ("kind", "best", "expected"),
    [("kvm", "kvm", []), ("qemu", "qemu", []), ("qemu", "kvm", [("kvm", "warning")]), ("kvm", "qemu", [("kvm", "problem")])],
)
def test_the_wrong_accelerator_is_named(monkeypatch, kind, best, expected):
    monkeypatch.setattr(domains, "best_virt_type", lambda *_: (best, "reason"))
    assert wrong(domains._accelerator(host(), domain(kind=kind), "web1")) == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [("<seclabel type='none'/>", [("confinement", "warning")]), ("<seclabel type='none' model='dac'/>", []), ("", [])],
)
def test_a_vm_that_is_not_confined_is_named(label, expected):
    assert wrong(domains._confinement(domain(more=label), "web1")) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("<target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>", []),
        ("<target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/>", [("guest agent", "warning")]),
        ("<target type='virtio' name='other' state='connected'/>", [("guest agent", "warning")]),
    ],
    ids=["connected", "no agent", "no channel"],
)
def test_a_missing_agent_or_channel_is_named(target, expected):
    assert wrong(domains._channel(domain(f"<channel type='unix'>{target}</channel>"), "web1")) == expected


def volume(connection, name, capacity, allocation):
    """Create a volume of GiBs, and return its path."""
    pool = connection.read.storagePoolLookupByName("default-pool")
    text = f"<volume><name>{name}</name><capacity unit='G'>{capacity}</capacity><allocation unit='G'>{allocation}</allocation></volume>"
    return pool.createXML(text, 0).path()


def disks(*paths):
    return domain("".join(f"<disk type='file' device='disk'><source file='{path}'/></disk>" for path in paths))


def test_a_missing_file_and_missing_firmware_are_named(connection):
    there = volume(connection, "there.img", 1, 0)
    root = disks(there, "/default-pool/gone.img")
    assert wrong(domains._files(connection, connection.read, root, "web1")) == [("disk", "problem")]
    assert wrong(domains._files(connection, connection.read, disks(there), "web1")) == []
    uefi = parse(
        "<domain id='1'><os><loader>/default-pool/code.fd</loader><nvram>/default-pool/web1.fd</nvram></os><devices/></domain>"
    )
    assert wrong(domains._files(connection, connection.read, uefi, "web1")) == [("firmware", "problem"), ("nvram", "problem")]
    del uefi.attrib["id"]  # it is stopped: libvirt creates the NVRAM again
    assert wrong(domains._files(connection, connection.read, uefi, "web1")) == [("firmware", "problem")]


def test_a_disk_in_a_closed_folder_is_named(connection, monkeypatch):
    there = volume(connection, "there.img", 1, 0)
    monkeypatch.setattr(domains, "is_local", lambda _: True)
    monkeypatch.setattr(domains, "qemu_user", lambda _: (64055, 64055))
    monkeypatch.setattr(domains, "closed_folder", lambda path, user, group: path)
    assert wrong(domains._files(connection, connection.read, disks(there), "web1")) == [("permissions", "problem")]


def test_thin_disks_that_their_pool_can_not_hold_are_named(connection):
    small, large = volume(connection, "small.img", 10, 0), volume(connection, "large.img", 95, 0)
    assert wrong(domains._space(connection.read, None, disks(small), "web1")) == []
    assert wrong(domains._space(connection.read, None, disks(small, large), "web1")) == [("space", "warning")]


@pytest.mark.parametrize("code", [libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE, libvirt.VIR_DOMAIN_DISK_ERROR_UNSPEC])
def test_io_errors_and_warnings_of_libvirt_are_named(code):
    vm = SimpleNamespace(isActive=lambda: True, diskErrors=lambda: {"vda": code}, messages=lambda _: ["tainted: custom-argv"])
    assert wrong(domains._disk_errors(vm, "web1")) == [("disk", "problem")]
    assert wrong(domains._messages(vm, "web1")) == [("libvirt", "warning")]
