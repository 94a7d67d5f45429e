"""Rows of docs/vsphere-commands.csv whose effect is on neither paths nor VMs: a third command of govc tells what they changed.

govc's command runs in one simulator, NovaCron's in another one like it. In both the witness has to tell something else than before, and in
both the same.
"""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import novacron

TABLE = Path(__file__).parents[3] / "docs" / "vsphere-commands.csv"


class Witness(NamedTuple):
    """What govc runs, what NovaCron runs, what govc is asked afterwards, and the facts that are taken out of its answer."""

    govc: str
    novacron: str
    asked: str
    facts: Callable[[Any], Any]


def power(answer: Any) -> Any:
    return sorted((vm["name"], vm["runtime"]["powerState"]) for vm in answer["virtualMachines"])


def service(identity: str) -> Callable[[Any], Any]:
    return lambda answer: [(s["running"], s["policy"]) for s in answer if s["key"] == identity]


def option(answer: Any) -> Any:
    return sorted((each["key"], each["value"]) for each in answer)


def maintenance(answer: Any) -> Any:
    return [each["summary"]["maintenanceMode"] for each in answer["datastores"]]


def connected(answer: Any) -> Any:
    return [each["connectable"]["startConnected"] for each in answer["devices"]]


def question(answer: Any) -> Any:
    return [(vm["runtime"].get("question") or {}).get("text") for vm in answer["virtualMachines"]]


def servers(answer: Any) -> Any:
    return answer["ntpConfig"].get("server")


def acknowledged(answer: Any) -> Any:
    return [each["acknowledged"] for each in answer]


SHOP, FLOPPY, LEVEL = (
    "-vapp.ipath /DC0/host/rack1/Resources/shop",
    "device.info -vm web1 floppy-205",
    "Config.HostAgent.log.level",
)
SERVICES, SSH = "host.service.ls -host esx1", service("TSM-SSH")
WITNESSES = (
    Witness(f"vapp.power -on {SHOP}", "vsphere vapp start shop", "vm.info app1", power),
    Witness(f"vapp.power -suspend {SHOP}", "vsphere vapp suspend shop", "vm.info app1", power),
    Witness(f"vapp.power -on {SHOP}", "vsphere vapp start shop", "vm.info app1", power),
    Witness(f"vapp.power -off -force {SHOP}", "vsphere vapp stop shop --force", "vm.info app1", power),
    Witness("vm.question -vm web1 -answer 1", "vm question answer web1 1 No", "vm.info web1", question),
    Witness("host.service -host esx1 start TSM-SSH", "vsphere node service-start esx1 TSM-SSH", SERVICES, SSH),
    Witness("host.service -host esx1 stop TSM-SSH", "vsphere node service-stop esx1 TSM-SSH", SERVICES, SSH),
    Witness("host.service -host esx1 disable TSM-SSH", "vsphere node service-policy esx1 TSM-SSH off", SERVICES, SSH),
    Witness(
        "host.date.change -host esx1 -server ntp1.example",
        "vsphere node time-servers esx1 ntp1.example",
        "host.date.info -host esx1",
        servers,
    ),
    Witness(
        f"host.option.set -host esx1 {LEVEL} verbose",
        f"vsphere node setting-set esx1 {LEVEL} verbose",
        f"host.option.ls -host esx1 {LEVEL}",
        option,
    ),
    Witness(
        "datastore.maintenance.enter -ds empty", "vsphere datastore maintenance-enter empty", "datastore.info empty", maintenance
    ),
    Witness(
        "datastore.maintenance.exit -ds empty", "vsphere datastore maintenance-leave empty", "datastore.info empty", maintenance
    ),
    Witness("device.disconnect -vm web1 floppy-205", "vsphere vm device-disconnect web1 205", FLOPPY, connected),
    Witness("device.connect -vm web1 floppy-205", "vsphere vm device-connect web1 205", FLOPPY, connected),
    Witness("alarms -ack /DC0/vm/web2", "vsphere alarm acknowledge 'vcsim VM Alarm' web2", "alarms", acknowledged),
)


@pytest.fixture(scope="module")
def worlds(two_worlds):
    for world in two_worlds:
        with novacron.connect(
            world.vcenter.uri(path="/DC0"), password=world.vcenter.password
        ) as host:  # govc can't name the vApp
            disks = [{"size": "1MiB", "pool": world.named("SSD1")}]
            host.vms.create(name="app1", memory="64MiB", disks=disks, native={"resource_pool": world.named("shop")})
        folder = world.vcenter.folder / "empty"
        folder.mkdir()
        world.govc("datastore.create", "-type", "local", "-name", "empty", "-path", str(folder), world.named("esx1"))
    return two_worlds


@pytest.mark.parametrize("row", WITNESSES, ids=[f"{n}-{row.novacron.replace(' ', '_')}" for n, row in enumerate(WITNESSES)])
def test_both_commands_change_the_same(worlds, row):
    """In this order: some rows undo what the one before them did."""
    theirs, ours = worlds
    before = [row.facts(world.theirs(row.asked)) for world in worlds]
    theirs.govc(*shlex.split(theirs.named(row.govc)))
    ours.ours(row.novacron)
    after = [row.facts(world.theirs(row.asked)) for world in worlds]
    assert before[0] == before[1]
    assert after[0] == after[1]
    assert after[0] != before[0], "the witness does not see the change"


def test_the_table_has_each_of_these_commands():
    with TABLE.open() as file:
        known = {tuple(words(row["novacron"])) for row in csv.DictReader(file)}
    assert [row.novacron for row in WITNESSES if tuple(words(row.novacron)) not in known] == []


def words(line: str) -> list[str]:
    """The words of a line that name its command."""
    given = shlex.split(line)
    return given[: 3 if given[0] == "vsphere" or given[1] == "question" else 2]
