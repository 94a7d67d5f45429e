"""libvirt's (state, reason) as NovaCron's status and reason."""

from __future__ import annotations

import libvirt

from novacron.records.vm import Status

STATUS: dict[int, Status] = {
    libvirt.VIR_DOMAIN_NOSTATE: "unknown",
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_PAUSED: "suspended",
    libvirt.VIR_DOMAIN_SHUTDOWN: "stopping",
    libvirt.VIR_DOMAIN_SHUTOFF: "stopped",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "sleeping",
}

SHUTDOWN_WAYS = {"DEFAULT", "ACPI_POWER_BTN", "GUEST_AGENT", "INITCTL", "SIGNAL", "PARAVIRT"}
"""Constants with the prefix of the state SHUTDOWN that are no reasons: the ways to shut a guest down, flags of a call."""


def _reasons() -> dict[tuple[int, int], str]:
    """Read the reasons' names off libvirt's own constants: VIR_DOMAIN_PAUSED_IOERROR is (3, 5): "ioerror"."""
    prefixes = {
        "NOSTATE": 0,
        "RUNNING": 1,
        "BLOCKED": 2,
        "PAUSED": 3,
        "SHUTDOWN": 4,
        "SHUTOFF": 5,
        "CRASHED": 6,
        "PMSUSPENDED": 7,
    }
    found = {}
    for name, value in vars(libvirt).items():
        if name.startswith("VIR_DOMAIN_") and isinstance(value, int):
            state, _, reason = name.removeprefix("VIR_DOMAIN_").partition("_")
            if state == "SHUTDOWN" and reason in SHUTDOWN_WAYS:
                continue
            if state in prefixes and reason and reason != "LAST":
                found[prefixes[state], value] = reason.lower().replace("_", " ")
    return found


REASON = _reasons()
MIGRATING = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)
STARTING = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP)
SAVED = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED)
STOPPED_SOMEHOW = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN)
"""A VM that libvirtd has not seen running since it started itself."""
LOST = "lost by libvirtd"
"""The reason of a VM that may run although libvirtd takes it for stopped."""


def status_of(state: int, reason: int, *, switching: bool = False) -> tuple[Status, str]:
    """Return status and reason in words.

    Args:
        switching: the VM ran when one of its disks was being switched to another file. The outcome of that is unknown.

    Example:
        >>> status_of(1, 1), status_of(5, 6), status_of(3, 2), status_of(5, 5), status_of(3, 11)
        (('running', 'booted'), ('stopped', 'failed'), ('migrating', 'migration'), ('saved', 'saved'), ('running', 'starting up'))
    """
    words = REASON.get((state, reason), "unknown")
    if switching and (state, reason) == STOPPED_SOMEHOW:
        return "unknown", LOST
    if (state, reason) == MIGRATING:
        return "migrating", words
    if (state, reason) == STARTING:  # nobody halted it: libvirt holds the CPUs until QEMU is set up, a part of a second
        return "running", words
    if (state, reason) == SAVED:
        return "saved", words
    if state == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
        return "crashed", words
    return STATUS.get(state, "unknown"), words


TABLE = {(state, reason): status_of(state, reason) for state in STATUS for reason in range(32)}
"""`status_of` for every pair, for listings."""

__all__ = ["LOST", "REASON", "STARTING", "STATUS", "TABLE", "status_of"]
