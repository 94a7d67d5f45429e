"""Domain XML: valid against libvirt's schema for every VMSpec, and read back as it was written."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from novacron.errors import InvalidSpecError
from novacron.specs import DiskSpec, NICSpec, VMSpec
from novacron_kvm.xml.devices.disk import DiskFile, place
from novacron_kvm.xml.domain import domain_xml
from novacron_kvm.xml.platforms import platform
from novacron_kvm.xml.reading import fields

sys.path.insert(0, str(Path(__file__).parent))
from any_spec import DISKS, NICS, PLACES, specs

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")


def test_each_field_of_disks_and_nics_is_exercised():
    assert DISKS.keys() == DiskSpec.model_fields.keys()
    assert NICS.keys() | PLACES == NICSpec.model_fields.keys()


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
