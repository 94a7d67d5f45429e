"""What can be done to a VM in `top`. Each action is asked for first and runs in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple


class Action(NamedTuple):
    """An action.

    Attributes:
        key: the key that asks for it.
        title: what it is called.
        work: does it, given the VM and the other host.
        argument: "host" if another host has to be chosen.
    """

    key: str
    title: str
    work: Callable[[Any, Any], object]
    argument: str = ""


def _snapshot(vm: Any, _: Any) -> None:
    vm.snapshots.create(datetime.now(UTC).strftime("top-%Y%m%dT%H%M%SZ"))


ACTIONS: Mapping[str, Action] = {
    "start": Action("s", "Start", lambda vm, _: vm.start()),
    "shutdown": Action("d", "Shut down", lambda vm, _: vm.shutdown()),
    "stop": Action("x", "Stop", lambda vm, _: vm.stop()),
    "migrate": Action("m", "Migrate", lambda vm, to: vm.migrate(to), "host"),
    "snapshot": Action("n", "Snapshot", _snapshot),
}

__all__ = ["ACTIONS", "Action"]
