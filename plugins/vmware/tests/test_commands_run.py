"""The rows of docs/vsphere-commands.csv that say so are run: govc's command in one simulator, NovaCron's in another one like it.

Both have to succeed, and afterwards both simulators have to hold the same: govc tells, of both.
"""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from novacron.errors import InvalidStateError
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter
from novacron_shell.cli import cli

TABLE = Path(__file__).parents[3] / "docs" / "vsphere-commands.csv"
ALWAYS = ("vsphere vm extra-set", "vsphere pool create", "network list")
"""Rows that failed once."""


def rows():
    """The rows that are run."""
    with TABLE.open() as file:
        return [row for row in csv.DictReader(file) if row["run"]]


class Side:
    """One of the two simulators, with the objects that the table names."""

    def __init__(self, vcenter: VCenter, folder, scene) -> None:
        self.vcenter, self.folder, self.govc, self.scene = vcenter, folder, Govc(vcenter), scene
        self.govc.environment |= {
            "GOVC_DATACENTER": "DC0",
            "GOVC_DATASTORE": "LocalDS_0",
            "GOVC_RESOURCE_POOL": "rack1/Resources",
        }
        folder.mkdir()
        (folder / "a.iso").write_bytes(b"0123456789" * 100)
        self.script(self.scene.world)

    def script(self, text: str) -> None:
        for line in text.strip().splitlines():
            self.run_govc(line)

    def run_govc(self, line: str) -> None:
        words = [
            str(self.folder / word) if word in ("a.iso", "copy.iso") else word for word in shlex.split(self.scene.named(line))
        ]
        self.govc(*words)

    def run_novacron(self, line: str) -> None:
        environment = {"NOVACRON_VSPHERE_PASSWORD": self.vcenter.password}
        words = ["-c", self.vcenter.uri(path="/DC0"), *shlex.split(self.scene.named(line))]
        done = CliRunner().invoke(cli, words, env=environment)
        if "without --yes" in done.output:  # at a terminal it asks
            done = CliRunner().invoke(cli, [*words, "--yes"], env=environment)
        assert done.exit_code == 0, f"novacron {line}: {done.output[-400:]} {done.exception}"

    def refill(self) -> None:
        """Make the VMs anew: a row before this one may have changed them."""
        for path in self.govc.lines("find", "/DC0/vm", "-type", "m"):
            self.govc("vm.destroy", path)
        for path in reversed(self.govc.lines("find", "/DC0/vm", "-type", "f")):
            if path != "/DC0/vm":
                self.govc("object.destroy", path)
        for kind, name in (("group", "all"), ("group", "web"), ("rule", "together"), ("rule", "apart")):
            if name in self.govc(f"cluster.{kind}.ls", "-cluster", "rack1").split():
                self.govc(f"cluster.{kind}.remove", "-cluster", "rack1", "-name", name)
        self.script(self.scene.vms)

    def state(self) -> dict[str, object]:
        """What there is, as govc tells it: all paths, and what matters of the VMs."""
        found = json.loads(self.govc("vm.info", "-json", "/DC0/vm/...")).get("virtualMachines") or ()
        paths = [path if "-DVUplinks-" not in path else path.rpartition("-")[0] for path in self.govc.lines("find", "/")]
        return {"paths": paths, "vms": sorted((seen(vm) for vm in found), key=str)}


def seen(vm) -> tuple[object, ...]:
    hardware, snapshots = vm["config"]["hardware"], json.dumps(vm.get("snapshot") or {})
    devices = hardware["device"]
    disks = sorted(device["capacityInKB"] for device in devices if "capacityInKB" in device)
    cards = sorted(str(device["backing"].get("deviceName") or "distributed") for device in devices if "macAddress" in device)
    others = sorted(device["deviceInfo"]["label"] for device in devices if "Floppy" in device["deviceInfo"]["label"])
    return (
        vm["name"],
        vm["runtime"]["powerState"],
        hardware["numCPU"],
        hardware["memoryMB"],
        vm["config"]["template"],
        disks,
        cards,
        others,
        snapshots.count('"name"'),
    )


@pytest.fixture(scope="module")
def sides(tmp_path_factory, command_scene):
    folder = tmp_path_factory.mktemp("sides")
    with VCenter("-machines", "0") as one, VCenter("-machines", "0") as other:
        yield Side(one, folder / "govc", command_scene), Side(other, folder / "novacron", command_scene)


def test_at_least_120_rows_are_run():
    assert len(rows()) >= 120


def test_both_commands_of_each_row_do_the_same(sides, sample, monkeypatch):
    """A sample of the rows in each run; all of them in the long one."""
    theirs, ours = sides
    monkeypatch.chdir(ours.folder)
    chosen = sorted(rows(), key=deletes)
    step = max(1, len(chosen) // sample(3, len(chosen)))
    chosen = [row for number, row in enumerate(chosen) if number % step == 0 or row["novacron"].startswith(ALWAYS)]
    failures, fresh = [], ()
    for row in chosen:
        try:
            if not fresh:
                for side in sides:
                    side.refill()
                fresh = theirs.state(), ours.state()
            theirs.run_govc(row["govc"])
            ours.run_novacron(row["novacron"])
            states = theirs.state(), ours.state()
            one, other = (changes(before, after) for before, after in zip(fresh, states, strict=True))
            assert one == other
            if any(
                vm_paths(before) != vm_paths(after) or before["vms"] != after["vms"]
                for before, after in zip(fresh, states, strict=True)
            ):
                states = ()
            fresh = states
        except (AssertionError, InvalidStateError) as error:
            fresh = ()
            failures.append(f"{row['govc']} | {row['novacron']}: {str(error)[:600]}")
    print("\n".join(failures))
    assert failures == []


def vm_paths(state):
    return [path for path in state["paths"] if path.startswith("/DC0/vm")]


def deletes(row) -> bool:
    """Rows that delete what others name are the last."""
    return any(word in row["novacron"].split() for word in ("delete", "rm", "mv", "remove"))


def changes(before, after):
    """What a command has changed: the paths that came and went, and the VMs as they are now."""
    old, new = set(before["paths"]), set(after["paths"])
    return {"new": sorted(new - old), "gone": sorted(old - new), "vms": after["vms"]}
