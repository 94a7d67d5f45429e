"""Domain XML: valid against libvirt's schema for every VMSpec, and read back as it was written."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from novacron.errors import InvalidSpecError
from novacron.specs import DiskSpec, NICSpec, VMSpec
from novacron.specs.volumes import ENCRYPTED
from novacron_kvm.xml.devices.disk import DiskFile, place
from novacron_kvm.xml.domain import domain_xml
from novacron_kvm.xml.platforms import platform
from novacron_kvm.xml.reading import fields

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")

names = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]{0,20}\Z")
filters = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_.-]{0,20}\Z")  # libvirt itself refuses others, by its schema
portgroups = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z")  # likewise
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=40)
rates = st.integers(1, 2**40)
paths = st.from_regex(r"\A/[A-Za-z0-9_. &<>'\"-]{1,20}\Z")
limits = st.fixed_dictionaries(
    {},
    optional={
        "read_bytes_per_second": rates,
        "write_bytes_per_second": rates,
        "read_iops": st.integers(0, 10**6),
        "write_iops": st.integers(0, 10**6),
    },
)
DISKS = {
    "size": st.integers(2**20, 2**50),
    "source": st.just(None),
    "path": st.just(None),
    "copy_mode": st.sampled_from(["backing", "full"]),
    "pool": st.just("default"),
    "name": st.none() | names,
    "preallocate": st.booleans(),
    "boot_order": st.none(),
    "bus": st.sampled_from([None, "virtio", "scsi", "sata", "ide", "usb"]),
    "target": st.none(),
    "device": st.sampled_from(["disk", "cdrom", "floppy"]),
    "format": st.sampled_from(["qcow2", "raw", "vmdk", "vdi"]),
    "read_only": st.booleans(),
    "shareable": st.booleans(),
    "serial": st.none() | st.from_regex(r"\A[A-Za-z0-9_.+-]{1,36}\Z"),
    "cache": st.sampled_from([None, "default", "none", "writethrough", "writeback", "directsync", "unsafe"]),
    "io": st.sampled_from([None, "native", "threads", "io_uring"]),
    "discard": st.sampled_from([None, "unmap", "ignore"]),
    "iothread": st.sampled_from([None, 1]),
    "queues": st.none() | st.integers(1, 256),
    "limits": st.none() | limits,
    "encryption": st.none(),
    "detect_zeroes": st.sampled_from([None, "off", "on", "unmap"]),
    "wwn": st.none() | st.from_regex(r"\A[0-9a-fA-F]{16}\Z"),
}
"""What a disk can be; an order to boot in is given to several devices at once, a target by `placed`."""
disks = st.fixed_dictionaries(DISKS).map(
    lambda disk: (
        disk
        | {"wwn": disk["wwn"] if disk["bus"] in ("scsi", "ide") else None}
        | ({"encryption": "a-key"} if disk["format"] in ENCRYPTED and disk["device"] == "disk" and disk["queues"] else {})
    )
)
places = st.one_of(
    st.builds(lambda name, group: {"network": name, **({"portgroup": group} if group else {})}, names, st.none() | portgroups),
    st.builds(lambda name: {"bridge": name}, st.from_regex(r"\A[a-z0-9]{1,12}\Z")),
    st.builds(lambda name: {"device": name}, st.from_regex(r"\A[a-z0-9]{1,12}\Z")),
    st.just({"user": True}),
)
NICS = {
    "mac": st.none() | st.from_regex(r"\A52:54:00(:[0-9a-fA-F]{2}){3}\Z"),
    "model": st.sampled_from(["virtio", "e1000", "e1000e", "rtl8139", "igb"]),
    "mtu": st.none() | st.integers(68, 65535),
    "queues": st.none() | st.integers(1, 256),
    "link_up": st.booleans(),
    "vlan": st.none() | st.integers(0, 4095),
    "filter": st.none() | filters,
    "isolated": st.booleans(),
    "inbound_bytes_per_second": st.none() | rates,
    "outbound_bytes_per_second": st.none() | rates,
    "boot_order": st.none(),
}
nics = st.builds(lambda place, rest: place | rest, places, st.fixed_dictionaries({}, optional=NICS))
PLACES = {"network", "portgroup", "bridge", "device", "user"}
host_devices = st.one_of(
    st.builds(lambda address: {"pci": address}, st.from_regex(r"\A[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\Z")),
    st.builds(lambda identity: {"usb": identity}, st.from_regex(r"\A[0-9a-f]{4}:[0-9a-f]{4}\Z")),
    st.builds(lambda identity: {"mdev": str(identity)}, st.uuids()),
)
filesystems = st.one_of(
    st.fixed_dictionaries({"source": paths, "tag": portgroups, "type": st.just("9p"), "read_only": st.booleans()}),
    st.fixed_dictionaries({"source": paths, "tag": portgroups, "type": st.just("virtiofs")}),
)
backings = st.fixed_dictionaries(
    {
        "hugepages": st.booleans(),
        "source": st.sampled_from([None, "memfd", "file"]),
        "shared": st.booleans(),
        "locked": st.booleans(),
        "preallocate": st.booleans(),
        "discard": st.booleans(),
        "merge": st.booleans(),
    },
    optional={"page_size": st.none()},
)
channel_names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,20}\Z")
displays = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["vnc", "spice"]),
        "port": st.none() | st.integers(5900, 65535),
        "listen": st.just("127.0.0.1"),
        "keymap": st.sampled_from([None, "de", "en-us"]),
    }
)
serials = st.builds(
    lambda kind, log, end: {"type": kind, "log": log} | end,
    st.sampled_from(["serial", "virtio"]),
    st.none() | paths,
    st.sampled_from(["tcp", "unix", "file", ""]).flatmap(
        lambda end: st.builds(lambda path: {end: "127.0.0.1:4555" if end == "tcp" else path} if end else {}, paths)
    ),
)
values = texts.filter(str.strip)
base64 = st.from_regex(r"\A[A-Za-z0-9+/]{4,20}==\Z")
launch_securities = st.one_of(
    st.just({"type": "s390-pv"}),
    st.fixed_dictionaries(
        {
            "type": st.just("sev"),
            "policy": st.integers(0, 2**32 - 1),
            "session": st.none() | base64,
            "dh_cert": st.none() | base64,
        }
    ),
)
security_labels = st.one_of(
    st.fixed_dictionaries(
        {"model": st.sampled_from(["dac", "selinux"]), "label": st.just("+1:+1"), "relabel": st.none() | st.booleans()}
    ),
    st.fixed_dictionaries(
        {"model": st.just("apparmor"), "type": st.just("dynamic"), "base_label": st.sampled_from([None, "libvirt-qemu"])}
    ),
)
MACHINES = {
    "x86_64": ["q35", "pc", "pc-q35-7.2", None],
    "i686": ["pc"],
    "aarch64": ["virt"],
    "armv7l": ["virt"],
    "riscv64": ["virt"],
    "ppc64le": ["pseries"],
    "s390x": ["s390-ccw-virtio"],
}


@st.composite
def specs(draw):
    """Any VMSpec that is valid for itself, every field of it given."""
    vcpus, memory = draw(st.integers(1, 64)), draw(st.integers(2**24, 2**42))
    most, all_of_it = draw(st.none() | st.integers(vcpus, 128)), draw(st.none() | st.integers(memory, 2**43))
    firmware, arch = draw(st.sampled_from(["bios", "uefi", "uefi-secure"])), draw(st.sampled_from([*MACHINES]))
    given_disks, given_nics, given_host = draw(st.lists(disks, max_size=5)), draw(st.lists(nics, max_size=3)), []
    for device in draw(st.lists(host_devices, max_size=2, unique_by=str)):
        given_host.append(device)
    if draw(st.booleans()):
        for order, device in enumerate([*given_disks, *given_nics, *(d for d in given_host if "mdev" not in d)], 1):
            device["boot_order"] = order
    if draw(st.booleans()):
        for number, disk in enumerate(given_disks):
            disk["target"], disk["bus"] = f"sd{'abcdef'[number]}", draw(st.sampled_from([None, "scsi", "sata", "usb"]))
            disk["wwn"] = disk["wwn"] if disk["bus"] == "scsi" else None
    numa = []
    if draw(st.booleans()):
        half, count = (all_of_it or memory) // 2, most or vcpus
        numa = [{"vcpus": f"0-{count - 1}", "memory": (all_of_it or memory)}]
        if count > 1:
            numa = [{"vcpus": "0", "memory": half}, {"vcpus": f"1-{count - 1}", "memory": (all_of_it or memory) - half}]
        numa[0]["host_nodes"] = draw(st.sampled_from([None, "0", "0-1,3"]))
    model = draw(st.sampled_from([None, "qemu64", "Nehalem", "EPYC-Rome"]))
    found = {
        "name": draw(names),
        "id": draw(st.none() | st.uuids()),
        "vcpus": vcpus,
        "vcpus_max": most,
        "memory": memory,
        "memory_max": all_of_it,
        "max_memory": draw(st.none() | st.integers(all_of_it or memory, 2**44)),
        "arch": arch,
        "machine": draw(st.sampled_from(MACHINES[arch])),
        "virt_type": draw(st.sampled_from(["kvm", "qemu"])),
        "cpu_model": model,
        "cpu_features": {
            draw(st.sampled_from(["", "-"])) + feature
            for feature in draw(st.sets(st.sampled_from(["avx2", "aes", "svm"]), max_size=3))
        },
        "cpu_mode": "default" if model else draw(st.sampled_from(["default", "host-model", "host-passthrough", "maximum"])),
        "topology": draw(st.none() | st.just({"sockets": most or vcpus})),
        "numa": numa,
        "memory_backing": draw(backings),
        "iothreads": draw(st.integers(1, 4)),
        "clock": draw(st.sampled_from(["utc", "localtime", "Europe/Berlin", "Etc/GMT+5"])),
        "features": {
            "hyperv": draw(st.booleans()),
            "hide_hypervisor": draw(st.booleans()),
            "pmu": draw(st.none() | st.booleans()),
            "iommu": draw(st.sampled_from([None, "intel", "virtio", "smmuv3"])),
        },
        "launch_security": draw(st.none() | launch_securities),
        "vsock": draw(st.booleans()),
        "firmware": firmware,
        "watchdog": draw(st.sampled_from([None, "reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"])),
        "tpm": draw(st.booleans()),
        "kernel": None,
        "iso": draw(st.none() | paths),
        "disks": given_disks,
        "nics": _without_same_mac(given_nics),
        "serial": draw(serials),
        "boot_menu": draw(st.sampled_from([None, 0, "3s", 65])),
        "confined": draw(st.booleans()),
        "system_info": draw(st.dictionaries(st.sampled_from(["manufacturer", "serial", "family"]), values, max_size=3)),
        "cpuset": draw(st.sampled_from([None, "0", "0-3,8"])),
        "panic": draw(st.sampled_from([None, "isa", "hyperv", "pseries", "s390"])),
        "usb_controller": draw(st.sampled_from([None, "piix3-uhci", "ehci", "nec-xhci", "qemu-xhci"])),
        "virtio_serial_ports": draw(st.sampled_from([None, 1, 31])),
        "channels": [{"name": name, "path": draw(st.none() | paths)} for name in draw(st.sets(channel_names, max_size=3))],
        "display": draw(st.none() | displays),
        "sound": draw(st.sampled_from([None, "ich6", "ich9", "ac97", "usb"])),
        "video": draw(st.sampled_from([None, "vga", "virtio", "qxl", "cirrus", "bochs", "ramfb", "none"])),
        "host_devices": given_host,
        "filesystems": draw(st.lists(filesystems, max_size=2, unique_by=lambda f: f["tag"])),
        "balloon": draw(st.booleans()),
        "guest_agent": draw(st.booleans()),
        "rng": draw(st.booleans()),
        "cloud_init": draw(st.none() | st.just({"hostname": "h"})),
        "tags": draw(st.frozensets(names, max_size=4)),
        "metadata": draw(st.dictionaries(names, values, max_size=4)),
        "description": draw(texts),
        "autostart": draw(st.booleans()),
        "start": draw(st.booleans()),
        "node": None,
        "native": {},
    }
    confined = found["confined"]
    found["security_labels"] = draw(st.lists(security_labels, max_size=3, unique_by=lambda s: s["model"])) if confined else []
    queued = any(disk["queues"] or disk["iothread"] for disk in given_disks)
    found["scsi_controller"] = draw(st.sampled_from([None, "virtio-scsi", *(() if queued else ("lsilogic", "lsisas1068"))]))
    pcie = platform(arch, found["machine"]).pcie
    found["pcie_ports"] = draw(st.sampled_from([None, 1, 30])) if pcie else None
    if firmware != "uefi-secure" and draw(st.booleans()):
        found["kernel"] = {"path": draw(paths), "initrd": draw(st.none() | paths), "command_line": draw(texts)}
    assert found.keys() == VMSpec.model_fields.keys(), "each field is exercised"
    return VMSpec(**found)


def test_each_field_of_disks_and_nics_is_exercised():
    assert DISKS.keys() == DiskSpec.model_fields.keys()
    assert NICS.keys() | PLACES == NICSpec.model_fields.keys()


def _without_same_mac(given_nics):
    seen, kept = set(), []
    for nic in given_nics:
        mac = (nic.get("mac") or "").lower()
        if not mac or mac not in seen:
            kept.append(nic)
        seen.add(mac)
    return kept


def build(spec, machine="q35"):
    arch, machine = spec.arch or "x86_64", spec.machine if spec.arch else machine
    files = [
        DiskFile(disk, f"/pool/{spec.name}-{target}", disk.format, target, bus, True)
        for disk, (bus, target) in zip(spec.disks, place(spec.disks, platform(arch, machine).buses), strict=True)
    ]
    kind = {"virt_type": spec.virt_type or "qemu", "arch": arch, "machine": machine}
    return domain_xml(spec, **kind, disks=files, created_at="2026-01-02T03:04:05+00:00"), files


@pytest.fixture(scope="module")
def schema():
    if not SCHEMA.exists():
        pytest.skip("libvirt's schemas are not installed")
    return etree.RelaxNG(etree.parse(SCHEMA))


@pytest.mark.slow
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_every_spec_becomes_valid_domain_xml(schema, spec):
    text, _ = build(spec)
    schema.assertValid(etree.fromstring(text))


@pytest.mark.slow
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_what_was_written_is_read_back(spec):
    text, files = build(spec)
    read = fields(text)
    uefi = (
        "uefi" if platform(spec.arch, spec.machine).needs_uefi and not spec.kernel and spec.firmware == "bios" else spec.firmware
    )
    assert (read["arch"], read["machine"], read["firmware"]) == (spec.arch, spec.machine, uefi)
    assert (read["tags"], read["metadata"], read["description"]) == (spec.tags, spec.metadata, spec.description)
    assert read["created_at"] == "2026-01-02T03:04:05+00:00"
    for file, disk in zip(files, read["disks"], strict=True):
        wanted = file.spec
        assert (disk.target, disk.source, disk.bus, disk.format) == (file.target, file.path, file.bus, wanted.format)
        assert (disk.device, disk.shareable, disk.boot_order) == (wanted.device, wanted.shareable, wanted.boot_order)
        assert disk.read_only == (wanted.read_only or wanted.device == "cdrom")
        assert (disk.serial, disk.encrypted) == (wanted.serial or None, bool(wanted.encryption))
    for wanted, nic in zip(spec.nics, read["nics"], strict=True):
        assert nic.network == (wanted.network or wanted.bridge or wanted.device)
        assert (nic.mac, nic.model) == ((wanted.mac or "").lower(), wanted.model)
        assert (nic.link_up, nic.mtu) == (wanted.link_up, wanted.mtu)


def test_the_same_spec_gives_the_same_xml():
    spec = VMSpec(
        name="web1", id="12345678-1234-1234-1234-123456789abc", disks=[DiskSpec(size="1MiB")], nics=[NICSpec(network="n")]
    )
    assert build(spec)[0] == build(spec)[0]


def test_thirty_disks_have_thirty_targets():
    targets = [target for _, target in place([DiskSpec(size="1MiB")] * 30)]
    assert targets[:2] + targets[25:28] == ["vda", "vdb", "vdz", "vdaa", "vdab"]
    assert len(set(targets)) == 30


@pytest.mark.parametrize(
    ("asked", "got"),
    [({"target": "hdb"}, ("ide", "hdb")), ({"target": "sdc", "bus": "usb"}, ("usb", "sdc")), ({"bus": "scsi"}, ("scsi", "sda"))],
)
def test_bus_and_target_that_were_asked_are_kept_and_the_other_fits(asked, got):
    assert place([DiskSpec(size="1MiB", **asked)]) == [got]


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


def test_new_fields_are_written_where_libvirt_reads_them(schema):
    spec = VMSpec(
        name="a",
        boot_menu="3s",
        system_info={"serial": "S-1", "manufacturer": "Maker <&>"},
        cpuset="0-3,8",
        confined=False,
        panic="isa",
        usb_controller="none",
        serial={"tcp": "[::1]:4555"},
        display={"listen": "none"},
        disks=[{"size": "1MiB", "bus": "scsi", "wwn": "5000C50015EA71AC", "detect_zeroes": "unmap"}],
    )
    root = etree.fromstring(build(spec)[0])
    schema.assertValid(root)
    assert dict(root.find("os/bootmenu").attrib) == {"enable": "yes", "timeout": "3000"}
    assert root.find("os/smbios").get("mode") == "sysinfo"
    assert {e.get("name"): e.text for e in root.iterfind("sysinfo/system/entry")} == spec.system_info
    assert root.find("vcpu").get("cpuset") == "0-3,8"
    assert root.find("seclabel").get("type") == "none"
    assert root.find("devices/panic").get("model") == "isa"
    assert root.find("devices/controller[@type='usb']").get("model") == "none"
    assert root.find("devices/input[@bus='usb']") is None, "there is no USB"
    assert dict(root.find("devices/serial/source").attrib) == {"mode": "bind", "host": "::1", "service": "4555"}
    assert root.find("devices/graphics/listen").get("type") == "none"
    assert root.find("devices/graphics").get("port") is None
    assert root.findtext("devices/disk/wwn") == "5000c50015ea71ac"
    assert root.find("devices/disk/driver").get("detect_zeroes") == "unmap"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"disks": [{"size": "1MiB", "bus": "virtio", "wwn": "5000c50015ea71ac"}]}, "disks.0.wwn"),
        ({"disks": [{"size": "1MiB", "wwn": "5000c50015ea71ac"}]}, "disks.0.wwn"),
        ({"display": {"listen": "none", "port": 5901}}, "display.port"),
        ({"serial": {"tcp": "0.0.0.0:4555"}}, "serial.tcp"),
        ({"serial": {"unix": "/a", "file": "/b"}}, "serial"),
        ({"usb_controller": "none", "sound": "usb"}, "usb_controller"),
        ({"boot_menu": "2m"}, "boot_menu"),
        ({"system_info": {"uuid": "x"}}, "system_info.uuid.[key]"),
    ],
    ids=str,
)
def test_new_fields_that_do_not_fit_are_refused_by_name(fields, path):
    with pytest.raises(InvalidSpecError) as caught:
        VMSpec(name="a", **fields)
    assert path in [problem.path for problem in caught.value.problems]


def test_controllers_and_security_labels_are_written_as_asked(schema):
    labels = [
        {"model": "dac", "label": "+107:+107", "relabel": True},
        {"model": "selinux", "type": "dynamic", "base_label": "system_u:system_r:svirt_t:s0"},
    ]
    spec = VMSpec(name="a", scsi_controller="lsisas1078", pcie_ports=3, virtio_serial_ports=9, security_labels=labels)
    root = etree.fromstring(build(spec, machine="q35")[0])
    schema.assertValid(root)
    controllers = {each.get("type"): dict(each.attrib) for each in root.iterfind("devices/controller")}
    assert controllers["scsi"] == {"type": "scsi", "model": "lsisas1078"}
    assert controllers["pci"] == {"type": "pci", "index": "3", "model": "pcie-root-port"}
    assert controllers["virtio-serial"] == {"type": "virtio-serial", "index": "0", "ports": "9"}
    dac, selinux = root.findall("seclabel")
    assert (dict(dac.attrib), dac.findtext("label")) == ({"type": "static", "model": "dac", "relabel": "yes"}, "+107:+107")
    assert (dict(selinux.attrib), selinux.findtext("baselabel")) == (
        {"type": "dynamic", "model": "selinux"},
        "system_u:system_r:svirt_t:s0",
    )


@pytest.mark.parametrize(
    ("machine", "fields", "path"),
    [
        ("pc", {"pcie_ports": 3}, "pcie_ports"),
        ("q35", {"scsi_controller": "lsilogic", "disks": [{"size": "1MiB", "bus": "scsi", "queues": 2}]}, "scsi_controller"),
    ],
)
def test_a_controller_that_the_machine_or_disk_does_not_fit_is_refused_by_name(machine, fields, path):
    with pytest.raises(InvalidSpecError) as caught:
        build(VMSpec(name="a", **fields), machine=machine)
    assert [problem.path for problem in caught.value.problems] == [path]


@pytest.mark.parametrize(
    ("label", "path"),
    [
        ({"model": "dac"}, "security_labels.0"),
        ({"model": "selinux", "type": "dynamic", "label": "a"}, "security_labels.0"),
        ({"model": "selinux", "type": "dynamic", "relabel": False}, "security_labels.0"),
        ({"model": "dac", "type": "dynamic", "base_label": "a"}, "security_labels.0"),
        ({"model": "apparmor", "label": "a<b"}, "security_labels.0.label"),
    ],
    ids=str,
)
def test_a_security_label_that_libvirt_would_drop_or_refuse_is_refused(label, path):
    with pytest.raises(InvalidSpecError) as caught:
        VMSpec(name="a", security_labels=[label])
    assert [problem.path for problem in caught.value.problems] == [path]
    with pytest.raises(InvalidSpecError, match="security_labels"):
        VMSpec(name="a", confined=False, security_labels=[{"model": "dac", "label": "+0:+0"}])


@pytest.mark.parametrize(
    ("machine", "fields", "models"),
    [
        ("pc", {}, ["ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3"]),
        ("pc-i440fx-7.2", {}, ["ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3"]),
        ("pc", {"usb_controller": "piix3-uhci"}, ["piix3-uhci"]),
        ("pc", {"usb_controller": "none"}, ["none"]),
        ("q35", {}, []),
        ("pc-q35-7.2", {}, []),
        ("isapc", {}, []),
    ],
)
def test_an_i440fx_machine_gets_usb_2_as_virt_manager_chooses(schema, machine, fields, models):
    """Its own controller knows USB 1.1 only. What was asked comes first; libvirt chooses for the other machines."""
    spec = VMSpec(name="a", machine=machine, **fields)
    text = domain_xml(spec, virt_type="qemu", arch="x86_64", machine=machine, disks=[], created_at="2026-01-01T00:00:00+00:00")
    root = etree.fromstring(text)
    schema.assertValid(root)
    controllers = root.findall("devices/controller[@type='usb']")
    assert [each.get("model") for each in controllers] == models
    if len(models) > 1:
        assert {each.get("index") for each in controllers} == {"0"}, "companions are one controller"
        assert [each.find("master").get("startport") for each in controllers[1:]] == ["0", "2", "4"]
