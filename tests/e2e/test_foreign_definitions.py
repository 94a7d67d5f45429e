"""Definitions in the manner of many tools, kept by a real libvirt: a change changes what was asked, the rest stays byte for byte."""

from pathlib import Path

import libvirt
import pytest
from lxml import etree

from novacron.testing.marked import mark
from novacron_kvm.xml.parsing import NAMESPACE

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

FOLDER = Path(__file__).parent / "definitions"
OURS = f"metadata/{{{NAMESPACE}}}vm"
ASKED = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


@pytest.fixture(params=sorted(file.stem for file in FOLDER.glob("*.xml")))
def foreign(request, lab, lab_hosts):
    """A VM that another tool defined: its handle, and a function that says what libvirt has of it now but for some elements."""
    raw = libvirt.open(lab.hosts[0].uri)
    text = (FOLDER / f"{request.param}.xml").read_text().replace("not for the log", mark("display"))
    domain = raw.defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    domain = raw.defineXML(domain.XMLDesc(ASKED))  # libvirt puts what it added by itself in another order the second time

    def now(*but):
        root = etree.fromstring(raw.lookupByUUIDString(domain.UUIDString()).XMLDesc(ASKED))
        for path in but:
            for element in root.findall(path):
                parent, before = element.getparent(), element.getprevious()
                if before is None:
                    parent.text = "\n"
                elif element.tail is not None:
                    before.tail = element.tail
                parent.remove(element)
        metadata = root.find("metadata")
        if metadata is not None and not len(metadata):
            root.remove(metadata)  # it was there for us alone
        return etree.tostring(root, method="c14n", with_comments=True).decode().split("\n")

    yield lab_hosts[0].vms[domain.UUIDString()], now
    for each in raw.listAllDomains():
        if each.UUIDString() == domain.UUIDString() or each.name().startswith("copy-of-"):
            each.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    raw.close()


def test_each_is_read_as_it_is(foreign):
    vm, now = foreign
    root = etree.fromstring("\n".join(now()))
    record = vm.record
    assert (record.name, record.arch) == (root.findtext("name"), root.find("os/type").get("arch"))
    assert [d.target for d in record.disks] == [e.get("dev") for e in root.iterfind("devices/disk/target")]
    assert [n.mac for n in record.nics] == [e.get("address") for e in root.iterfind("devices/interface/mac")]
    assert record.description == (root.findtext("description") or "")
    assert vm.resources.read().vcpus == int(root.find("vcpu").get("current", root.findtext("vcpu")))


CHANGES = {
    "description": (lambda vm: vm.update(description="new <text>"), ["description"]),
    "tags and metadata": (lambda vm: vm.update(tags={"a"}, metadata={"k": "v <&>"}), [OURS]),
    "vcpus": (lambda vm: vm.update(vcpus=1), ["vcpu"]),
    "memory": (
        lambda vm: vm.update(memory="48MiB") if vm.resources.read().max_memory_bytes is None else None,
        ["memory", "currentMemory"],
    ),
    "name": (lambda vm: vm.rename(f"renamed-{vm.id[-4:]}"), ["name"]),
    "autostart": (lambda vm: vm.update(autostart=True).update(autostart=False), []),
    "limits": (lambda vm: vm.resources.limit(cpu_shares=1500), ["cputune"]),
    "a NIC and away": (lambda vm: vm.nics.attach(user=True, mac="52:54:00:77:77:77").detach(), []),
    "a cable": (lambda vm: vm.nics[vm.record.nics[0].mac].link(up=False) if vm.record.nics else None, ["devices/interface/link"]),
}
"""A change through NovaCron, and the elements that it is about."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_changes_what_was_asked_and_nothing_else(foreign, change):
    vm, now = foreign
    do, about = CHANGES[change]
    before = now(*about)
    do(vm)
    assert now(*about) == before


def test_a_disk_that_comes_and_goes_leaves_no_trace(foreign):
    vm, now = foreign
    before = now(OURS)
    disk = vm.disks.attach(size="1MiB", bus="virtio", target="vdx")
    assert now(OURS) != before
    disk.detach(delete=True)
    assert now(OURS) == before


def test_what_is_exported_is_imported_as_the_same_but_for_secrets(foreign):
    vm, now = foreign
    before = now()
    text = vm.export().text
    assert mark("display") not in text
    vm.host.invoke("vm_delete", vm=vm.id, keep_disks=True, force=False)
    again = vm.host.vms.import_definition(text)
    assert again.id == vm.id
    secret = 'passwd="' + mark("display") + '" '
    assert now() == [line.replace(secret, "").replace(" " + secret.strip(), "") for line in before]
