"""The rows of docs/vsphere-commands.csv that only read: both commands on one simulator have to tell the same names, counts and values.

Each row has a pair of functions that take the same facts out of govc's answer and out of NovaCron's. What takes time to change, such as
samples that the simulator makes up for every question, is compared by its names and its number.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from novacron.plugins.native import native_operations
from novacron_vmware.plugin import areas

TABLE = Path(__file__).parents[3] / "docs" / "vsphere-commands.csv"
ESX1 = "DC0_C0_H0"
GIB = 2**30


class Facts(NamedTuple):
    """How the facts of one row are found: in govc's answer, and in NovaCron's."""

    theirs: Callable[[Any], Any]
    ours: Callable[[Any], Any]


def same(*fields: str, within: str | None = None, **renamed: str) -> Facts:
    """Records with fields of the same values: of the same names, or `theirs="ours"`, where theirs may be a path ("runtime_powerState")."""
    pairs = [(field, field) for field in fields] + list(renamed.items())

    def theirs(answer: Any) -> Any:
        found = answer[within] if within else answer
        return sorted(tuple(deep(each, path) for path, _ in pairs) for each in many(found))

    return Facts(theirs, lambda answer: sorted(tuple(each[key] for _, key in pairs) for each in many(answer)))


def many(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [] if answer is None else [answer]


def deep(record: Any, path: str) -> Any:
    for key in path.split("_"):
        record = (record or {}).get(key)
    return record


def paths(answer: Any) -> list[str]:
    return sorted(each["path"] for each in many(answer))


def vm_facts(vm: Any) -> tuple[Any, ...]:
    return vm["name"], vm["config"]["instanceUuid"], vm["config"]["hardware"]["numCPU"], vm["config"]["hardware"]["memoryMB"]


def our_vm_facts(vm: Any) -> tuple[Any, ...]:
    return vm["name"], vm["id"], vm["vcpus"], vm["memory_bytes"] // 2**20


STATES = {"poweredOn": "running", "poweredOff": "stopped", "suspended": "suspended"}
VMS_LISTED = Facts(
    lambda answer: sorted((*vm_facts(vm), STATES[vm["runtime"]["powerState"]]) for vm in answer["virtualMachines"]),
    lambda answer: sorted((*our_vm_facts(vm), vm["status"]) for vm in many(answer)),
)


def disks(answer: Any) -> Any:
    """The sizes of disks, which govc writes as "1,048,576 KB"."""
    sizes = [each["summary"].replace(",", "").split()[0] for each in answer["devices"] if each["type"] == "VirtualDisk"]
    return sorted(int(size) * 1024 for size in sizes)


def tree_folders(answer: str) -> list[tuple[str, int]]:
    """The folders of a tree that are drawn with what is below them, and how much: those at the top of a datacenter."""
    found: list[tuple[str, int]] = []
    for line in answer.splitlines()[1:]:
        depth = re.match(r"[^\w]*", line).end() // 4  # type: ignore[union-attr]
        if depth == 1:
            found.append((line.partition("── ")[2], 0))
        elif depth == 2:
            found[-1] = found[-1][0], found[-1][1] + 1
    return sorted(found)


def our_top_folders(answer: Any) -> list[tuple[str, int]]:
    """The simulator's tree puts the port groups of a switch below it."""
    return sorted((each["name"], each["children"]) for each in answer if each["path"].count("/") == 2)


def group_facts(answer: Any) -> Any:
    return sorted(
        (each["spec"]["name"], each["spec"]["vswitchName"], str(each["spec"]["vlanId"])) for each in answer["portgroup"]
    )


def of_node(answer: Any) -> list[Any]:
    return [each for each in answer if each["node"] == ESX1]


def vlans(answer: Any) -> Any:
    """The VLANs of the ports of each port group, without those of uplinks, which are trunks of all VLANs."""
    return sorted({str(p["config"]["setting"]["vlan"]["vlanId"]) for p in answer["port"] if whole(p) is not None})


def whole(port: Any) -> int | None:
    value = port["config"]["setting"]["vlan"]["vlanId"]
    return value if isinstance(value, int) else None


def node_facts(node: Any) -> tuple[Any, ...]:
    hardware = node["summary"]["hardware"]
    return node["name"], hardware["numCpuCores"], hardware["memorySize"], node["runtime"]["connectionState"]


def pool_facts(pool: Any) -> tuple[Any, ...]:
    config = pool["config"]
    cpu, memory = config["cpuAllocation"], config["memoryAllocation"]
    return (
        pool["name"],
        cpu.get("reservation") or 0,
        cpu.get("limit"),
        (cpu.get("shares") or {}).get("level"),
        (memory.get("reservation") or 0) * 2**20,
        len(pool["vm"] or ()),
    )


def our_pool_facts(pool: Any) -> tuple[Any, ...]:
    keys = ("name", "cpu_reservation_mhz", "cpu_limit_mhz", "cpu_level", "memory_reservation_bytes", "vms")
    return tuple(pool[key] for key in keys)


def store_facts(store: Any) -> tuple[Any, ...]:
    summary = store["summary"]
    return summary["name"], summary["capacity"], summary["freeSpace"], summary["accessible"]


STORE = Facts(
    lambda answer: sorted(store_facts(each) for each in answer["datastores"]),
    lambda answer: sorted((s["name"], s["capacity_bytes"], s["free_bytes"], s["accessible"]) for s in many(answer)),
)
POOL = Facts(
    lambda answer: sorted(store_facts(each) for each in answer["datastores"]),
    lambda answer: sorted((s["name"], s["capacity_bytes"], s["available_bytes"], s["active"]) for s in many(answer)),
)


def files(answer: Any) -> list[str]:
    """Paths of files; a file that is a folder itself ends a path nowhere else."""
    return sorted(each["path"] for folder in answer for each in folder.get("file") or ())


def vmx_files(answer: Any) -> list[str]:
    """All .vmx files of the datastore but those of VMs that are registered."""
    found = [f"{f['folderPath']}/{each['path']}".replace("]/", "] ") for f in answer for each in f.get("file") or ()]
    return sorted(each for each in found if each.endswith(".vmx") and not re.search(r"\bweb\d\.vmx$", each))


def texts(answer: str) -> list[str]:
    """The messages of objects that stand one after the other."""
    decoder, found, text = json.JSONDecoder(), [], answer.strip()
    while text:
        each, end = decoder.raw_decode(text)
        found.append(each["message"])
        text = text[end:].lstrip()
    return sorted(found)


def intervals(answer: str) -> Any:
    pattern = r"ID:\s+(\d+)\s+Enabled:\s+(\w+).*?Available Samples:\s+(\d+)\s+Name:\s+(.+?)\s+Level:\s+(\d+)"
    found = re.findall(pattern, answer, re.DOTALL)
    return sorted((name, int(s), int(s) * int(n), int(level), on == "true") for s, on, n, name, level in found)


def samples(answer: Any) -> Any:
    return sorted((value["name"], value["unit"], len(value["value"])) for each in answer["sample"] for value in each["value"])


def our_samples(answer: Any) -> Any:
    kinds = {(each["name"], each["unit"]) for each in answer}
    return sorted((*kind, sum((each["name"], each["unit"]) == kind for each in answer)) for kind in kinds)


def roles(answer: Any) -> Any:
    return sorted((role["name"], role["roleId"], tuple(sorted(role.get("privilege") or ()))) for role in answer)


def permissions(answer: Any) -> Any:
    known = {role["roleId"]: role["name"] for role in answer["Roles"]}
    return sorted((p["principal"], p["group"], known[p["roleId"]], p["propagate"]) for p in answer["Permissions"])


def device_facts(answer: Any) -> Any:
    return sorted((each["type"].removeprefix("Virtual").removeprefix("Machine"), each["summary"]) for each in answer["devices"])


def moment(text: str | None) -> str:
    return (text or "")[:19]


def tasks(answer: Any) -> Any:
    """The simulator forgets no task; both commands show the newest ones."""
    return sorted((each["key"], each["descriptionId"], each["state"], moment(each["startTime"])) for each in answer["tasks"])


def our_tasks(answer: Any) -> Any:
    return sorted((each["id"], each["operation"], each["state"], moment(each["started_at"])) for each in answer)


FACTS: dict[str, Facts] = {
    "host info": Facts(
        lambda answer: tuple(answer["about"][key] for key in ("name", "version", "build", "apiVersion")),
        lambda o: (o["hypervisor"], o["version"], o["native"]["build"], o["native"]["api_version"]),
    ),
    "vsphere object list --kind VirtualMachine": Facts(sorted, paths),
    "vsphere object list --path /DC0": Facts(
        lambda answer: sorted(each["Path"] for each in answer["elements"]),
        lambda answer: sorted(each["path"] for each in answer if each["path"].count("/") == 2),
    ),
    "vsphere object show /DC0/vm/web1": Facts(lambda answer: answer, lambda answer: answer["name"]),
    "vsphere folder show /DC0/vm/prod": Facts(
        lambda answer: [(f["name"], f["self"]["value"], len(f["childEntity"] or ())) for f in answer["folders"]],
        lambda answer: [(answer["name"], answer["id"], answer["children"])],
    ),
    "vsphere folder list --path /DC0": Facts(
        lambda answer: [each for each in tree_folders(answer) if each[0] != "network"],
        lambda answer: [each for each in our_top_folders(answer) if each[0] != "network"],
    ),
    "vsphere object list --kind Datacenter": Facts(
        lambda answer: [(each["name"], each["self"]["value"]) for each in answer["datacenters"]],
        lambda answer: [(each["name"], each["id"]) for each in answer],
    ),
    "vm show web1": VMS_LISTED,
    "vm list": VMS_LISTED,
    "vsphere vm extra-list web1": Facts(
        lambda answer: sorted((o["key"], o["value"]) for o in answer["virtualMachines"][0]["config"]["extraConfig"]),
        lambda answer: sorted((each["name"], each["value"]) for each in answer),
    ),
    "vm question list": Facts(
        lambda answer: re.search(r"Question:\n(.*)\n\nPossible answers:\n0\) (.*)\n1\) (.*)", answer).groups(),  # type: ignore[union-attr]
        lambda answer: (answer[0]["text"], *answer[0]["choices"].values()),
    ),
    "vsphere vm details web1": Facts(
        lambda answer: [
            (
                vm["config"]["version"],
                vm["config"]["files"]["vmPathName"],
                vm["config"]["guestId"],
                vm["guest"]["toolsRunningStatus"],
            )
            for vm in answer["virtualMachines"]
        ],
        lambda answer: [tuple(answer[key] for key in ("hardware", "file", "guest", "tools"))],
    ),
    "disk list web1": Facts(disks, lambda answer: sorted(d["size_bytes"] for d in answer if d["device"] == "disk")),
    "nic list web1": Facts(
        lambda answer: sorted((d["macAddress"], d["type"].removeprefix("Virtual").lower(), d["key"]) for d in answer["devices"]),
        lambda answer: sorted((nic["mac"], nic["model"], int(nic["target"])) for nic in answer),
    ),
    "snapshot list web1": same("name", "current"),
    "snapshot show web1 base": same("id", "name", "current"),
    "host nodes": Facts(
        lambda answer: [node_facts(each)[:3] for each in answer["hostSystems"]],
        lambda answer: [(n["name"], n["cpus"], n["memory_bytes"]) for n in answer if n["name"] == ESX1],
    ),
    "vsphere node show esx1": Facts(
        lambda answer: [
            (each["name"], each["self"]["value"], node_facts(each)[3], len(each["vm"])) for each in answer["hostSystems"]
        ],
        lambda answer: [(answer["name"], answer["id"], answer["connection"], answer["vms"])],
    ),
    "vsphere node list": Facts(
        lambda answer: [
            (each["name"], each["self"]["value"], node_facts(each)[3], len(each["vm"])) for each in answer["hostSystems"]
        ],
        lambda answer: [(n["name"], n["id"], n["connection"], n["vms"]) for n in answer if n["name"] == ESX1],
    ),
    "vsphere switch list --node esx1": Facts(
        lambda answer: sorted((each["name"], each["numPorts"]) for each in answer["vswitch"]),
        lambda answer: sorted((each["name"], each["ports"]) for each in answer),
    ),
    "vsphere portgroup list --switch vSwitch0": Facts(
        group_facts, lambda answer: sorted((each["name"], each["switch"], each["vlan"]) for each in of_node(answer))
    ),
    "vsphere portgroup list --switch DVS0": Facts(vlans, lambda answer: sorted({each["vlan"] for each in answer})),
    "network list": Facts(
        lambda answer: sorted(
            each["Path"].rpartition("/")[2]
            for each in answer["elements"]
            if each["Object"]["self"]["type"] != "DistributedVirtualSwitch" and "DVUplinks" not in each["Path"]
        ),
        lambda answer: sorted(each["name"] for each in answer),
    ),
    "network show prod": Facts(vlans, lambda answer: [str(answer["native"].get("vlan") or 0)]),
    "vsphere cluster show rack1": Facts(lambda answer: answer["memory"]["capacity"], lambda answer: answer["memory_bytes"]),
    "vsphere cluster list": Facts(sorted, paths),
    "vsphere cluster group-list rack1": Facts(sorted, lambda answer: sorted(each["name"] for each in answer)),
    "vsphere cluster rule-list rack1": Facts(sorted, lambda answer: sorted(each["name"] for each in answer)),
    "vsphere pool show silver": Facts(
        lambda answer: [pool_facts(each) for each in answer["resourcePools"]], lambda answer: [our_pool_facts(answer)]
    ),
    "vsphere pool list": Facts(sorted, paths),
    "pool show SSD1": POOL,
    "pool list": POOL,
    "vsphere datastore list": STORE,
    "vsphere datastore show SSD1": STORE,
    "vsphere datastore ls SSD1/iso": Facts(files, lambda answer: sorted(each["name"] for each in answer)),
    "volume show data/data.vmdk --pool SSD1": Facts(
        lambda answer: [each["Name"] for each in answer], lambda answer: [answer["path"]]
    ),
    "volume list SSD1": Facts(
        lambda answer: sorted((each["path"], each["capacityKb"] * 1024) for f in answer for each in f["file"]),
        lambda answer: sorted((v["name"][5:], v["capacity_bytes"]) for v in answer if v["name"].startswith("data/")),
    ),
    "vsphere task list --most 25": Facts(tasks, our_tasks),
    "vsphere event list --object web1": Facts(texts, lambda answer: sorted(each["text"] for each in answer)),
    "vsphere alarm list": Facts(
        lambda answer: sorted((a["name"]["name"], a["alarm"]["value"], a["overallStatus"], moment(a["time"])) for a in answer),
        lambda answer: sorted((a["name"], a["id"], a["status"], moment(a["at"])) for a in answer),
    ),
    "vsphere alarm definitions": Facts(
        lambda answer: sorted(
            (a["info"]["name"], a["info"]["description"], a["info"]["enabled"], a["self"]["value"]) for a in answer
        ),
        lambda answer: sorted((a["name"], a["description"], a["enabled"], a["id"]) for a in answer),
    ),
    "vsphere session list": Facts(
        lambda answer: sorted((each["userName"], each["ipAddress"]) for each in answer["sessionList"]),
        lambda answer: sorted((each["user"], each["address"]) for each in answer),
    ),
    "vsphere license list": Facts(
        lambda answer: sorted((each["name"], each["licenseKey"][-5:], each["editionKey"], each["total"]) for each in answer),
        lambda answer: sorted((each["name"], each["key"][-5:], each["edition"], each["total"]) for each in answer),
    ),
    "vsphere role list": Facts(roles, lambda answer: sorted((r["name"], r["id"], tuple(r["privileges"])) for r in answer)),
    "vsphere permission list --object /DC0/vm --inherited": Facts(
        permissions, lambda answer: sorted((p["principal"], p["group"], p["role"], p["propagate"]) for p in answer)
    ),
    "vsphere setting list --prefix config.": same("value", key="name"),
    "vsphere customization list": same("name", "description", type="kind", changeVersion="version"),
    "vm list --tag env:prod": Facts(len, len),
    "vm metrics web2": Facts(lambda answer: len(answer["sample"]), lambda answer: len(many(answer))),
    "vsphere library list": Facts(
        lambda answer: sorted((each["name"], each["id"], each["type"].lower()) for each in answer),
        lambda answer: sorted((each["name"], each["id"], each["kind"]) for each in answer),
    ),
    "vsphere library items images": same("name", "id", type="kind"),
    "vsphere node service-list esx1": same("label", "running", "policy", key="name"),
    "vsphere node time esx1": Facts(
        lambda answer: (answer["timeZone"]["name"], tuple(answer["ntpConfig"].get("server") or ())),
        lambda answer: (answer["zone"], tuple(answer["servers"])),
    ),
    "vsphere vapp list": Facts(sorted, paths),
    "vsphere policy list": Facts(
        lambda answer: sorted((p["name"], p["profileId"]["uniqueId"], p["description"]) for p in answer["profile"]),
        lambda answer: sorted((p["name"], p["id"], p["description"]) for p in answer),
    ),
    "vsphere policy state web1 --check": Facts(
        lambda answer: sorted((each["name"] == "VM home", each["policyName"]) for each in answer),
        lambda answer: sorted((each["disk"] is None, each["policy"] or "None") for each in answer),
    ),
    "vsphere datastore cluster-list": Facts(
        lambda answer: sorted((c["name"], c["summary"]["capacity"], len(c["childEntity"] or ())) for c in answer["clusters"]),
        lambda answer: sorted((c["name"], c["capacity_bytes"], len(c["datastores"])) for c in answer),
    ),
    "vsphere vm device-list web1": Facts(device_facts, lambda answer: sorted((d["kind"], d["summary"]) for d in answer)),
    "vsphere vm unregistered --datastore SSD1": Facts(vmx_files, paths),
    "vsphere metric list web2": Facts(
        lambda answer: sorted((name, each["key"], each["level"], each["unitInfo"]["key"]) for name, each in answer.items()),
        lambda answer: sorted((each["name"], each["key"], each["level"], each["unit"]) for each in answer),
    ),
    "vsphere metric intervals": Facts(
        intervals,
        lambda answer: sorted((i["name"], i["seconds"], i["kept_seconds"], i["level"], i["enabled"]) for i in answer),
    ),
    "vsphere metric sample web2 cpu.usage.average mem.usage.average --most 10": Facts(samples, our_samples),
    "vsphere log list": Facts(lambda answer: answer.split()[::2], lambda answer: [each["key"] for each in answer]),
    "vsphere certificate show": Facts(
        lambda answer: (answer["thumbprintSHA256"].replace(":", "").lower(), moment(answer["notAfter"])),
        lambda answer: (answer["sha256"], moment(answer["ends_at"])),
    ),
    "vsphere node certificate esx1": Facts(
        lambda answer: (answer["subject"], answer["issuer"], moment(answer["notAfter"]), answer["status"]),
        lambda answer: (answer["subject"], answer["issuer"], moment(answer["ends_at"]), answer["status"]),
    ),
    "vsphere node setting-list esx1 --prefix Config.HostAgent.": same("value", key="name"),
    "vsphere vcenter list": Facts(
        lambda answer: sorted((urlsplit(e["Url"]).netloc, s["ServiceId"]) for s in answer for e in s["ServiceEndpoints"]),
        lambda answer: sorted((each["address"], each["id"]) for each in answer),
    ),
    "vsphere portgroup teaming-show prod": Facts(
        lambda answer: [sorted({str(p["config"]["setting"].get("uplinkTeamingPolicy")) for p in answer["port"]})],
        lambda answer: [sorted({str(each["balance"]) for each in answer})],
    ),
}

COUNTED = ("vm metrics web2", "vm list --tag env:prod")
"""Only the number of records is compared: the simulator makes metrics up for each question, and govc tells ids that NovaCron does not."""


def reading_rows() -> list[dict[str, str]]:
    """The rows that are run and change nothing, by the kind of their operation, or their verb for those of the contract."""
    native = {".".join(operation.name.split(".")[1:]) for operation in native_operations(areas()) if operation.reads}
    verbs = {"list", "show", "info", "nodes", "metrics"}

    def reads(line: str) -> bool:
        words = [word for word in shlex.split(line) if not word.startswith("-")]
        if words[0] == "vsphere":
            return "_".join(words[1:3]).replace("-", "_") in native and "download" not in words
        return words[-1] in verbs or words[1] in verbs or words[:3] == ["vm", "question", "list"]

    with TABLE.open() as file:
        return [row for row in csv.DictReader(file) if row["run"] and reads(row["novacron"])]


def difference(world: Any, govc: str, novacron: str) -> str | None:
    """Return what the two commands tell differently; None when they agree."""
    facts = FACTS[novacron]
    one, other = facts.theirs(world.theirs(govc)), facts.ours(world.ours(novacron))
    one, other = (json.loads(json.dumps(each)) for each in (one, other))
    assert one not in ([], None, "", {}), f"{govc}: the simulator has nothing to compare"
    return None if one == other else f"{govc} | {novacron}:\n  govc {one}\n  ours {other}"


def test_each_reading_row_is_compared():
    """A new row needs its facts."""
    assert sorted({row["novacron"] for row in reading_rows()} ^ set(FACTS)) == []


@pytest.mark.parametrize("row", reading_rows(), ids=lambda row: row["novacron"].replace(" ", "_"))
def test_both_commands_tell_the_same(read_world, row):
    assert difference(read_world, row["govc"], row["novacron"]) is None


@pytest.mark.parametrize(
    ("govc", "novacron"),
    [
        ("vm.info web2", "vm show web1"),
        ("vm.info web1", "vm list"),
        ("find / -type h", "vsphere cluster list"),
        ("pool.info rack1/Resources", "vsphere pool show silver"),
        ("datastore.info SSD2", "pool show SSD1"),
        ("snapshot.tree -vm web1", "snapshot show web1 base"),
        ("host.portgroup.info -host esx2", "vsphere portgroup list --switch vSwitch0"),
        ("permissions.ls /DC0/host", "vsphere permission list --object /DC0/vm --inherited"),
        ("events /DC0/vm/web2", "vsphere event list --object web1"),
        ("metric.ls /DC0/host/rack1/esx1", "vsphere metric list web2"),
    ],
)
def test_a_wrong_row_is_noticed(read_world, govc, novacron):
    """The same comparison with another object's answer, or another kind's, fails."""
    try:
        found = difference(read_world, govc, novacron)
    except (KeyError, AssertionError) as error:
        found = str(error)
    assert found is not None


def test_every_fact_depends_on_novacrons_answer(read_world):
    """With other values in NovaCron's answer, no comparison finds the same facts: none is always true."""
    same = []
    for line, facts in FACTS.items():
        answer = read_world.ours(line)
        if line not in COUNTED and not differs(facts.ours, changed(answer), facts.ours(answer)):
            same.append(line)
        if isinstance(answer, list) and not differs(facts.ours, [], facts.ours(answer)):
            same.append(f"{line}: an empty list")
    assert same == []


def differs(facts: Callable[[Any], Any], answer: Any, before: Any) -> bool:
    try:
        return bool(facts(answer) != before)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return True


def changed(value: Any) -> Any:
    """The same structure with other values."""
    if isinstance(value, dict):
        return {key: changed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [changed(each) for each in value]
    if isinstance(value, bool):
        return not value
    return value + 7 if isinstance(value, int | float) else f"{value}~"
