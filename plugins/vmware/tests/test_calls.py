"""Whole commands send no more calls than govc's for the same."""

from __future__ import annotations

import os
import subprocess

import pytest
from click.testing import CliRunner

from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter, built
from novacron_shell.cli import cli

WAITING = {"CreatePropertyCollector", "CreateFilter", "WaitForUpdatesEx", "DestroyPropertyCollector"}
"""What waits for a task that has not ended at the first look: how often depends on the task."""
COMMANDS = {
    "show": ("vm show DC0_H0_VM0", "vm.info DC0_H0_VM0"),
    "create": ("snapshot create DC0_H0_VM0 ours", "snapshot.create -vm DC0_H0_VM0 theirs"),
    "list": ("snapshot list DC0_H0_VM0", "snapshot.tree -vm DC0_H0_VM0"),
    "revert": ("snapshot revert --yes DC0_H0_VM0 ours", "snapshot.revert -vm DC0_H0_VM0 theirs"),
    "delete": ("snapshot delete --yes DC0_H0_VM0 ours", "snapshot.remove -vm DC0_H0_VM0 theirs"),
}
"""In the order in which they run; each connects, finds the VM and logs out."""


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """The names of our calls, and the number of govc's requests, of each command; on a simulator of its own, with one folder of VMs."""
    folder = tmp_path_factory.mktemp("calls")
    with VCenter() as vcenter:
        return {
            name: (ours(vcenter, folder, own), theirs(vcenter, folder / name, other)) for name, (own, other) in COMMANDS.items()
        }


def ours(vcenter, folder, command) -> list[str]:
    from pyVmomi import SoapStubAdapter

    calls, real = [], SoapStubAdapter.InvokeMethod
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SoapStubAdapter, "InvokeMethod", lambda *a, **k: (calls.append(a[2].wsdlName), real(*a, **k))[1])
        environment = {"NOVACRON_VSPHERE_PASSWORD": vcenter.password, "NOVACRON_STATE": str(folder)}
        done = CliRunner().invoke(cli, ["-c", vcenter.uri(), *command.split()], env=environment)
    assert done.exit_code == 0, done.output
    return [name for name in calls if name not in WAITING]


def theirs(vcenter, folder, command) -> int:
    environment = os.environ | Govc(vcenter).environment | {"GOVC_DEBUG_PATH": str(folder)}
    program, (verb, *words) = built("govc"), command.split()
    subprocess.run([program, verb, "-debug", *words], env=environment, check=True, capture_output=True, timeout=60)
    return len(list(folder.rglob("*.req.xml")))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_sends_no_more_calls_than_govc(counted, name):
    own, other = counted[name]
    assert other > 5
    assert len(own) <= other, own


def test_no_object_is_read_twice_by_a_creation(counted):
    """The VM is found and read at once, by its name and then by its id; the snapshot is read when it is there."""
    own, _ = counted["create"]
    assert own[:4] == ["RetrieveServiceContent", "Login", "RetrievePropertiesEx", "FindChild"]
    assert own[4:] == [
        "RetrievePropertiesEx",  # the VM by name
        "RetrievePropertiesEx",  # by id, with its snapshots
        "CreateSnapshot_Task",
        "RetrievePropertiesEx",  # the task
        "RetrievePropertiesEx",  # the VM's snapshots
        "RetrievePropertiesEx",  # what the new one kept
        "Logout",
    ]
