"""Appliances: packed disks, descriptions and archives, good ones and bad ones."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

import novacron
from novacron.appliances import vmdk
from novacron.appliances.archive import Archive
from novacron.appliances.ovf import ApplianceDisk, ApplianceNIC, Description, read, written
from novacron.errors import InvalidSpecError
from novacron.specs import ApplianceSpec

MIB = 2**20
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=30).map(str.strip).filter(bool)


def packed(content: bytes, capacity: int) -> bytes:
    target = io.BytesIO()
    vmdk.encode(io.BytesIO(content), target, capacity)
    return target.getvalue()


@given(st.lists(st.tuples(st.integers(0, 4 * MIB), st.binary(min_size=1, max_size=300)), max_size=6), st.integers(1, 9000))
def test_a_packed_disk_is_the_same_disk(parts, sectors):
    """Whatever is written wherever, and whatever the size."""
    capacity, content = sectors * 512, bytearray(sectors * 512)
    for at, data in parts:
        content[at : at + len(data)] = data[: max(0, capacity - at)]
    back = io.BytesIO()
    assert vmdk.decode(io.BytesIO(packed(bytes(content[:capacity]), capacity)), back) == capacity
    assert back.getvalue().ljust(capacity, b"\0") == bytes(content[:capacity])


def test_nothing_takes_hardly_any_room():
    """A blank disk of a terabyte has no grain."""

    class Nothing(io.RawIOBase):
        def read(self, size=-1):
            return b""

    target = io.BytesIO()
    vmdk.encode(Nothing(), target, 2**34)
    assert len(target.getvalue()) < 200_000


@given(st.binary(max_size=3000), st.integers(0, 70_000), st.binary(min_size=1, max_size=40))
def test_a_broken_disk_is_refused_and_never_anything_else(garbage, at, harm):
    """Neither an endless loop, nor a huge allocation, nor an error of Python's."""
    whole = packed(b"content" * 9999, 4 * MIB)
    for broken in (garbage, whole[:at], whole[:at] + harm + whole[at + len(harm) :]):
        with contextlib.suppress(InvalidSpecError):
            vmdk.decode(io.BytesIO(broken), io.BytesIO())


LINES = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@given(
    NAMES,
    st.integers(1, 512),
    st.integers(1, 4096),
    st.lists(st.integers(1, 2**40), max_size=12),
    st.lists(NAMES, max_size=5),
    LINES,
)
def test_a_description_says_what_it_was_told(name, vcpus, memory, sizes, networks, about):
    """Written and read it is the same, whatever characters it has."""
    given_ = Description(
        name=name,
        vcpus=vcpus,
        memory=memory * MIB,
        description=about.strip(),
        firmware="uefi" if vcpus % 2 else "bios",
        disks=tuple(
            ApplianceDisk(file=f"{n}.vmdk" if n % 2 else None, capacity=size, size=n % 2 * 7) for n, size in enumerate(sizes)
        ),
        nics=tuple(ApplianceNIC(network=network) for network in networks),
    )
    assert read(written(given_)) == given_


ENTITY = b'<!DOCTYPE Envelope [<!ENTITY a SYSTEM "file:///etc/passwd">]><Envelope>&a;</Envelope>'
TWO = b"<Envelope><VirtualSystem/><VirtualSystem/></Envelope>"
MANY = b"<Item><ResourceType>3</ResourceType><VirtualQuantity>many</VirtualQuantity></Item>"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "ovf"),
        (b"<a", "ovf"),
        (b"<a/>", "ovf"),
        (ENTITY, "ovf"),
        (b"<Envelope/>", "VirtualSystem"),
        (TWO, "VirtualSystem"),
        (b"<Envelope><VirtualSystem>" + MANY + b"</VirtualSystem></Envelope>", "CPU"),
    ],
)
def test_a_malformed_description_says_what_is_wrong(text, problem):
    """By name, and nothing outside of it is ever read."""
    with pytest.raises(InvalidSpecError) as caught:
        read(text)
    assert problem in {p.path for p in caught.value.problems}


def ova(*members: tuple[str, bytes]) -> io.BytesIO:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    target.seek(0)
    return target


DISK = packed(b"content", MIB)
OVF = written(
    Description(name="web1", vcpus=1, memory=64 * MIB, disks=(ApplianceDisk(file="a.vmdk", capacity=MIB, size=len(DISK)),))
)


def manifest(algorithm: str, disk: bytes = DISK) -> bytes:
    sums = {name: hashlib.new(algorithm, data).hexdigest() for name, data in (("web1.ovf", OVF), ("a.vmdk", disk))}
    return "".join(f"{algorithm.upper()}({name})= {digest}\n" for name, digest in sums.items()).encode()


@pytest.mark.parametrize(
    "members",
    [
        [("web1.ovf", OVF), ("a.vmdk", DISK)],
        [("web1.ovf", OVF), ("web1.mf", manifest("sha1")), ("a.vmdk", DISK)],
        [("web1.ovf", OVF), ("a.vmdk", DISK), ("web1.mf", manifest("sha512"))],
    ],
    ids=["without a manifest", "SHA-1, before", "SHA-512, behind"],
)
def test_appliances_of_others_are_read(members):
    """With checksums of any kind, wherever they are, and without."""
    host = novacron.connect("sim://of-others")
    record = host.invoke("appliance_import", source=ova(*members), spec=ApplianceSpec())
    assert (record.name, record.disks[0].size_bytes) == ("web1", MIB)
    host.vms["web1"].delete()


def test_compressed_files_are_read():
    """As `ovf:compression="gzip"` says."""
    text = OVF.replace(b'ovf:href="a.vmdk"', b'ovf:href="a.vmdk" ovf:compression="gzip"')
    assert text != OVF
    host = novacron.connect("sim://compressed")
    source = ova(("web1.ovf", text), ("a.vmdk", gzip.compress(DISK)))
    assert host.invoke("appliance_import", source=source, spec=ApplianceSpec()).disks[0].size_bytes == MIB


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("a.vmdk", DISK), ("web1.ovf", OVF)], "first"),
        ([("web1.ovf", OVF)], "a.vmdk"),
        ([("web1.ovf", OVF), ("web1.mf", manifest("sha256", b"other")), ("a.vmdk", DISK)], "changed or cut off"),
        ([("web1.ovf", OVF), ("../a.vmdk", DISK)], "plain file"),
        ([("web1.ovf", OVF), ("a.vmdk", b"KDMV")], "cut off"),
        ([("web1.ovf", OVF), ("a.vmdk", b"\0" * 4096)], "streamOptimized"),
    ],
)
def test_a_bad_appliance_leaves_nothing(members, says):
    """It is said what is wrong, and neither VM nor volume is there."""
    host = novacron.connect("sim://bad-appliances")
    with pytest.raises(InvalidSpecError, match=says):
        host.invoke("appliance_import", source=ova(*members), spec=ApplianceSpec())
    assert host.vms.list().total == 0
    assert host.pools.volumes() == []


DRIVE = (
    b"<Item><rasd:ElementName>CD drive</rasd:ElementName><rasd:InstanceID>50</rasd:InstanceID>"
    b"<rasd:HostResource>ovf:/file/iso</rasd:HostResource><rasd:ResourceType>15</rasd:ResourceType></Item>"
)


def with_a_cd_drive(*, medium: bool) -> bytes:
    drive = DRIVE if medium else DRIVE.replace(b"ovf:/file/iso", b"")
    text = OVF.replace(b"</VirtualHardwareSection>", drive + b"</VirtualHardwareSection>")
    return text.replace(b"</References>", b'<File ovf:id="iso" ovf:href="seed.iso"/></References>') if medium else text


def test_a_cd_that_an_appliance_brings_is_refused_by_name():
    """A VM without its installation or configuration medium would start and fail; an empty drive harms nobody."""
    host = novacron.connect("sim://with-a-cd")
    source = ova(("web1.ovf", with_a_cd_drive(medium=True)), ("seed.iso", b"CD001."), ("a.vmdk", DISK))
    with pytest.raises(InvalidSpecError) as caught:
        host.invoke("appliance_import", source=source, spec=ApplianceSpec())
    (problem,) = caught.value.problems
    assert (problem.path, problem.given) == ("the CD drive", "seed.iso")
    assert host.vms.list().total == 0
    source = ova(("web1.ovf", with_a_cd_drive(medium=False)), ("a.vmdk", DISK))
    assert host.invoke("appliance_import", source=source, spec=ApplianceSpec()).name == "web1"
    host.vms["web1"].delete()


def test_networks_are_mapped_by_name():
    """One that the appliance does not name is a mistake."""
    text = written(Description(name="web1", vcpus=1, memory=64 * MIB, nics=(ApplianceNIC(network="VM Network"),)))
    host = novacron.connect("sim://mapped")
    record = host.invoke(
        "appliance_import", source=ova(("web1.ovf", text)), spec=ApplianceSpec(networks={"VM Network": "default"})
    )
    assert [nic.network for nic in record.nics] == ["default"]
    with pytest.raises(InvalidSpecError, match="VM Network"):
        host.invoke("appliance_import", source=ova(("web1.ovf", text)), spec=ApplianceSpec(name="x", networks={"lan": "default"}))


def test_an_archive_is_read_without_seeking():
    """So it may come through a pipe."""

    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self.data = io.BytesIO(data)

        def readable(self):
            return True

        def read(self, size=-1):
            return self.data.read(min(size, 777) if size > 0 else size)

    archive = Archive(Pipe(ova(("web1.ovf", OVF), ("a.vmdk", DISK)).getvalue()))
    assert [content.read() for _, content, _ in archive.disks()] == [DISK]


def test_a_file_is_never_written_over(tmp_path):
    """And one that could not be written whole is gone."""
    host = novacron.connect("sim://files")
    vm = host.vms.create(name="web1", disks=[{"size": "1MiB"}])
    made = vm.export_appliance(tmp_path / "a.ova")
    assert (made.name, made.disks) == ("web1", (MIB,))
    with pytest.raises(novacron.errors.AlreadyExistsError):
        vm.export_appliance(tmp_path / "a.ova")
    vm.start()
    with pytest.raises(novacron.errors.InvalidStateError):
        vm.export_appliance(tmp_path / "b.ova")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ova"]
    assert host.vms.import_appliance(tmp_path / "a.ova", name="web2").name == "web2"
