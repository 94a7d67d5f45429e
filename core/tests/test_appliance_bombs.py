"""Small appliances that claim, repeat or expand to enormous things, and disks that are something else than a disk."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import tarfile
import zlib

import pytest

import novacron
from novacron.appliances import archive, vmdk
from novacron.appliances.archive import Archive
from novacron.appliances.ovf import PARTS_MOST, ApplianceDisk, Description, as_text, read, written
from novacron.errors import InvalidSpecError
from novacron.image_headers import data_files, image_format, reference

MIB = 2**20
DISK = ApplianceDisk(file="a.vmdk", size=512, capacity=MIB)


def packed(content: bytes, capacity: int = MIB) -> bytes:
    target = io.BytesIO()
    vmdk.encode(io.BytesIO(content), target, capacity)
    return target.getvalue()


def description(*disks: ApplianceDisk) -> bytes:
    return written(Description(name="bomb", vcpus=1, memory=64 * MIB, disks=disks))


def appliance(*members: tuple[str | tarfile.TarInfo, bytes], text: bytes | None = None) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in (("a.ovf", text or description(DISK)), *members):
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = member.size or len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def unpacked(data: bytes) -> None:
    for disk, content, _ in Archive(io.BytesIO(data)).disks():
        vmdk.decode(content, io.BytesIO(), described=disk.capacity)


class Counting(io.RawIOBase):
    """A file that counts what is read of it."""

    def __init__(self, content: bytes, repeated: bytes = b"") -> None:
        self.content, self.repeated, self.count = io.BytesIO(content), repeated, 0

    def read(self, size=-1):
        data = self.content.read(size) or (self.repeated * (size // len(self.repeated) + 1))[:size]
        self.count += len(data)
        return data


def test_a_good_appliance_passes():
    """So that the refusals below are for the bombs alone."""
    unpacked(appliance(("a.vmdk", packed(b"content"))))
    unpacked(gzip.compress(appliance(("a.vmdk", packed(b"content")), ("a.mf", b"\n\nSHA1(x)= ab\r\n"))))


@pytest.mark.parametrize("where", [0, 1])
def test_a_grain_can_not_be_repeated_without_end(where):
    """Each grain is 512 bytes in the file, and up to 2 MiB when it is unpacked."""
    grain = zlib.compress(b"x" * vmdk.GRAIN)
    sector = (vmdk.MARKER.pack(where * 128, len(grain)) + grain).ljust(512, b"\0")
    source = Counting(packed(b"")[: vmdk.OVERHEAD * 512], sector)
    with pytest.raises(InvalidSpecError, match="each grain once"):
        vmdk.decode(source, io.BytesIO())
    assert source.count < MIB


def test_tables_can_not_be_repeated_without_end():
    source = Counting(packed(b"")[: vmdk.OVERHEAD * 512], struct.pack("<QII", 0, 0, 1).ljust(512, b"\0"))
    with pytest.raises(InvalidSpecError, match="tables"):
        vmdk.decode(source, io.BytesIO())
    assert source.count < 128 * MIB


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_compressed_archive_can_not_have_terabytes_after_a_disk_or_between_disks(pack, monkeypatch):
    monkeypatch.setattr(archive, "HEADERS_MOST", MIB)
    monkeypatch.setattr(archive, "DESCRIPTION_MOST", MIB)
    with pytest.raises(InvalidSpecError, match="after its end"):
        unpacked(pack(appliance(("a.vmdk", packed(b"content") + bytes(3 * MIB)))))
    with pytest.raises(InvalidSpecError, match=r"b\.bin"):
        unpacked(pack(appliance(("b.bin", bytes(3 * MIB)), ("a.vmdk", packed(b"content")))))


def test_a_sparse_member_is_refused():
    """It would be zeros without end, of which the archive has none."""
    member = tarfile.TarInfo("a.vmdk")
    member.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[386 : 386 + 24] = b"00000000000\x0000000000000\x00"
    block[483:495] = b"77777777777\0"
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:512]) + 8 * 32)
    data = appliance().rstrip(b"\0")
    data = data.ljust(-(-len(data) // 512) * 512, b"\0") + bytes(block) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmember("a.vmdk").size == 8**11 - 1
    with pytest.raises(InvalidSpecError, match="a plain file"):
        unpacked(data)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
@pytest.mark.parametrize("name", ["a.vmdk", "a.mf", "x"])
def test_links_devices_and_folders_are_refused(kind, name):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/shadow"
    with pytest.raises(InvalidSpecError, match="a plain file"):
        unpacked(appliance((member, b"")))


def test_an_archive_can_not_have_members_without_end():
    members = [(f"{number}.txt", b"") for number in range(archive.MEMBERS_MOST + 1)]
    with pytest.raises(InvalidSpecError, match=f"at most {archive.MEMBERS_MOST}"):
        unpacked(appliance(*members))


@pytest.mark.parametrize(
    "text",
    [b"\n" * 900_000, b" " * 900_000, b"SHA1(" + b")" * 900_000, b"SHA1(x)" + b"\t" * 900_000, b"SHA256 (x) = a\n" * 60_000],
)
def test_a_manifest_takes_no_long_time(text):
    """A pattern that also matches the ends of lines takes hours for these."""
    unpacked(appliance(("a.mf", text), ("a.vmdk", packed(b"content"))))


def test_a_large_manifest_is_refused():
    with pytest.raises(InvalidSpecError, match=r"a\.mf"):
        unpacked(appliance(("a.mf", bytes(archive.MANIFEST_MOST + 1)), ("a.vmdk", packed(b"content"))))


@pytest.mark.parametrize("name", ["Item", "Disk", "File"])
def test_a_description_has_a_limited_number_of_parts(name):
    """Each item is looked up among all disks, and each disk among all files."""
    text, more = description(DISK), f"<{name}/>".encode() * (PARTS_MOST + 1)
    for place in (b"</VirtualHardwareSection>",) if name == "Item" else (b"</DiskSection>", b"</References>"):
        with pytest.raises(InvalidSpecError, match=f"at most {PARTS_MOST}"):
            read(text.replace(place, more + place))


@pytest.mark.parametrize(
    "text",
    [
        b"<!DOCTYPE a [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><Envelope>&b;</Envelope>",
        b"<!DOCTYPE a [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><Envelope>&a;</Envelope>",
        b"<a>" * 100_000,
        b"<Envelope xmlns:a='" + b"x" * 11_000_000 + b"'/>",
    ],
)
def test_entities_nesting_and_huge_texts_of_a_description_are_refused(text):
    with pytest.raises(InvalidSpecError):
        read(text)


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1", "UTF-16"])
def test_a_description_in_another_encoding_can_be_sent_on(encoding):
    text = description(DISK).decode().replace("A virtual machine", "Ein Gerät").replace("UTF-8", encoding).encode(encoding)
    assert read(text).name == "bomb"
    assert "Ein Gerät" in as_text(text)


def test_a_description_that_is_another_file_is_not_repeated():
    with pytest.raises(InvalidSpecError) as caught:
        read(b"root:hunter2:20000\n")
    assert "hunter2" not in str(caught.value)


QCOW2 = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, MIB)
BACKED = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 512, 11, 16, MIB)
EXTERNAL = QCOW2.ljust(72, b"\0") + struct.pack(">Q", 4)
EXTENTS = b'# Disk DescriptorFile\nversion=1\nRW 128 FLAT "/etc/shadow" 0\n'
VMDK = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 128, 128, 1, 20).ljust(512, b"\0")
EMPTY_VMDK = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 0, 128, 1, 20).ljust(512, b"\0") + EXTENTS
HINTED = VMDK + b'parentCID=ffffffff\nparentFileNameHint="/etc/shadow"\n'
CHILD = VMDK + b"CID=1\nparentCID=00000001\n"
UNPLACED = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 128, 128, 0, 0).ljust(512, b"\0") + b'x parentFileNameHint="/etc/shadow"\n'
COWD = b"COWD".ljust(512, b"\0") + b'parentFileNameHint="/etc/shadow"\n'
LATE = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 128, 128, 4096, 20).ljust(65536, b"\0")
QED = b"QED\0" + struct.pack("<IIIQ", 65536, 4, 1, 1)


@pytest.mark.parametrize("head", [BACKED, EXTERNAL, EXTENTS, EMPTY_VMDK, HINTED, UNPLACED, COWD, CHILD, LATE, QED])
def test_images_that_need_other_files_are_known(head):
    assert reference(head.ljust(65536, b"\0"))
    assert image_format(head)


def test_empty_lines_of_a_description_take_no_time():
    """A pattern that tries each line anew would take more than a minute for these."""
    lines = b"\n" * 65000
    assert data_files(b"# Disk DescriptorFile" + lines) == []
    assert not reference((VMDK + lines)[:65536])


@pytest.mark.parametrize("head", [QCOW2, VMDK, VMDK + b"CID=1\nparentCID=ffffffff\n", b"", b"QFI\xfb", b"\xeb\x63\x90"])
def test_complete_images_are_known(head):
    assert not reference(head.ljust(65536, b"\0"))


@pytest.mark.parametrize("head", [BACKED, QCOW2, EXTENTS, EMPTY_VMDK, QED, b"vhdxfile", b"conectix"])
def test_a_disk_of_an_appliance_is_no_image_itself(head, tmp_path):
    """The driver uploads its sectors into a volume. A hypervisor that guesses formats would follow the header."""
    file = tmp_path / "a.ova"
    file.write_bytes(appliance(("a.vmdk", packed(head))))
    host = novacron.connect("sim://image-in-appliance")
    with pytest.raises(InvalidSpecError, match="an image of the format"):
        host.vms.import_appliance(file)
    assert not [volume.name for volume in host.pools.volumes() if volume.name.startswith("import-")]
