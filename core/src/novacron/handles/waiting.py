"""Waits until a VM is in a status, or its guest is ready: agent, IP address, SSH, cloud-init."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from novacron.conversion import decode
from novacron.errors import GuestAgentError, InvalidSpecError, InvalidStateError, OperationTimeoutError, SpecProblem
from novacron.handles.addresses import Address, addresses_of
from novacron.records.vm import Status
from novacron.units import parse_duration

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.records.guest import GuestInfo

INTERVAL = 1.0
"""Seconds between two checks if no event arrives."""


def wait_for(vm: VMHandle, condition: str, *, timeout: float | str = "5m") -> Status | GuestInfo | list[Address] | str:
    """Wait until a condition holds. It is checked at each event of the VM, and every second.

    Args:
        vm: The VM.
        condition: A status ("running", "stopped", ...), "agent", "ip", "ssh" or "cloud-init".
        timeout: Longest time to wait, in seconds or as text such as "5m".

    Returns:
        The observed value: the status, the agent's information, the addresses, the SSH banner, or cloud-init's status.

    Raises:
        InvalidSpecError: The condition is unknown.
        OperationTimeoutError: The condition did not hold in time; the message contains the last observed value.
        GuestAgentError: cloud-init failed, or is disabled in the guest.
        VMNotFoundError: The VM no longer exists.
    """
    check = _check(vm, condition)
    seconds = parse_duration(timeout)
    until, changed = time.monotonic() + seconds, threading.Event()
    subscription = vm.host.subscribe(lambda _: changed.set()) if vm.host.supports("event_subscribe") else None
    try:
        while True:
            changed.clear()
            holds, seen = check()
            if holds:
                return cast("Status | GuestInfo | list[Address] | str", seen)
            remaining = until - time.monotonic()
            if remaining <= 0:
                raise OperationTimeoutError(
                    f"{vm.name!r} is not {condition} after {seconds:g} s: {seen}",
                    resource=vm.name,
                    host=vm.host.name,
                    hint="check its console, or use a longer timeout",
                )
            changed.wait(min(INTERVAL, remaining))
    finally:
        if subscription is not None:
            subscription.close()


def conditions() -> tuple[str, ...]:
    """Return all conditions that `wait_for` accepts."""
    statuses: tuple[str, ...] = Status.__args__  # type: ignore[attr-defined]
    return (*statuses, *_GUEST)


def _check(vm: VMHandle, condition: str) -> Callable[[], tuple[bool, Any]]:
    if condition not in conditions():
        problem = SpecProblem("condition", condition, "one of " + ", ".join(conditions()))
        raise InvalidSpecError("invalid condition", problems=[problem], outcome="not_sent")
    if condition in _GUEST:
        return lambda: _running(vm, condition)

    def status() -> tuple[bool, Any]:
        now = vm.refresh().status
        return now == condition, now

    return status


def _running(vm: VMHandle, condition: str) -> tuple[bool, Any]:
    """Look at the guest. Raises InvalidStateError when the VM does not run: nobody would start it."""
    if vm.refresh().status in ("stopped", "crashed", "saved"):
        raise InvalidStateError.of_status(f"wait for {condition!r} of", vm.name, vm.status, ("running",))
    return _GUEST[condition](vm)


def _agent(vm: VMHandle) -> tuple[bool, Any]:
    try:
        return True, vm.guest.info()
    except (GuestAgentError, InvalidStateError) as error:
        return False, str(error)


def _ip(vm: VMHandle) -> tuple[bool, Any]:
    found = addresses_of(vm)
    return bool(found), found or "no address yet"


def _ssh(vm: VMHandle) -> tuple[bool, Any]:
    return ssh_banner(addresses_of(vm))


def ssh_banner(addresses: Iterable[Address]) -> tuple[bool, str]:
    """Connect to port 22 of each address until an SSH server answers. Returns True and its banner, or False and what was seen last."""
    seen = "no address yet"
    for address in addresses:
        try:
            with socket.create_connection((address.address, 22), timeout=3) as connection:
                banner = connection.recv(64)
        except OSError as error:
            seen = f"{address.address} port 22: {error}"
            continue
        if banner.startswith(b"SSH-"):
            return True, banner.decode(errors="replace").strip()
        seen = f"{address.address} port 22 is no SSH server"
    return False, seen


def _cloud_init(vm: VMHandle) -> tuple[bool, Any]:
    """Read what cloud-init writes at its end. `cloud-init status` would start Python in the guest each time, which takes long there."""
    try:
        result = decode(vm.guest.read("/run/cloud-init/result.json"), _CloudInitFile).v1
    except (GuestAgentError, InvalidStateError, OperationTimeoutError) as error:
        return _cloud_init_disabled(vm), f"cloud-init has not ended: {error}"  # a slow guest answers late while it boots
    except msgspec.MsgspecError as error:
        return False, f"its result can't be read yet: {error}"
    if result.errors:
        raise GuestAgentError(
            f"cloud-init failed in {vm.name!r}: {'; '.join(result.errors)}",
            resource=vm.name,
            hint=f"novacron guest exec {vm.name} -- cloud-init status --long",
        )
    return True, f"done, {result.datasource}"


def _cloud_init_disabled(vm: VMHandle) -> bool:
    """Raise GuestAgentError if cloud-init has decided not to run, otherwise return False."""
    try:
        vm.guest.read("/run/cloud-init/disabled")
    except (GuestAgentError, InvalidStateError, OperationTimeoutError):
        return False
    raise GuestAgentError(
        f"cloud-init is disabled in {vm.name!r}: it found no data source, or was switched off",
        resource=vm.name,
        hint=f"novacron guest exec {vm.name} -- cat /run/cloud-init/ds-identify.log",
    )


class _CloudInitResult(msgspec.Struct):
    datasource: str | None = None
    errors: list[str] = []


class _CloudInitFile(msgspec.Struct):
    v1: _CloudInitResult


_GUEST: dict[str, Callable[[VMHandle], tuple[bool, Any]]] = {
    "agent": _agent,
    "ip": _ip,
    "ssh": _ssh,
    "cloud-init": _cloud_init,
}

__all__ = ["conditions", "ssh_banner", "wait_for"]
