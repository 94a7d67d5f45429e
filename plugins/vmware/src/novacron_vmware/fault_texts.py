"""What errors say of vSphere's faults. Objects are called by their names, because users do not know the ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from novacron import errors as nova
from novacron.errors import NovaCronError
from novacron_vmware.names import plain_name
from novacron_vmware.sdk import ManagedObject, vim

KINDS: dict[Any, tuple[str, type[NovaCronError]]] = {
    vim.VirtualMachine: ("VM", nova.VMNotFoundError),
    vim.vm.Snapshot: ("snapshot", nova.SnapshotNotFoundError),
    vim.Datastore: ("storage pool", nova.StoragePoolNotFoundError),
    vim.Network: ("network", nova.NetworkNotFoundError),
    vim.HostSystem: ("node", nova.NodeNotFoundError),
    vim.Folder: ("folder", nova.NotFoundError),
    vim.Datacenter: ("datacenter", nova.NotFoundError),
    vim.ResourcePool: ("resource pool", nova.NotFoundError),
    vim.ComputeResource: ("cluster", nova.NotFoundError),
}
"""What vSphere's objects are called in errors, and the error for one that is not there any more."""
MOREF = re.compile(r"'?\b(?:vim\.)?([A-Za-z.]+):((?:[a-z]+-)[\w-]*\d+)\b'?")
"""An object's type and id in a message of vSphere: 'vim.VirtualMachine:vm-57'."""
INTERNAL = re.compile(r"\*?types\.\w+")
"""What the simulator gives as a message when it has none."""


def gone(thing: Any, resource: str | None) -> tuple[type[NovaCronError], str]:
    """Return the class and the text of the error for an object that was deleted meanwhile."""
    noun, cls = next((found for kind, found in KINDS.items() if isinstance(thing, kind)), ("object", nova.NotFoundError))
    if resource is None:
        return cls, f"a {noun} was deleted meanwhile"
    what = f"the {noun} {resource!r}" if isinstance(thing, vim.VirtualMachine) else f"a {noun} that {resource!r} needs"
    return cls, f"{what} was deleted meanwhile"


def described(thing: Any) -> str | None:
    """Return an object's kind and name, "the VM 'web1'". The name is read from the server; if that fails, the id is shown."""
    if not isinstance(thing, ManagedObject):
        return None
    noun = next((noun for kind, (noun, _) in KINDS.items() if isinstance(thing, kind)), type(thing).__name__.rpartition(".")[2])
    try:
        return f"the {noun} {plain_name(thing.name)!r}"
    except Exception:  # noqa: BLE001 - the error itself matters more than the name in it
        return f"a {noun} ({_id(thing)})"


def properties_of(fault: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a fault says beside its message: plain values, and objects by their type and id."""
    for found in type(fault)._GetPropertyList():
        value = getattr(fault, found.name, None)
        if isinstance(value, ManagedObject):
            yield found.name, _id(value)
        elif isinstance(value, str | int | float) and value != "" and found.name not in ("msg", "dynamicType"):
            yield found.name, value if isinstance(value, bool | int | float) else str(value)


def text_of(fault: Any, resource: str | None) -> str:
    """Return a fault's own message, its cause's, or its name in words. Objects are shown by their names, not by their ids."""
    said = getattr(fault, "msg", None) or getattr(fault, "faultstring", None)
    if not said and getattr(fault, "faultCause", None) is not None:
        said = getattr(fault.faultCause, "msg", None)
    if said and not INTERNAL.fullmatch(said):
        return MOREF.sub(lambda found: _of_id(fault, found), str(said))
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(fault).__name__.rpartition(".")[2].removesuffix("Fault")).lower()
    shown = {name: described(getattr(fault, name, None)) or value for name, value in properties_of(fault)}
    shown.pop("faultstring", None)
    more = ", ".join(f"{name} {value}" for name, value in shown.items() if not INTERNAL.fullmatch(str(value)))
    about = f" for {resource!r}" if resource else ""
    return f"vSphere says: {words}{about}" + (f" ({more})" if more else "")


def _of_id(fault: Any, found: re.Match[str]) -> str:
    """Return the description of the object that a message of vSphere names by its id."""
    for each in type(fault)._GetPropertyList():
        value = getattr(fault, each.name, None)
        if isinstance(value, ManagedObject) and value._moId == found[2]:
            return described(value) or found[0]
    kind = next(
        (noun for cls, (noun, _) in KINDS.items() if cls.__name__.rpartition(".")[2] == found[1].rpartition(".")[2]), None
    )
    return f"a {kind or 'object'} ({found[1].rpartition('.')[2]}:{found[2]})"


def _id(thing: Any) -> str:
    return f"{type(thing).__name__.rpartition('.')[2]}:{thing._moId}"


__all__ = ["described", "gone", "properties_of", "text_of"]
