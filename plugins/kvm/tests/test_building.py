"""Domain XML: valid against libvirt's schema for every VMSpec, and read back as it was written."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from novacron.errors import InvalidSpecError
from novacron.specs import DiskSpec, NICSpec, VMSpec
from novacron_kvm.xml.building import DiskFile, domain_xml, place
from novacron_kvm.xml.reading import fields

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")

names = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]{0,20}\Z")
filters = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_.-]{0,20}\Z")  # libvirt itself refuses others, by its schema
portgroups = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z")  # likewise
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=40)
rates = st.integers(1, 2**40)
paths = st.from_regex(r"\A/[A-Za-z0-9_. &<>'\"-]{1,20}\Z")
limits = st.fixed_dictionaries(
    {},
    optional={
        "read_bytes_per_second": rates, "write_bytes_per_second": rates, "read_iops": st.integers(0, 10**6),
        "write_iops": st.integers(0, 10**6),
    },
)  # fmt: skip
disks = st.fixed_dictionaries(
    {"size": st.integers(1, 2**50)},
    optional={
        "bus": st.sampled_from(["virtio", "scsi", "sata", "ide", "usb"]),
        "device": st.sampled_from(["disk", "cdrom", "floppy"]),
        "format": st.sampled_from(["qcow2", "raw", "vmdk", "vdi"]),
        "read_only": st.booleans(), "shareable": st.booleans(),
        "serial": st.from_regex(r"\A[A-Za-z0-9_.+-]{1,36}\Z"),
        "cache": st.sampled_from(["default", "none", "writethrough", "writeback", "directsync", "unsafe"]),
        "io": st.sampled_from(["native", "threads", "io_uring"]), "discard": st.sampled_from(["unmap", "ignore"]), "limits": limits,
    },
)  # fmt: skip
places = st.one_of(
    st.builds(lambda name, group: {"network": name, **({"portgroup": group} if group else {})}, names, st.none() | portgroups),
    st.builds(lambda name: {"bridge": name}, st.from_regex(r"\A[a-z0-9]{1,12}\Z")),
    st.builds(lambda name: {"device": name}, st.from_regex(r"\A[a-z0-9]{1,12}\Z")),
    st.just({"user": True}),
)
nics = st.builds(
    lambda place, rest: place | rest,
    places,
    st.fixed_dictionaries(
        {},
        optional={
            "mac": st.from_regex(r"\A52:54:00(:[0-9a-fA-F]{2}){3}\Z"),
            "model": st.sampled_from(["virtio", "e1000", "e1000e", "rtl8139", "igb"]), "mtu": st.integers(68, 65535),
            "queues": st.integers(1, 256), "link_up": st.booleans(), "vlan": st.integers(0, 4095), "filter": filters,
            "inbound_bytes_per_second": rates, "outbound_bytes_per_second": rates,
        },
    ),
)  # fmt: skip


@st.composite
def specs(draw):
    """Any VMSpec that is valid for itself."""
    vcpus, memory = draw(st.integers(1, 64)), draw(st.integers(2**20, 2**42))
    firmware = draw(st.sampled_from(["bios", "uefi", "uefi-secure"]))
    given_disks, given_nics = draw(st.lists(disks, max_size=6)), draw(st.lists(nics, max_size=4))
    if draw(st.booleans()):
        for order, device in enumerate([*given_disks, *given_nics], 1):
            device["boot_order"] = order
    found = {
        "name": draw(names), "vcpus": vcpus, "memory": memory, "firmware": firmware, "disks": given_disks,
        "vcpus_max": draw(st.none() | st.integers(vcpus, 128)), "memory_max": draw(st.none() | st.integers(memory, 2**43)),
        "cpu_mode": draw(st.sampled_from(["default", "host-model", "host-passthrough", "maximum"])), "tpm": draw(st.booleans()),
        "nics": list({n.get("mac", i): n for i, n in enumerate(given_nics)}.values()), "tags": draw(st.frozensets(names, max_size=4)),
        "metadata": draw(st.dictionaries(names, st.text(max_size=30), max_size=4)), "description": draw(texts),
        "serial": {"log": draw(st.none() | paths)}, "guest_agent": draw(st.booleans()), "rng": draw(st.booleans()),
        "display": draw(st.none() | st.fixed_dictionaries({"type": st.sampled_from(["vnc", "spice"])})),
    }  # fmt: skip
    if draw(st.booleans()):
        found |= {"cpu_mode": "default", "cpu_model": draw(st.sampled_from(["qemu64", "Nehalem", "EPYC-Rome"]))}
    features = draw(st.frozensets(st.sampled_from(["avx2", "aes", "svm", "x2apic"]), max_size=3))
    found["cpu_features"] = {draw(st.sampled_from(["", "-"])) + feature for feature in features}
    if draw(st.booleans()):
        found["topology"] = {"sockets": found["vcpus_max"] or vcpus}
    found["max_memory"] = draw(st.none() | st.integers(found["memory_max"] or memory, 2**44))
    found |= {"hugepages": draw(st.booleans()), "vsock": draw(st.booleans())}
    found["watchdog"] = draw(
        st.none() | st.sampled_from(["reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"])
    )
    if firmware != "uefi-secure" and draw(st.booleans()):
        found["kernel"] = {"path": draw(paths), "initrd": draw(st.none() | paths), "command_line": draw(texts)}
    found["nics"] = _without_same_mac(found["nics"])
    return VMSpec(**found)


def _without_same_mac(given_nics):
    seen, kept = set(), []
    for nic in given_nics:
        mac = nic.get("mac", "").lower()
        if not mac or mac not in seen:
            kept.append(nic)
        seen.add(mac)
    return kept


def build(spec, virt_type="qemu", arch="x86_64", machine="q35"):
    files = [
        DiskFile(disk, f"/pool/{spec.name}-{target}", disk.format, target, bus, True)
        for disk, (bus, target) in zip(spec.disks, place(spec.disks, "virtio"), strict=True)
    ]
    return domain_xml(
        spec, virt_type=virt_type, arch=arch, machine=machine, disks=files, created_at="2026-01-02T03:04:05+00:00"
    ), files


@pytest.fixture(scope="module")
def schema():
    if not SCHEMA.exists():
        pytest.skip("libvirt's schemas are not installed")
    return etree.RelaxNG(etree.parse(SCHEMA))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(spec=specs(), arch=st.sampled_from([("x86_64", "q35"), ("x86_64", "pc"), ("x86_64", None), ("aarch64", "virt")]),
       virt_type=st.sampled_from(["kvm", "qemu"]))  # fmt: skip
def test_every_spec_becomes_valid_domain_xml(schema, spec, arch, virt_type):
    text, _ = build(spec, virt_type, *arch)
    schema.assertValid(etree.fromstring(text))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(spec=specs())
def test_what_was_written_is_read_back(spec):
    text, files = build(spec)
    read = fields(text)
    assert (read["arch"], read["machine"], read["firmware"]) == ("x86_64", "q35", spec.firmware)
    assert (read["tags"], read["metadata"], read["description"]) == (spec.tags, spec.metadata, spec.description)
    assert read["created_at"] == "2026-01-02T03:04:05+00:00"
    for file, disk in zip(files, read["disks"], strict=True):
        wanted = file.spec
        assert (disk.target, disk.source, disk.bus, disk.format) == (file.target, file.path, file.bus, wanted.format)
        assert (disk.device, disk.shareable, disk.boot_order) == (wanted.device, wanted.shareable, wanted.boot_order)
        assert disk.read_only == (wanted.read_only or wanted.device == "cdrom")
        assert disk.serial == wanted.serial
    for wanted, nic in zip(spec.nics, read["nics"], strict=True):
        assert nic.network == (wanted.network or wanted.bridge or wanted.device)
        assert (nic.mac, nic.model) == ((wanted.mac or "").lower(), wanted.model)
        assert (nic.link_up, nic.mtu) == (wanted.link_up, wanted.mtu)


def test_the_same_spec_gives_the_same_xml():
    spec = VMSpec(name="web1", id="12345678-1234-1234-1234-123456789abc", disks=[DiskSpec(size=1)], nics=[NICSpec(network="n")])
    assert build(spec)[0] == build(spec)[0]


def test_thirty_disks_have_thirty_targets():
    targets = [target for _, target in place([DiskSpec(size=1)] * 30, "virtio")]
    assert targets[:2] + targets[25:28] == ["vda", "vdb", "vdz", "vdaa", "vdab"]
    assert len(set(targets)) == 30


@pytest.mark.parametrize(
    ("asked", "got"),
    [({"target": "hdb"}, ("ide", "hdb")), ({"target": "sdc", "bus": "usb"}, ("usb", "sdc")), ({"bus": "scsi"}, ("scsi", "sda"))],
)
def test_bus_and_target_that_were_asked_are_kept_and_the_other_fits(asked, got):
    assert place([DiskSpec(size=1, **asked)], "virtio") == [got]


@pytest.mark.parametrize("fields_", [{"description": "a\0b"}, {"kernel": {"path": "/a\x01"}}])
def test_what_xml_can_not_hold_is_refused_as_a_bad_spec(fields_):
    import novacron
    from novacron.errors import InvalidSpecError

    with novacron.connect("test:///default") as host:
        with pytest.raises(InvalidSpecError):
            host.vms.create(name="control", **fields_)
        assert "control" not in host.vms
        with pytest.raises(InvalidSpecError):
            host.vms["test"].update(description="a\0b")


def test_a_cpu_is_written_as_asked():
    text, _ = build(
        VMSpec(name="a", vcpus=8, cpu_model="Nehalem", cpu_features={"aes", "-vmx"}, topology={"sockets": 2, "cores": 4})
    )
    cpu = etree.fromstring(text).find("cpu")
    assert (cpu.get("mode"), cpu.findtext("model")) == ("custom", "Nehalem")
    assert dict(cpu.find("topology").attrib) == {"sockets": "2", "cores": "4", "threads": "1"}
    assert {f.get("name"): f.get("policy") for f in cpu.iterfind("feature")} == {"aes": "require", "vmx": "disable"}
    assert etree.fromstring(build(VMSpec(name="a"))[0]).find("cpu") is None, "the hypervisor chooses"


@pytest.mark.parametrize(
    "fields",
    [{"cpu_model": "Nehalem", "cpu_mode": "maximum"}, {"cpu_features": ["aes", "-aes"]}, {"vcpus": 3, "topology": {"cores": 2}}],
    ids=str,
)
def test_a_cpu_that_contradicts_itself_is_refused(fields):
    with pytest.raises(InvalidSpecError):
        VMSpec(name="a", **fields)


@pytest.mark.parametrize("asked", [{"bus": "nvme"}, {"target": "nvme0n1"}], ids=str)
def test_a_bus_that_is_not_emulated_is_refused_wherever_a_disk_is_placed(asked):
    with pytest.raises(InvalidSpecError, match=r"disks.1.bus: got 'nvme', allowed: virtio"):
        place([DiskSpec(size=1), DiskSpec(size=1, **asked)], "virtio")
