"""Records of what vSphere reports of a VM."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from novacron.errors import VMNotFoundError
from novacron.records.vm import VM, Status
from novacron_vmware.autostart import autostarting
from novacron_vmware.devices import disk_records, nic_records
from novacron_vmware.errors import translated
from novacron_vmware.inventory import SUMMARY, plain_name
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

FACTS = "novacron.facts"
"""The key in a VM's extra configuration that holds NovaCron's tags and metadata as JSON; it travels with the VM."""
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
    FACTS_PATH,
)
STATUSES: dict[str, Status] = {"poweredOn": "running", "poweredOff": "stopped", "suspended": "suspended"}


def read_vm(connection: VMwareConnection, thing: Any) -> VM:
    """Return the full record of one VM."""
    read = connection.read(thing, FULL)
    if "name" not in read:
        raise VMNotFoundError("the VM was deleted meanwhile")
    tags = connection.tags.of([thing]).get(thing, frozenset())
    return full_record(connection, thing, read, connection.inventory.nodes(), autostarting(connection), tags)


def summary_record(host: str, read: dict[str, Any], nodes: dict[Any, str]) -> VM:
    """Return what a listing shows; an inaccessible VM has no configuration, and its status is unknown."""
    connected = read.get("runtime.connectionState", "connected") == "connected"
    return VM(
        id=read.get("config.instanceUuid", ""),
        name=plain_name(read["name"]),
        host=host,
        status=STATUSES.get(str(read.get("runtime.powerState")), "unknown") if connected else "unknown",
        status_reason="" if connected else str(read["runtime.connectionState"]),
        node=nodes.get(read.get("runtime.host")),
        vcpus=int(read.get("config.hardware.numCPU", 0)),
        memory_bytes=int(read.get("config.hardware.memoryMB", 0)) * 2**20,
    )


def full_record(
    connection: VMwareConnection,
    thing: Any,
    read: dict[str, Any],
    nodes: dict[Any, str],
    started: set[Any] | None,
    tags: frozenset[str],
) -> VM:
    """Return all that is known; `started` are the VMs that are started with their node, None where nobody can say; `tags` vSphere's own."""
    record = summary_record(connection.name, read, nodes)
    devices, created, facts = read.get("config.hardware.device"), read.get("config.createDate"), facts_of(read)
    if devices is None:
        return record
    with translated(record.name):
        nics = tuple(nic_records(connection, devices, read.get("guest.net") or ()))
    boot = read.get("config.bootOptions")
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
        native={"guest_id": read.get("config.guestId")},
        created_at=created.isoformat() if created else None,
        autostart=None if started is None else thing in started,
    )
    return full


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
    facts = facts_of(connection.read(thing, [FACTS_PATH]))
    before = facts.get("tags", [])
    wanted = before if wanted is None else wanted
    own = sorted(connection.tags.own(thing, wanted, resource) if any(":" in tag for tag in wanted) else wanted)
    if own != before:
        change = vim.vm.ConfigSpec(extraConfig=[facts_option(facts | {"tags": own})])
        connection.wait(thing.ReconfigVM_Task(change), resource=resource)


def facts_option(facts: dict[str, Any]) -> Any:
    """Return the option that keeps facts in a VM's extra configuration."""
    return vim.option.OptionValue(key=FACTS, value=json.dumps(facts, sort_keys=True))


__all__ = ["FACTS_PATH", "FULL", "facts_of", "facts_option", "full_record", "apply_tags", "read_vm", "summary_record"]
