"""Hardware fields of existing definitions: each is read, changed and restored, and nothing else of the definition changes."""

import pytest
from lxml import etree

import novacron
from novacron.errors import InvalidSpecError, InvalidStateError
from novacron.specs import VMUpdate
from novacron.specs.vm import HARDWARE
from novacron.testing.values import VALUES
from novacron_kvm.hardware import _as_spec, _same
from novacron_kvm.xml.configuration import hardware
from novacron_kvm.xml.hardware import CHANGES, change_hardware
from novacron_kvm.xml.parsing import parse, serialise
from novacron_kvm.xml.platforms import platform

FOREIGN = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <!-- by hand -->
  <name>foreign</name><memory unit='MiB'>512</memory><vcpu current='1'>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><bootmenu enable='yes'/></os>
  <features><acpi/><apic/><kvm><poll-control state='on'/></kvm></features>
  <cpu mode='custom' match='minimum' check='partial'><model fallback='allow'>Nehalem</model><vendor>Intel</vendor>
    <topology sockets='1' cores='2' threads='1'/><cache mode='passthrough'/><feature policy='force' name='vmx'/></cpu>
  <clock offset='variable' adjustment='3600'><timer name='kvmclock' present='yes'/></clock>
  <devices>
    <disk type='file' device='disk'><source file='/a'/><target dev='vda' bus='virtio'/><boot order='2'/></disk>
    <interface type='user'><mac address='52:54:00:00:00:AA'/><boot order='1'/></interface>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <graphics type='spice' passwd='secret' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>
    <audio id='1' type='spice'/>
    <watchdog model='itco' action='reset'/>
    <memballoon model='virtio'><address type='pci'/></memballoon>
  </devices>
  <qemu:commandline><qemu:arg value='-no-hpet'/></qemu:commandline>
</domain>"""
PLAIN = """<domain type='test'><name>plain</name><memory unit='MiB'>512</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><devices/></domain>"""


def changed(text, **fields):
    root = parse(text)
    changes = VMUpdate.parse(fields)
    change_hardware(root, changes.hardware, _as_spec("x", root, changes), platform("x86_64", "q35"))
    return serialise(root)


def test_a_foreign_definition_is_read():
    found = hardware(parse(FOREIGN))
    assert found["boot_order"] == ["52:54:00:00:00:aa", "vda"]
    assert (found["cpu_model"], found["cpu_mode"], found["cpu_features"]) == ("Nehalem", "default", ["vmx"])
    assert found["topology"] == {"sockets": 1, "cores": 2, "threads": 1}
    assert (found["watchdog"], found["clock"], found["vcpus_max"]) == (None, "variable", 2)
    assert found["display"] == {"type": "spice", "listen": "127.0.0.1", "port": None, "keymap": None}
    assert {*hardware(parse(PLAIN))} == {*HARDWARE} == {*CHANGES}


@pytest.mark.parametrize("field", HARDWARE)
@pytest.mark.parametrize("text", [FOREIGN, PLAIN], ids=["foreign", "plain"])
def test_a_changed_field_is_read_back_and_the_others_stay(text, field):
    value = VALUES["VMUpdate"][field]
    asked = {**value.extra, field: value.tried[0]}
    if field == "boot_order":
        asked = {"boot_order": ["vda"] if text == FOREIGN else []}
    before, after = hardware(parse(text)), hardware(parse(changed(text, **asked)))
    given = VMUpdate.parse(asked).as_dict()
    assert all(_same(given[name], after[name], name) for name in asked if name in HARDWARE), after[field]
    touched = {*asked, *({"cpu_mode", "cpu_model"} if field.startswith("cpu") else ())}
    touched |= {"vcpus_max"} if field == "topology" else {"topology"} if field == "vcpus_max" else set()
    touched |= {"video"} if field == "display" else set()
    assert {name for name in after if after[name] != before[name]} <= touched
    for kept in ("by hand", "qemu:commandline", "poll-control", "kvmclock", "bootmenu", "cache mode", "itco"):
        assert (kept in changed(text, **asked)) == (kept in text)


def test_each_change_twice_is_the_same_as_once():
    for field in HARDWARE:
        value = VALUES["VMUpdate"][field]
        asked = {**value.extra, field: ["vda"] if field == "boot_order" else value.tried[0]}
        once = changed(FOREIGN, **asked)
        twice = changed(once, **asked)
        assert sorted(map(etree.tostring, parse(twice).find("devices"))) == sorted(
            map(etree.tostring, parse(once).find("devices"))
        )
        assert hardware(parse(twice)) == hardware(parse(once)), field


TOPOLOGY = """<domain type='qemu'><memory>1</memory><vcpu>8</vcpu><os/><cpu><topology sockets='2' dies='{0}' cores='{1}' threads='2'/></cpu>
<devices/></domain>"""


@pytest.mark.parametrize(
    ("fields", "vcpus", "parts"),
    [
        ({"topology": {"threads": 1}}, ("8", None), "4 1 2 1"),
        ({"topology": {"cores": 4}}, ("8", None), "1 1 4 2"),
        ({"topology": {"sockets": 4}}, ("16", "8"), "4 1 2 2"),
        ({"topology": {"sockets": 1}, "vcpus": 2}, ("4", "2"), "1 1 2 2"),
        ({"topology": {"sockets": 6, "threads": 1}, "vcpus_max": 12}, ("12", "8"), "6 1 2 1"),
    ],
)
def test_a_part_of_a_topology_changes_alone_and_takes_no_vcpus_away(fields, vcpus, parts):
    root = parse(changed(TOPOLOGY.format(1, 2), **fields))
    found = root.find("cpu/topology")
    assert [found.get(name, "1") for name in ("sockets", "dies", "cores", "threads")] == parts.split()
    assert (root.findtext("vcpu"), root.find("vcpu").get("current")) == vcpus


def test_dies_stay_unless_a_whole_topology_is_given():
    root = parse(changed(TOPOLOGY.format(2, 1), topology={"threads": 1}))
    assert dict(root.find("cpu/topology").attrib) == {"sockets": "4", "dies": "2", "cores": "1", "threads": "1"}
    assert root.findtext("vcpu") == "8"
    root = parse(changed(TOPOLOGY.format(2, 1), topology={"sockets": 1, "cores": 8, "threads": 1}))
    assert dict(root.find("cpu/topology").attrib) == {"sockets": "1", "cores": "8", "threads": "1"}


def test_a_topology_without_places_for_all_vcpus_is_refused():
    with pytest.raises(InvalidSpecError, match="at least 8 vCPUs; give vcpus along"):
        changed(TOPOLOGY.format(1, 2), topology={"sockets": 1})


def test_removing_spice_removes_what_only_spice_has():
    text = changed(FOREIGN, display={"type": "vnc"})
    assert "spice" not in text
    assert "secret" not in text
    assert "secret" in changed(FOREIGN, display={"type": "spice", "port": 5999})
    assert hardware(parse(changed(FOREIGN, display=None)))["display"] is None


@pytest.mark.parametrize("type_", ["vnc", "spice"])
def test_a_part_of_a_display_changes_alone(type_):
    graphics = (
        f"<graphics type='{type_}' port='5931' autoport='no' passwd='p'><listen type='address' address='::1'/><gl enable='no'/>"
    )
    text = f"<domain type='qemu'><os/><devices>{graphics}</graphics><graphics type='egl-headless'/></devices></domain>"
    found = etree.fromstring(changed(text, display={"keymap": "de"}))
    display, further = found.findall("devices/graphics")
    kept = {"type": type_, "port": "5931", "autoport": "no", "passwd": "p"}
    assert dict(display.attrib) == kept | {"keymap": "de"}
    assert [each.tag for each in display] == ["listen", "gl"]
    assert further.get("type") == "egl-headless"
    moved = etree.fromstring(changed(text, display={"port": 5940})).find("devices/graphics")
    assert (moved.get("port"), moved.get("listen"), moved.get("passwd")) == ("5940", "::1", "p")


def test_a_display_that_nobody_can_reach_stays_so():
    text = "<domain type='qemu'><os/><devices><graphics type='vnc'><listen type='none'/></graphics></devices></domain>"
    found = etree.fromstring(changed(text, display={"keymap": "fr"}))
    assert [(each.get("type"), each.get("address")) for each in found.iterfind("devices/graphics/listen")] == [("none", None)]


def test_what_a_spec_can_not_say_stays():
    text = """<domain type='qemu'><os/><features><hyperv><vendor_id state='on' value='X'/><spinlocks state='on' retries='4096'/></hyperv>
    </features><clock offset='utc'><timer name='rtc' track='guest'/></clock><memoryBacking><allocation mode='immediate' threads='4'/>
    </memoryBacking><devices><sound model='ich9'><codec type='micro'/></sound></devices></domain>"""
    changes = {"features": {"hyperv": True}, "memory_backing": {"locked": True}, "sound": "ich9"}
    found = etree.fromstring(changed(text, **changes))
    assert found.find("features/hyperv/vendor_id").get("value") == "X"
    assert found.find("features/hyperv/synic").get("state") == "on"
    assert dict(found.find("clock/timer[@name='rtc']").attrib) == {"name": "rtc", "track": "guest", "tickpolicy": "catchup"}
    assert dict(found.find("memoryBacking/allocation").attrib) == {"mode": "immediate", "threads": "4"}
    assert found.find("memoryBacking/locked") is not None
    assert found.find("devices/sound/codec").get("type") == "micro"


def test_none_restores_the_default():
    text = changed(FOREIGN, cpu_model=None, cpu_features=[], topology=None, boot_order=[], kernel=None, clock="Europe/Berlin")
    found = hardware(parse(text))
    assert (found["cpu_model"], found["cpu_features"], found["topology"], found["boot_order"]) == (None, [], None, [])
    assert found["clock"] == "Europe/Berlin"
    assert '<boot dev="hd"/><boot dev="cdrom"/>' in text
    assert "adjustment" not in text


def test_an_unknown_device_is_named():
    with pytest.raises(InvalidSpecError, match="vdz"):
        changed(FOREIGN, boot_order=["vdz"])


@pytest.fixture
def vm():
    with novacron.connect("test:///default") as host:
        vm = host.vms.create(name="hardware", memory="64MiB")
        yield vm
        vm.delete(force=True)


def test_libvirt_accepts_what_is_written(vm):
    for field in HARDWARE:
        value = VALUES["VMUpdate"][field]
        vm.update(**{**value.extra, field: [] if field == "boot_order" else value.tried[0]})
    fields = vm.configuration().fields
    assert (fields["watchdog"], fields["clock"], fields["cpu_model"]) == ("reset", "localtime", "qemu64")


def test_a_failed_change_leaves_the_definition_as_it_was(vm):
    before = vm.export().text
    with pytest.raises(InvalidSpecError):
        vm.update(watchdog="reset", display={"type": "vnc", "listen": "0.0.0.0"})
    with pytest.raises(InvalidSpecError, match="boot_order"):
        vm.update(watchdog="reset", boot_order=["vda"])
    assert vm.export().text == before


def test_a_running_vm_says_which_fields_it_has_not_taken_over(vm):
    vm.start()
    vm.update(watchdog="reset")
    assert vm.configuration().pending == ("watchdog",)
    with pytest.raises(InvalidStateError):
        vm.plan_update(when="live", watchdog="dump").apply()
    vm.stop()
    assert vm.configuration().pending == ()
