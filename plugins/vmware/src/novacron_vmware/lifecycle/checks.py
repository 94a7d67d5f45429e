"""Checks a VM's spec against what vSphere offers, before anything is created."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from novacron.errors import AlreadyExistsError, InvalidSpecError, SpecProblem
from novacron_vmware.console import serial_port
from novacron_vmware.devices import problems_of_disk, problems_of_nic
from novacron_vmware.evc import problem_of_model
from novacron_vmware.lifecycle import hardware

if TYPE_CHECKING:
    from novacron.specs import VMSpec
    from novacron_vmware.connection import VMwareConnection

HARDWARE = re.compile(r"vmx-\d{2}")
"""Versions of the virtual hardware. Each ESXi knows those up to its own."""


def check(spec: VMSpec, connection: VMwareConnection) -> None:
    """Raise InvalidSpecError with everything in a spec that vSphere can't do."""
    problems = list[SpecProblem]()
    if spec.autostart and not connection.is_esxi:
        problems.append(no_autostart(True))
    if spec.arch not in (None, "x86_64"):
        problems.append(SpecProblem("arch", str(spec.arch), "x86_64"))
    if spec.machine is not None and not HARDWARE.fullmatch(spec.machine):
        problems.append(SpecProblem("machine", spec.machine, "a version of the virtual hardware, such as vmx-19"))
    if spec.cpu_mode not in ("default", "host-passthrough"):
        problems.append(SpecProblem("cpu_mode", spec.cpu_mode, "default or host-passthrough"))
    problems += hardware.problems(spec)
    if spec.cpu_model and (problem := problem_of_model(connection, spec.cpu_model)) is not None:
        problems.append(problem)
    if spec.host_devices and not (spec.node or connection.is_esxi):
        problems.append(SpecProblem("host_devices", "no node", "a node too: the VM can only run where the device is"))
    if (wanted := spec.native.get(serial_port.KEY)) is not None and (problem := serial_port.problem_of(wanted)) is not None:
        problems.append(problem)
    if spec.memory % 2**20:
        problems.append(SpecProblem("memory", str(spec.memory), "whole MiB"))
    for number, disk in enumerate(spec.disks):
        problems += [SpecProblem(f"disks.{number}.{p.path}", p.given, p.allowed) for p in problems_of_disk(disk)]
    for number, nic in enumerate(spec.nics):
        problems += [SpecProblem(f"nics.{number}.{p.path}", p.given, p.allowed) for p in problems_of_nic(nic)]
    if problems:
        raise InvalidSpecError(f"vSphere can't create the VM {spec.name!r}", resource=spec.name, problems=problems)


def no_autostart(value: bool) -> SpecProblem:
    """Return why a vCenter starts no VM with its node."""
    return SpecProblem(
        "autostart", str(value), "left out: vSphere HA starts a cluster's VMs; only a single ESXi has a list of its own"
    )


def refuse_taken(connection: VMwareConnection, name: str, identity: str | None) -> None:
    """Raise AlreadyExistsError when a VM or template of that name or UUID is there. (vSphere allows a name once in each folder.)"""
    if connection.inventory.taken(name, identity):
        raise AlreadyExistsError(f"a VM {name!r} is already there", resource=name, hint="give another name, or delete that one")


def megabytes(size: int, name: str) -> int:
    """Return a size in vSphere's unit. Raises InvalidSpecError for a part of it."""
    if size % 2**20:
        raise InvalidSpecError(
            f"vSphere can't give {name!r} that memory", resource=name, problems=[SpecProblem("memory", str(size), "whole MiB")]
        )
    return size // 2**20


__all__ = ["check", "megabytes", "no_autostart", "refuse_taken"]
