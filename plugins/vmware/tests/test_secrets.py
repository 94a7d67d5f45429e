"""What leaves a vCenter carries no secrets."""

from __future__ import annotations

import pytest

from novacron import VMSpec, errors
from novacron_vmware.operations import guest
from novacron_vmware.sdk import vim

SECRETS = (
    "remotedisplay.vnc.password",
    "RemoteDisplay.VNC.Password",
    "REMOTEDISPLAY.VNC.KEY",
    "guestinfo.userdata",
    "GuestInfo.secret",
    "GUESTINFO.appInfo",
    "my.api-key",
    "backup.Password",
    "login.token",
)


def test_an_export_has_no_secret_whatever_the_case_of_its_key(host):
    """vSphere does not distinguish upper and lower case in the keys of the extra configuration."""
    vm = host.vms.create(VMSpec(name="secretive", memory="64MiB"))
    native = host.dispatcher.driver.native
    options = [vim.option.OptionValue(key=key, value=f"MARKED-{number}") for number, key in enumerate(SECRETS)]
    options.append(vim.option.OptionValue(key="sched.swap.derivedName", value="harmless"))
    native.wait(native.inventory.find(vm.id).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=options)), resource=vm.name)
    text = vm.export().text
    assert "MARKED" not in text
    assert "harmless" in text
    vm.delete()


def test_a_guest_sends_no_more_than_is_read_into_memory(host, monkeypatch):
    """A program's output is cut; a file that is too large is refused."""
    monkeypatch.setattr(guest, "OUTPUT_MOST", 10)
    monkeypatch.setattr(guest, "FILE_MOST", 10)
    area = guest.VMwareGuest(host.dispatcher.driver.native)
    asked = []
    monkeypatch.setattr(guest.VMwareGuest, "_running", lambda self, vm: (None, vm))
    monkeypatch.setattr(guest.VMwareGuest, "_auth", lambda self: None)

    def lying(self, verb, url, data, most=2**16):
        asked.append(most)
        return b"x" * most

    monkeypatch.setattr(guest.VMwareGuest, "_transfer", lying)
    manager = type("Manager", (), {"InitiateFileTransferFromGuest": lambda *a: type("There", (), {"url": "https://x/y"})()})()
    monkeypatch.setattr(guest.VMwareGuest, "_manager", type("M", (), {"fileManager": manager})())
    with pytest.raises(errors.GuestAgentError, match="more than 10 bytes"):
        area.guest_file_read("vm", "/etc/large")
    assert asked == [11]
