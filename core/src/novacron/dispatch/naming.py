"""Lets errors call a VM or snapshot by its name, although handles and workflows pass its id to the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novacron.dispatch.call import Call
from novacron.errors import NovaCronError
from novacron.hookspecs.operation import Operation
from novacron.records.snapshots import Snapshot
from novacron.records.vm import VM

REMEMBERED = 20_000
"""The number of names that are remembered. When there are more, all are forgotten."""


class NamePolicy:
    """Replaces ids by names in the errors of a call.

    Drivers report each VM and snapshot with its name, and the policy remembers it. So it needs no call to the hypervisor, and it also knows
    the name of what was deleted meanwhile. The id of a snapshot is shown after its name, because vSphere allows two snapshots of one name.
    """

    stage = "naming"

    def __init__(self) -> None:
        self._names = dict[str, str]()

    def applies(self, operation: Operation) -> bool:
        """Return whether the operation gets or returns VMs."""
        return "vm" in operation.arguments or operation.area == "lifecycle"

    def __call__(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Run the operation."""
        try:
            result = proceed(call)
        except NovaCronError as error:
            self._name(call, error)
            raise
        if len(self._names) > REMEMBERED:
            self._names.clear()
        for record in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(record, (VM, Snapshot)) and record.id:
                self._names[record.id] = record.name
        return result

    def _name(self, call: Call, error: NovaCronError) -> None:
        for argument in ("vm", "snapshot"):
            identity = call.arguments.get(argument)
            name = self._names.get(identity) if isinstance(identity, str) else None
            if name is None or name == identity:
                continue
            quoted = f"{name!r} ({identity})" if argument == "snapshot" else repr(name)
            error.message = error.message.replace(repr(identity), quoted)
            error.hint = error.hint and error.hint.replace(repr(identity), quoted)
            if error.resource in (None, identity):
                error.resource = name


__all__ = ["NamePolicy"]
