"""The daily tasks of docs/vsphere.md: each command is run as it is written there, and govc tells what it did."""

from __future__ import annotations

import json
import re
import shlex
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter
from novacron_shell.cli import cli

DOCS = Path(__file__).parents[3] / "docs" / "vsphere.md"
ISO = b"0123456789" * 1000
GIB = 2**30


def tasks():
    """The task and the commands of each row, by the words of the docs."""
    text = DOCS.read_text().partition("<!-- daily: begin -->")[2].partition("<!-- daily: end -->")[0]
    rows = [line.strip("| ").replace("\\|", "\0").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    return [(task, [line.replace("\0", "|") for line in re.findall(r"`([^`]+)`", commands)]) for task, commands in rows]


class Scene:
    """A simulator with a folder of VMs, and both command lines."""

    def __init__(self, vcenter, folder, scene) -> None:
        self.vcenter, self.folder, self.named, self.said = vcenter, folder, scene.named, ""
        self.govc = Govc(vcenter)
        self.govc.environment |= {"GOVC_DATACENTER": "DC0", "GOVC_NETWORK": "VM Network"}
        create = "vm.create -on=false -c 1 -m 256 -ds SSD1 -disk 1GiB -pool rack1/Resources"
        for line in (
            "object.rename /DC0/host/DC0_C0 rack1",
            "cluster.change -drs-enabled rack1",
            "folder.create /DC0/vm/prod",
            f"{create} -host esx1 -folder /DC0/vm/prod web1",
            f"{create} -host esx1 -folder /DC0/vm/prod web2",
            f"{create} -host esx2 web3",
            f"{create} -host esx2 gone",
            "vm.unregister gone",
            "datastore.mkdir -ds SSD1 iso",
        ):
            self.govc(*shlex.split(self.named(line)))
        (folder / "a.iso").write_bytes(ISO)

    def run(self, line):
        """Run a line of the docs. What a command prints goes into the next one after a pipe."""
        said = None
        for command in self.named(line).split(" | "):
            words = ["-c", self.vcenter.uri(path="/DC0"), *shlex.split(command)]
            done = CliRunner().invoke(cli, words, input=said, env={"NOVACRON_VSPHERE_PASSWORD": self.vcenter.password})
            assert done.exit_code == 0, f"{command}: {done.output[-600:]} {done.stderr[-600:]} {done.exception}"
            said = done.stdout
        self.said = said

    def vm(self, name):
        (path,) = self.govc.lines("find", "/DC0/vm", "-type", "m", "-name", name)
        (found,) = self.govc.json("vm.info", path)["virtualMachines"]
        return found

    def host_of(self, name):
        return self.vm(name)["runtime"]["host"]["value"]

    def disks(self, name):
        return [each for each in self.vm(name)["config"]["hardware"]["device"] if "capacityInKB" in each]

    def snapshots(self, name):
        return re.findall(r'"name": ?"([^"]+)"', json.dumps(self.vm(name).get("snapshot") or {}))


def started(scene):
    assert {scene.vm(name)["runtime"]["powerState"] for name in ("web1", "web2")} == {"poweredOn"}
    assert scene.vm("web3")["runtime"]["powerState"] == "poweredOff"


def snapped(scene):
    assert [scene.snapshots(name) for name in ("web1", "web2", "web3")] == [["before-patch"], ["before-patch"], []]


def young_ones_stay(scene):
    snapped(scene)
    scene.run("snapshot delete '*' --older-than 0s --yes")
    assert [scene.snapshots(name) for name in ("web1", "web2", "web3")] == [[], [], []]


def lost_one_is_found(scene):
    assert "[SSD1] gone/gone.vmx".replace("SSD1", "LocalDS_0") in scene.said
    assert "web1.vmx" not in scene.said


def evacuated(scene):
    (node,) = scene.govc.json("host.info", "-host", "DC0_C0_H0")["hostSystems"]
    assert node["runtime"]["inMaintenanceMode"]
    assert node["self"]["value"] not in (scene.host_of("web1"), scene.host_of("web2"))


def moved(scene):
    (disk,) = scene.disks("web3")
    assert disk["backing"]["fileName"].startswith("[LocalDS_1] ")


def has_two_disks(scene):
    assert sorted(each["capacityInKB"] * 1024 for each in scene.disks("web3")) == [GIB, 20 * GIB]


def is_larger(scene):
    assert sorted(each["capacityInKB"] * 1024 for each in scene.disks("web3")) == [20 * GIB, 40 * GIB]


def cloned(scene):
    assert len(scene.disks("web9")) == 2


def exported(scene):
    with tarfile.open(scene.folder / "web9.ova") as archive:
        names = archive.getnames()
    assert names[0] == "web9.ovf"
    assert sum(name.endswith(".vmdk") for name in names) == 2


def events_are_told(scene):
    texts = [line.rpartition("] ")[2] for line in scene.govc.lines("events", "/DC0/vm/prod/web1")]
    assert len(texts) > 3
    assert [text for text in texts if text not in scene.said] == []
    scene.run("vsphere event list --object web1 --newer-than 0s")
    assert "VmPoweredOnEvent" not in scene.said


def sessions_are_told(scene):
    assert "administrator" in scene.said


def is_permitted(scene):
    (found,) = [
        each
        for each in json.loads(scene.govc("permissions.ls", "-json", "/DC0/vm/prod"))["Permissions"]
        if each["principal"] == "LAB\\admins"
    ]
    assert found["group"]


def renamed(scene):
    assert scene.govc.lines("ls", "/DC0/vm/live") == ["/DC0/vm/live/web1", "/DC0/vm/live/web2"]


def kept_apart(scene):
    assert scene.govc.lines("cluster.rule.ls", "-cluster", "rack1", "-name", "apart") == ["web1", "web2"]


def has_vlan(scene):
    (group,) = scene.govc.json("object.collect", "/DC0/network/test", "config.defaultPortConfig.vlan")
    assert group["val"]["vlanId"] == 12


def mounted(scene):
    scene.govc("datastore.download", "-ds", "LocalDS_0", "iso/a.iso", str(scene.folder / "back.iso"))
    assert (scene.folder / "back.iso").read_bytes() == ISO
    backings = [
        each["backing"].get("fileName") for each in scene.vm("web3")["config"]["hardware"]["device"] if each.get("backing")
    ]
    assert "[LocalDS_0] iso/a.iso" in backings


def is_bigger_and_runs(scene):
    vm = scene.vm("web3")
    assert (vm["config"]["hardware"]["numCPU"], vm["config"]["hardware"]["memoryMB"]) == (4, 2048)
    assert vm["runtime"]["powerState"] == "poweredOn"


def tools_are_told(scene):
    for line in scene.said.splitlines()[1:]:
        name, connected = line.split()
        running = scene.vm(name)["guest"]["toolsRunningStatus"] == "guestToolsRunning"
        assert connected == ("yes" if running else "no")


def space_is_told(scene):
    for each in scene.govc.json("datastore.info")["datastores"]:
        assert each["name"] in scene.said


CHECKS = {
    "Start all VMs of a folder": started,
    "Take a snapshot of all VMs of a folder": snapped,
    "Delete snapshots older than three days": young_ones_stay,
    "Find VMs on a datastore that the inventory has lost": lost_one_is_found,
    "Put a node into maintenance mode, its VMs elsewhere": evacuated,
    "Move a VM to another datastore": moved,
    "Add a disk": has_two_disks,
    "Enlarge a disk": is_larger,
    "Clone a VM with a customization specification": cloned,
    "Export a VM as an OVA": exported,
    "Events of a VM since yesterday": events_are_told,
    "Who is logged in": sessions_are_told,
    "Give a group a role on a folder": is_permitted,
    "Rename a folder": renamed,
    "Keep two VMs on different nodes": kept_apart,
    "Create a port group with a VLAN": has_vlan,
    "Upload an ISO and put it into a VM's drive": mounted,
    "Allow hot add, and add CPUs and memory to a running VM": is_bigger_and_runs,
    "Find running VMs without Tools": tools_are_told,
    "Report the space of datastores": space_is_told,
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory, command_scene):
    with VCenter("-machines", "0") as vcenter:
        yield Scene(vcenter, tmp_path_factory.mktemp("daily"), command_scene)


def test_all_twenty_tasks_are_checked():
    assert [task for task, _ in tasks()] == list(CHECKS)
    assert len(CHECKS) == 20


def test_each_task_does_what_it_says(scene, monkeypatch):
    monkeypatch.chdir(scene.folder)
    failures = []
    for task, lines in tasks():
        try:
            for line in lines:
                scene.run(line)
            CHECKS[task](scene)
        except Exception as error:  # noqa: BLE001 - all tasks are tried
            failures.append(f"{task}: {type(error).__name__}: {error}")
    print("\n".join(failures))
    assert failures == []
