"""The files of a host's storage, with names that a guest wrote into the header of its disk."""

import struct

import libvirt
import pytest

from novacron.image_headers import DATA_FILE_NAME, EXTERNAL_DATA
from novacron_kvm.storage.host_files import HostFiles


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
