"""Domain XML: made, validated and read many times faster than virtinst does, which virt-install and virt-manager are built on."""

import json
import shutil
import subprocess

import pytest
from lxml import etree

from novacron.specs import VMSpec
from novacron_kvm.xml.devices.disk import DiskFile, place
from novacron_kvm.xml.domain import domain_xml
from novacron_kvm.xml.reading import fields

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

PEER = """
import json, sys, time
sys.path.insert(0, "/usr/share/virt-manager")
from virtinst import DeviceDisk, DeviceInterface, Guest, VirtinstConnection
connection = VirtinstConnection("test:///default")
connection.open(None, None)

def build():
    guest = Guest(connection)
    guest.name, guest.memory, guest.currentMemory, guest.vcpus, guest.type = "vm1", 1 << 20, 1 << 20, 2, "qemu"
    guest.os.os_type, guest.os.arch, guest.os.machine = "hvm", "x86_64", "q35"
    for letter in "ab":
        disk = DeviceDisk(connection)
        disk.type, disk.source.file, disk.target, disk.bus = "file", "/nowhere/" + letter, "vd" + letter, "virtio"
        disk.driver_name, disk.driver_type = "qemu", "qcow2"
        guest.add_device(disk)
    for _ in range(2):
        nic = DeviceInterface(connection)
        nic.type, nic.source, nic.model = "network", "default", "virtio"
        guest.add_device(nic)
    return guest.get_xml()

def parse(text):
    guest = Guest(connection, parsexml=text)
    disks = [(disk.target, disk.source.file, disk.bus) for disk in guest.devices.disk]
    return [disks, [[nic.source, nic.model] for nic in guest.devices.interface]]

text = sys.stdin.read()
print(json.dumps({"parsed": parse(text)}), flush=True)
"""
TIMED = """
def best(work):
    found = []
    for _ in range(7):
        began = time.perf_counter()
        for _ in range(100):
            work()
        found.append((time.perf_counter() - began) / 100)
    return min(found)

print(json.dumps({"build": best(build), "parse": best(lambda: parse(text))}))
"""


@pytest.fixture(scope="module")
def spec():
    return VMSpec(name="vm1", vcpus=2, memory="1GiB", disks=[{"size": "1MiB"}] * 2, nics=[{"network": "default"}] * 2)


@pytest.fixture(scope="module")
def virtinst():
    """Return a function that runs virtinst on a document: what it read, and its seconds."""
    python = shutil.which("python3", path="/usr/bin")
    if not python or subprocess.run([python, "-c", PEER], input="<domain/>", capture_output=True, text=True).returncode:
        pytest.skip("not measured: virtinst is not installed (apt-get install virtinst)")

    def run(text):
        done = subprocess.run([python, "-c", PEER + TIMED], input=text, capture_output=True, text=True, check=True)
        read, timed = map(json.loads, done.stdout.splitlines())
        return read["parsed"], timed

    return run


def test_definitions_are_made_validated_and_read_many_times_faster_than_by_virtinst(spec, virtinst, measure, tell):
    schema = etree.RelaxNG(etree.parse("/usr/share/libvirt/schemas/domain.rng"))
    files = [
        DiskFile(disk, f"/nowhere/{n}", disk.format, target, bus, True)
        for n, (disk, (bus, target)) in enumerate(zip(spec.disks, place(spec.disks), strict=True))
    ]
    more = {"virt_type": "qemu", "arch": "x86_64", "machine": "q35", "disks": files, "created_at": "2026-01-01T00:00:00+00:00"}
    text = domain_xml(spec, **more)

    def repeated(work):
        return lambda: [work() for _ in range(200)]

    def validated():
        root = etree.fromstring(domain_xml(spec, **more))
        schema.assertValid(root)
        return root

    (disks, nics), before = virtinst(text)
    read = fields(text)
    assert disks == [[d.target, d.source, d.bus] for d in read["disks"]]
    assert nics == [[n.network, n.model] for n in read["nics"]]
    m = measure(
        {
            "build": repeated(lambda: domain_xml(spec, **more)),
            "build and validate": repeated(validated),
            "parse": repeated(lambda: fields(text)),
        }
    )
    _, after = virtinst(text)
    peer = {name: min(before[name], after[name]) for name in before}
    ours = {name: m.best(name) / 200 for name in ("build", "build and validate", "parse")}
    tell(
        f"build {1e6 * ours['build']:.0f} us, {peer['build'] / ours['build']:.1f} times as fast as virtinst ({1e6 * peer['build']:.0f}); "
        f"with validation {peer['build'] / ours['build and validate']:.1f} times; "
        f"parse {1e6 * ours['parse']:.0f} us, {peer['parse'] / ours['parse']:.1f} times ({1e6 * peer['parse']:.0f} us)"
    )
    assert peer["build"] / ours["build"] >= 30
    assert peer["build"] / ours["build and validate"] >= 15
    assert peer["parse"] / ours["parse"] >= 10
