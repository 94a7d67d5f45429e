"""What can be done to a VM in `top`. Each action is asked for first and runs in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from novacron.errors import NovaCronError
from novacron.threads import fan_out
from novacron_shell.top.model import VMState

AT_ONCE = 8
"""VMs of one action at a time."""


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


def named(vms: Sequence[VMState], *, hosts: bool = False) -> str:
    """Return the VMs of an action in words, with the host of a single one if asked for.

    Example:
        >>> some = [VMState(host="kvm1", id=str(n), name=f"web{n}", status="running") for n in range(8)]
        >>> named(some[:1], hosts=True), named(some[:2]), named(some)
        ('web0 on kvm1', '2 VMs: web0, web1', '8 VMs: web0, web1, web2, web3 and 4 more')
    """
    if len(vms) == 1:
        return f"{vms[0].name} on {vms[0].host}" if hosts else vms[0].name
    shown = len(vms) if len(vms) <= 5 else 4
    more = f" and {len(vms) - shown} more" if len(vms) > shown else ""
    return f"{len(vms)} VMs: {', '.join(vm.name for vm in vms[:shown])}{more}"


def do(vms: Sequence[VMState], work: Callable[[VMState], object]) -> list[str]:
    """Do something to VMs, several at a time, and return what went wrong. Whatever a driver raises is a message, and ends no screen."""
    answers = fan_out(vms, work, seconds=None, limit=AT_ONCE, name="novacron-top")
    failed = [(vm, error) for vm, answer in zip(vms, answers, strict=True) if (error := answer.exception()) is not None]
    return [f"{vm.name}: {_in_words(error)}" if len(vms) > 1 else _in_words(error) for vm, error in failed]


def _in_words(error: BaseException) -> str:
    if isinstance(error, NovaCronError):
        return f"{error}; {error.hint}" if error.hint else str(error)
    return f"{type(error).__name__}: {error}"  # a defect of a driver


__all__ = ["ACTIONS", "Action", "do", "named"]
