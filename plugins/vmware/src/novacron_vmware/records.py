"""Records of what vSphere reports of a VM."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from novacron.errors import VMNotFoundError
from novacron.records.vm import VM, Status
from novacron_vmware.autostart import autostarting
from novacron_vmware.devices import disk_records, nic_records
from novacron_vmware.errors import translated
from novacron_vmware.evc import model_of
from novacron_vmware.finder import Known
from novacron_vmware.followed import SUMMARY
from novacron_vmware.names import path_part, plain_name
from novacron_vmware.reconfiguring import reconfigure_vm
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

FACTS = "novacron.facts"
"""The key in a VM's extra configuration that holds NovaCron's tags and metadata as JSON; it travels with the VM."""
ATTACHED = "vsphere_tags"
"""The fact that lists the vSphere tags which NovaCron attached; only these are detached by an update."""
FACTS_PATH = f'config.extraConfig["{FACTS}"]'
FULL = (
    *SUMMARY,
    "config.hardware.device",
    "config.annotation",
    "config.firmware",
    "config.bootOptions",
    "config.version",
    "config.guestId",
    "config.createDate",
    "guest.net",
    "guest.toolsRunningStatus",
    "runtime.featureMask",
    FACTS_PATH,
)
AROUND = {vim.VirtualMachine: FULL, vim.HostSystem: ["name"], vim.dvs.DistributedVirtualPortgroup: ["key", "name"]}
"""What a full record is made of, by kind."""
STATUSES: dict[str, Status] = {"poweredOn": "running", "poweredOff": "stopped", "suspended": "suspended"}


def read_vm(connection: VMwareConnection, thing: Any) -> VM:
    """Return the full record of one VM."""
    return record_of(connection, thing, connection.finder.ancestors([thing], AROUND))


def find_vm(connection: VMwareConnection, vm: str) -> tuple[Any, VM]:
    """Return vSphere's VM by instance UUID, name, inventory path or id, and its full record; one call finds and reads it."""
    thing, known = connection.inventory.find_with(vm, AROUND)
    return thing, record_of(connection, thing, known)


def record_of(connection: VMwareConnection, thing: Any, known: Known) -> VM:
    """Return the full record of a VM from what was read of it and around it, as `AROUND` says."""
    read = known.get(thing, {})
    if "name" not in read:
        raise VMNotFoundError("the VM was deleted meanwhile")
    groups = group_names(known.values())
    tags = connection.tags.of([thing]).get(thing, frozenset())
    record = summary_within(connection, read, known)
    return full_record(connection, thing, read, record, autostarting(connection), tags, groups)


def group_names(groups: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the names of distributed port groups by their keys."""
    return {read["key"]: plain_name(read["name"]) for read in groups if "key" in read}


def summary_within(connection: VMwareConnection, read: dict[str, Any], known: Known) -> VM:
    """Return what a listing shows of a VM, with its node's name and its folder's path from what is known around it."""
    node = known.get(read.get("runtime.host"), {}).get("name")
    parent = read.get("parentVApp") or read.get("parent")
    folder = None if parent is None else connection.finder.path_in(known, parent)
    return summary_record(connection.name, read, node, folder)


def summary_record(host: str, read: dict[str, Any], node: str | None, folder: str | None) -> VM:
    """Return what a listing shows. An inaccessible VM has no configuration and the status "unknown"."""
    connected = read.get("runtime.connectionState", "connected") == "connected"
    question = read.get("runtime.question")
    reason = f"waits for an answer: {question.text.strip()}" if question is not None else ""
    return VM(
        id=read.get("config.instanceUuid", ""),
        name=plain_name(read["name"]),
        host=host,
        status=STATUSES.get(str(read.get("runtime.powerState")), "unknown") if connected else "unknown",
        status_reason=reason if connected else str(read["runtime.connectionState"]),
        node=node,
        path=f"{folder}/{path_part(read['name'])}" if folder else None,
        folder=folder,
        vcpus=int(read.get("config.hardware.numCPU", 0)),
        memory_bytes=int(read.get("config.hardware.memoryMB", 0)) * 2**20,
    )


def full_record(
    connection: VMwareConnection,
    thing: Any,
    read: dict[str, Any],
    record: VM,
    started: set[Any] | None,
    tags: frozenset[str],
    groups: Mapping[str, str],
) -> VM:
    """Return the full record of a VM.

    Args:
        connection: where it is.
        thing: vSphere's VM.
        read: the properties `FULL` of it.
        record: its summary.
        started: the VMs that their ESXi starts when it boots; None where that is not known.
        tags: vSphere's own tags of it.
        groups: the names of its distributed port groups by their keys; those that are not there are asked for.
    """
    devices, created, facts = read.get("config.hardware.device"), read.get("config.createDate"), facts_of(read)
    if devices is None:
        return record
    with translated(record.name):
        nics = tuple(nic_records(connection, devices, read.get("guest.net") or (), groups))
    boot = read.get("config.bootOptions")
    model = model_of(connection, read.get("runtime.featureMask"))
    firmware = "bios" if read.get("config.firmware") != "efi" else "uefi-secure" if boot and boot.efiSecureBootEnabled else "uefi"
    full: VM = record.replace(
        arch="x86_64",
        machine=read.get("config.version"),
        firmware=firmware,
        disks=tuple(disk_records(devices, boot)),
        nics=nics,
        description=read.get("config.annotation") or "",
        tags=frozenset(facts.get("tags", ())) | tags,
        metadata=facts.get("metadata", {}),
        native={"guest_id": read.get("config.guestId")} | ({"cpu_model": model} if model else {}),
        created_at=created.isoformat() if created else None,
        autostart=None if started is None else thing in started,
        agent_connected=tools_running(read) if record.status == "running" else None,
    )
    return full


def tools_running(read: dict[str, Any]) -> bool | None:
    """Return whether VMware Tools run in the guest; None if vSphere does not know."""
    status = read.get("guest.toolsRunningStatus")
    return None if status is None else str(status) != "guestToolsNotRunning"


def facts_of(read: dict[str, Any]) -> dict[str, Any]:
    """Return NovaCron's own facts about a VM; nothing where another tool broke them."""
    option = read.get(FACTS_PATH)
    try:
        found = json.loads(option.value) if option is not None else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def apply_tags(connection: VMwareConnection, thing: Any, resource: str, wanted: Iterable[str] | None = None) -> None:
    """Let a new VM have these tags, those that its facts name when none are given: vSphere's attached, the others in its facts."""
    before = facts_of(connection.read(thing, [FACTS_PATH])).get("tags", [])
    wanted = before if wanted is None else wanted
    rest, attached = frozenset(wanted), frozenset[str]()
    if any(":" in tag for tag in wanted):
        rest, attached = connection.tags.attach(thing, wanted, resource)
    if sorted(rest) != before or attached:
        change_facts(connection, thing, resource, lambda facts: facts | {"tags": sorted(rest), ATTACHED: sorted(attached)})


def change_facts(
    connection: VMwareConnection, thing: Any, resource: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Change NovaCron's own facts about a VM. `change` makes the new facts of those that are there."""

    def spec(read: dict[str, Any]) -> Any:
        return vim.vm.ConfigSpec(extraConfig=[facts_option(change(facts_of(read)))])

    reconfigure_vm(connection, thing, resource, [FACTS_PATH], spec)


def facts_option(facts: dict[str, Any]) -> Any:
    """Return the option that keeps facts in a VM's extra configuration."""
    return vim.option.OptionValue(key=FACTS, value=json.dumps(facts, sort_keys=True))


__all__ = [
    "ATTACHED",
    "FACTS",
    "FACTS_PATH",
    "FULL",
    "facts_of",
    "facts_option",
    "find_vm",
    "full_record",
    "group_names",
    "apply_tags",
    "change_facts",
    "read_vm",
    "record_of",
    "summary_record",
    "summary_within",
]
