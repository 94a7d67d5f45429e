"""The files of a host's storage, with names that a guest wrote into the header of its disk."""

import struct

import libvirt
import pytest

from novacron.image_headers import DATA_FILE_NAME, EXTERNAL_DATA
from novacron_kvm.domains.metadata import facts_of, set_facts
from novacron_kvm.storage import host_files
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.volume_files import needed_elsewhere


@pytest.fixture
def connection():
    opened = libvirt.open("test:///default")
    opened.storagePoolLookupByName("default-pool").createXML(
        "<volume><name>web.img</name><capacity>1024</capacity><target><format type='qcow2'/></target></volume>"
    )
    yield opened
    opened.storagePoolLookupByName("default-pool").storageVolLookupByName("web.img").delete()
    opened.close()


def header(name):
    """Return the header of a qcow2 image whose content is in a file of that name."""
    extension = struct.pack(">II", DATA_FILE_NAME, len(name)) + name.ljust((len(name) + 7) // 8 * 8, b"\0")
    start = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, 1024)
    return start.ljust(72, b"\0") + struct.pack(">QQQII", EXTERNAL_DATA, 0, 0, 4, 104) + extension


@pytest.mark.parametrize(
    ("name", "found"),
    [(b"web.data", ["/default-pool/web.data"]), (b"\xff\xfe", []), (b"a\0b", []), (b"a\nb", ["/default-pool/a\nb"])],
)
def test_a_name_that_no_file_can_have_is_left_out(connection, monkeypatch, name, found):
    monkeypatch.setattr(HostFiles, "_header", lambda files, file: header(name))  # libvirt's test driver has no content
    files = HostFiles(connection)
    files.look_for_parts(["/default-pool/web.data"])
    assert files.chain("/default-pool/web.img")[1:] == found


@pytest.mark.parametrize(
    ("disks", "needs"),
    [(["own.img"], False), (["own.img", "web.img"], True), (["web.img"], True)],
    ids=["its own", "both", "only the other"],
)
def test_a_vm_with_a_file_of_its_own_that_looks_the_same_may_need_the_other_too(connection, monkeypatch, disks, needs):
    """Both were made at the same moment. The one that another VM is given is not deleted with the VM that it was made for."""
    real, pool = host_files._described, connection.storagePoolLookupByName("default-pool")
    own = pool.createXML("<volume><name>own.img</name><capacity>1024</capacity><target><format type='qcow2'/></target></volume>")
    monkeypatch.setattr(host_files, "_described", lambda *of: real(*of)._replace(changes=("512", "512", "100.5", "100.5")))
    elements = "".join(
        f"<disk type='file' device='disk'><source file='/default-pool/{name}'/><target dev='hd{letter}' bus='ide'/></disk>"
        for name, letter in zip(disks, "ab", strict=False)
    )
    domain = connection.defineXML(
        "<domain type='test'><name>other</name><memory>1024</memory><os><type>hvm</type></os>"
        f"<devices>{elements}</devices></domain>"
    )
    try:
        set_facts(domain, facts_of(domain).with_files(["/default-pool/own.img"]))
        going = {"/default-pool/web.img"}
        assert needed_elsewhere(HostFiles(connection), going) == (going if needs else set())
    finally:
        domain.undefine()
        own.delete()
