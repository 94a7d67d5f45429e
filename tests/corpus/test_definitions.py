"""Definitions that virt-install, virt-xml and virt-clone write: read as they are, and changed only where a change was asked for.

`definitions.xml` has what Debian's programs printed for each line of `commands.txt` (`generate.py`). Reading is compared with XPath
expressions of this module, which share nothing with the driver. Each kind of edit is compared by canonical XML.
"""

import re
from copy import deepcopy
from pathlib import Path
from typing import get_args

import pytest
from lxml import etree

from novacron.records.vm import VM
from novacron.records.volumes import Volume
from novacron.specs import NICSpec, VMUpdate
from novacron_kvm.hardware import _as_spec
from novacron_kvm.storage.copies import own_disks, set_disk_file
from novacron_kvm.xml.devices.disk import set_medium
from novacron_kvm.xml.devices.nic import change_nic, set_link
from novacron_kvm.xml.domain import HYPERV
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.hardware import change_hardware
from novacron_kvm.xml.parsing import NAMESPACE, parse, serialise
from novacron_kvm.xml.platforms import platform
from novacron_kvm.xml.reading import fields, machine_of
from novacron_kvm.xml.resources import fields as resources
from novacron_kvm.xml.resources import set_memory, set_scheduling, set_vcpus

FOLDER = Path(__file__).parent
SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
CASES = {
    case.get("command"): etree.tostring(case[0], encoding="unicode", with_tail=False)
    for case in etree.parse(FOLDER / "definitions.xml").getroot()
}
COMMANDS = [line for line in (FOLDER / "commands.txt").read_text().splitlines() if line and not line.startswith("#")]
VOLUME = Volume(name="new.raw", pool="p", host="h", path="/pool/new.raw", format="raw", capacity_bytes=1, allocated_bytes=0)


CONTAINERS = ("features/hyperv", "features/kvm", "features", "memoryBacking", "cpu")


@pytest.fixture(params=CASES, ids=lambda command: command[:60])
def text(request):
    return CASES[request.param]


def canonical(root, *but):
    """Return canonical XML without some elements and attributes ("cpu/@mode"), and without blanks between elements.

    A container that is left empty is as good as none.
    """
    root = deepcopy(root)
    for path in but:
        path, _, attribute = path.partition("/@")
        for element in root.findall(path):
            if attribute:
                element.attrib.pop(attribute, None)
            else:
                element.getparent().remove(element)
    for path in CONTAINERS if but else ():
        for element in root.findall(path):
            if not len(element) and not element.attrib:
                element.getparent().remove(element)
    for element in root.iter():
        if len(element) and not (element.text or "").strip():
            element.text = None
        if not (element.tail or "").strip():
            element.tail = None
    return etree.tostring(root, method="c14n", with_comments=True)


def test_there_are_enough_and_none_is_stale():
    assert len(CASES) >= 200
    programs = [command.split()[0] for command in CASES]
    assert programs.count("virt-xml") >= 45
    assert programs.count("virt-clone") >= 5
    assert {*CASES} <= {*COMMANDS}, "run generate.py: lines have changed"
    options = {word for command in CASES for word in re.findall(r"--[a-z][\w-]*", command)}
    assert len(options) >= 45, sorted(options)


def test_it_is_read_as_it_is(text):
    root, read = etree.fromstring(text), fields(text)
    assert (read["arch"], read["machine"]) == (
        root.xpath("string(os/type/@arch)") or None,
        root.xpath("string(os/type/@machine)") or None,
    )
    assert read["description"] == root.xpath("string(description)")
    assert [d.target for d in read["disks"]] == root.xpath("devices/disk/target/@dev")
    assert [d.bus or "" for d in read["disks"]] == [e.xpath("string(target/@bus)") for e in root.xpath("devices/disk")]
    assert [d.device for d in read["disks"]] == [e.get("device", "disk") for e in root.xpath("devices/disk")]
    assert [d.read_only for d in read["disks"]] == [e.xpath("boolean(readonly)") for e in root.xpath("devices/disk")]
    assert [d.shareable for d in read["disks"]] == [e.xpath("boolean(shareable)") for e in root.xpath("devices/disk")]
    assert [d.boot_order for d in read["disks"]] == [
        (int(e.xpath("number(boot/@order)")) or None) if e.xpath("boot") else None for e in root.xpath("devices/disk")
    ]
    files = [e.xpath("string(source/@file | source/@dev | source/@dir)") for e in root.xpath("devices/disk[@type!='network']")]
    known = [d.source or "" for d, e in zip(read["disks"], root.xpath("devices/disk"), strict=True) if e.get("type") != "network"]
    assert [(a, b) for a, b in zip(files, known, strict=True) if a and a != b] == []
    assert [n.mac for n in read["nics"]] == [mac.lower() for mac in root.xpath("devices/interface/mac/@address")]
    assert [n.type for n in read["nics"]] == root.xpath("devices/interface/@type")
    assert [n.link_up for n in read["nics"]] == [
        e.xpath("string(link/@state)") != "down" for e in root.xpath("devices/interface")
    ]
    assert (read["firmware"] != "bios") == root.xpath("os/@firmware='efi' or os/loader/@type='pflash'")
    sizes = resources(parse(text))
    assert sizes["vcpus_max"] == int(root.xpath("number(vcpu)"))
    assert sizes["vcpus"] == int(root.xpath("number(vcpu/@current)")) if root.xpath("vcpu/@current") else sizes["vcpus_max"]
    units = {"": 1024, "KiB": 1024, "MiB": 2**20, "GiB": 2**30}
    assert sizes["memory_max_bytes"] == int(root.xpath("number(memory)")) * units[root.xpath("string(memory/@unit)")]
    VM(id="x", name="x", host="x", status="stopped", **read).as_dict()


def test_it_is_written_back_as_it_was(text):
    assert canonical(etree.fromstring(serialise(parse(text)))) == canonical(etree.fromstring(text))


def each(path, change):
    def do(root):
        for element in root.iterfind(path):
            change(element)

    return do


def hardware(**changes):
    def do(root):
        update = VMUpdate(**changes)
        change_hardware(root, update.hardware, _as_spec("x", root, update), platform(*machine_of(root)))

    return do


def again(field, path):
    """Set a field to the value that the definition has."""

    def do(root):
        if present := [
            value for value in root.xpath(path) if value in get_args(get_args(VMUpdate.model_fields[field].annotation)[0])
        ]:
            hardware(**{field: present[0]})(root)

    return do


def display(root):
    """Give a display another keymap, and nothing else."""
    if (graphics := root.find("devices/graphics")) is not None and graphics.get("type") in ("vnc", "spice"):
        hardware(display={"keymap": "de"})(root)


def own_files(root):
    for element in own_disks(root):
        set_disk_file(element, VOLUME)


def facts(root):
    VMFacts(tags=("a",), made=("/b",)).write(root)


NIC = "devices/interface"
OF_A_CPU = ("mode", "match", "check", "migratable")
EDITS = {
    "facts": (facts, ["metadata"]),
    "vcpus": (lambda root: set_vcpus(root, 1), ["vcpu", "vcpus", "cputune", "cpu/topology", "cpu/numa"]),
    "memory": (
        lambda root: set_memory(root, 300 * 2**20),
        ["memory", "currentMemory", "cpu/numa", "devices/memory", "maxMemory"],
    ),
    "shares": (lambda root: set_scheduling(root, {"cpu_shares": 2000}), ["cputune"]),
    "cables": (each(NIC, lambda nic: set_link(nic, up=False)), [f"{NIC}/link"]),
    "NIC limits": (
        each(
            NIC,
            lambda nic: change_nic(nic, NICSpec.model_construct({"inbound_bytes_per_second"}, inbound_bytes_per_second=2**20)),
        ),
        [f"{NIC}/bandwidth"],
    ),
    "NIC order": (each(NIC, lambda nic: change_nic(nic, NICSpec(user=True, boot_order=9))), [NIC]),
    "media": (
        each("devices/disk[@device='cdrom']", lambda drive: set_medium(drive, "/pool/x.iso")),
        ["devices/disk[@device='cdrom']"],
    ),
    "disk files": (own_files, [f"devices/disk/{part}" for part in ("source", "backingStore", "driver", "auth")]),
    "clock": (hardware(clock="Europe/Berlin"), ["clock"]),
    "watchdog": (hardware(watchdog="reset"), ["devices/watchdog"]),
    "sound": (hardware(sound="ich9"), ["devices/sound"]),
    "vsock": (hardware(vsock=True), ["devices/vsock"]),
    "boot order": (
        hardware(boot_order=[]),
        ["os/boot", *(f"devices/{kind}/boot" for kind in ("disk", "interface", "hostdev", "redirdev"))],
    ),
    "the display": (display, ["devices/graphics/@keymap"]),
    "the same sound again": (again("sound", "devices/sound/@model"), []),
    "the same video again": (again("video", "devices/video/model/@type"), []),
    "another video": (hardware(video="bochs"), ["devices/video"]),
    "the CPU": (hardware(cpu_mode="host-passthrough"), ["cpu/model", "cpu/vendor", *(f"cpu/@{name}" for name in OF_A_CPU)]),
    "features of the CPU": (hardware(cpu_features=["avx2", "-vmx"]), ["cpu/feature", "cpu/@mode"]),
    "locked memory": (hardware(memory_backing={"locked": True}), ["memoryBacking/locked"]),
    "the balloon": (hardware(balloon=False), ["devices/memballoon"]),
    "random numbers": (hardware(rng=True), ["devices/rng"]),
    "the kernel": (hardware(kernel={"path": "/k", "initrd": "/i"}), ["os/kernel", "os/initrd", "os/cmdline"]),
    "Hyper-V": (hardware(features={"hyperv": True}), [*(f"features/hyperv/{name}" for name in HYPERV), "clock/timer"]),
    "CPU counters": (hardware(features={"pmu": False}), ["features/pmu"]),
    "the most vCPUs": (hardware(vcpus_max=64), ["vcpu", "vcpus", "cputune", "cpu/topology", "cpu/numa"]),
    "NIC parts": (
        each(
            NIC,
            lambda nic: change_nic(
                nic,
                NICSpec.model_construct({"mtu", "vlan", "filter", "isolated"}, mtu=1300, vlan=7, filter="f", isolated=True),
            ),
        ),
        [f"{NIC}/{part}" for part in ("mtu", "vlan", "filterref", "port")],
    ),
    "NIC model": (
        each(NIC, lambda nic: change_nic(nic, NICSpec.model_construct({"model"}, model="e1000"))),
        [f"{NIC}/model"],
    ),
    "ejected media": (
        each("devices/disk[@device='cdrom']", lambda drive: set_medium(drive, None)),
        ["devices/disk[@device='cdrom']"],
    ),
    "a hidden hypervisor": (hardware(features={"hide_hypervisor": True}), ["features"]),
}
"""Each kind of edit, and the elements that it is about."""


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_what_was_asked_and_nothing_else(edit):
    do, about = EDITS[edit]
    changed = 0
    for command, text in CASES.items():
        root = parse(text)
        before = etree.fromstring(text)
        do(root)
        after = etree.fromstring(serialise(root))
        if edit == "disk files":  # the type of the <disk> says what its source is
            for element in [*before.iterfind("devices/disk"), *after.iterfind("devices/disk")]:
                element.attrib.pop("type", None)
        assert canonical(after, *about) == canonical(before, *about), command
        changed += canonical(after) != canonical(before)
    assert changed >= 2 or not about, "hardly any definition was changed"


def test_our_own_element_is_the_only_one_that_facts_add():
    for command, text in CASES.items():
        root = parse(text)
        facts(root)
        ours = f"metadata/{{{NAMESPACE}}}vm"
        assert root.find(ours) is not None
        before = etree.fromstring(text)
        if before.find("metadata") is None:
            root.remove(root.find("metadata"))
        assert canonical(etree.fromstring(serialise(root)), ours) == canonical(before, ours), command


@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt's schemas are not installed")
def test_an_edit_leaves_a_valid_definition_valid():
    schema = etree.RelaxNG(etree.parse(SCHEMA))
    valid = {command: text for command, text in CASES.items() if schema.validate(etree.fromstring(text))}
    assert len(valid) > 0.9 * len(CASES), sorted({*CASES} - {*valid})
    for edit, (do, _) in EDITS.items():
        for command, text in valid.items():
            root = parse(text)
            do(root)
            assert schema.validate(etree.fromstring(serialise(root))), (edit, command, schema.error_log.last_error)
