"""The changes of docs/lab-changes.md, which tests of several drivers make."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any, NamedTuple

from novacron.labs.plan import LabPlan

LAB: dict[str, Any] = {
    "name": "changes",
    "pools": {"changes": {"type": "dir", "path": "/var/lib/libvirt/changes"}},
    "volumes": {"changes-data": {"pool": "changes", "capacity": "16MiB"}},
    "networks": {
        "changes-lan": {"type": "isolated", "cidr": "10.77.40.1/24", "dhcp_start": "10.77.40.10", "dhcp_end": "10.77.40.20"},
        "changes-two": {"type": "isolated"},
    },
    "vms": {
        "web": {
            "memory": "192MiB",
            "vcpus": 1,
            "vcpus_max": 4,
            "machine": "q35",
            "disks": [{"size": "16MiB", "pool": "changes"}],
            "nics": [{"network": "changes-lan"}],
            "running": True,
        }
    },
}
"""The lab that is changed."""
ALONE = {"vms.web.cpu_mode", "vms.web.topology", "vms.web.count"}
"""Fields whose change does not go with another one of the table."""


class LabChange(NamedTuple):
    """A row of the table: the field of the lab file, its new value, and when it applies."""

    path: str
    value: Any
    applies: str


def changes_in(page: Path) -> list[LabChange]:
    """Return the changes that a page lists."""
    import yaml

    rows = re.findall(r"^\| `([a-z0-9.\-_]+): (.+?)` \| ([a-z ]+) \|", page.read_text(), re.MULTILINE)
    return [LabChange(path, yaml.safe_load(value), applies) for path, value, applies in rows]


def changed_lab(*changes: LabChange) -> dict[str, Any]:
    """Return the lab with changes."""
    lab = copy.deepcopy(LAB)
    for change in changes:
        *parents, last = change.path.split(".")
        place: Any = lab
        for part in parents:
            place = place[int(part) if isinstance(place, list) else part]
        if isinstance(place, list):
            place.append(change.value)
        else:
            place[last] = change.value
    return lab


def applies(plan: LabPlan) -> str:
    """Return in the words of the table when a plan applies."""
    if any(action.action == "differs" for action in plan):
        return "refused"
    when = {applies for action in plan for *_, applies in action.changes}
    return "next start" if "next start" in when else "at once" if len(plan) else "no change"


__all__ = ["ALONE", "LAB", "LabChange", "applies", "changed_lab", "changes_in"]
