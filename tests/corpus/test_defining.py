"""Definitions that other tools write are defined on a real host: what libvirt accepts is imported, read alike everywhere and removed."""

from pathlib import Path

import libvirt
import pytest
from lxml import etree

from novacron import errors

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

CASES = {
    case.get("command"): etree.tostring(case[0], encoding="unicode", with_tail=False)
    for case in etree.parse(Path(__file__).with_name("definitions.xml")).getroot()
}


def refused_by(connection, text):
    """Return why libvirt itself refuses a definition, None if it accepts it."""
    try:
        domain = connection.defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    except libvirt.libvirtError as error:
        return error.get_error_message()
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    return None


def test_what_libvirt_defines_is_imported_and_listed_as_it_is(lab, lab_hosts, sample):
    a, connection = lab_hosts[0], libvirt.open(lab.hosts[0].uri)
    defined, refused = 0, []
    for command, text in sample(list(CASES.items())[::12], list(CASES.items())):
        reason = refused_by(connection, text)
        if reason is not None:
            refused.append(f"{command}: {reason}")
            with pytest.raises(errors.NovaCronError):
                a.vms.import_definition(text)
            assert etree.fromstring(text).findtext("name") not in a.vms, command
            continue
        vm = a.vms.import_definition(text)
        (listed,) = [each.record for each in a.vms.list(name=vm.name)]
        for field in ("id", "status", "vcpus", "memory_bytes", "autostart"):
            assert getattr(listed, field) == getattr(vm.record, field), (command, field)
        a.invoke("resources_get", vm=vm.id)
        assert vm.delete().removed == (f"definition of {vm.name}",), command
        defined += 1
    connection.close()
    print(f"{defined} defined, {len(refused)} refused by libvirt", *refused, sep="\n")
    assert defined > 3 * len(refused)
