"""The target of the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.specs import DiskSpec, VMSpec
from novacron.specs.volumes import DiskFormat


def smallest_vm(name: str) -> VMSpec:
    """Return the spec of a VM that any hypervisor can create: 64 MiB, no disk, no NIC."""
    return VMSpec(name=name, memory="64MiB")


@dataclass(frozen=True)
class Target:
    """A connected host to test, and what its VMs are made of.

    Attributes:
        host: the host.
        new_vm: returns the spec of a small VM, not started, that can run on the host.
        can_boot: the hypervisor runs these VMs, also without an operating system in them.
        boot_guest: creates and starts a VM with an operating system and returns it when the system reacts to the power button; None if
            there is none. Booting may take long, so only tests that need a guest use it.
        disk: a small blank disk that can be given to a VM; None leaves out what needs one.
        pool: a storage pool for the suite's volumes.
        volume_format: the format of the suite's volumes.
        native_lines: returns what the hypervisor itself reports of a VM, by its id, besides the record and the exported definition: an
            export leaves out what may be secret, such as the content of cloud-init.
        network: a network that NICs can be plugged into; None leaves out what needs one.
        other: a second host, for migrations; None leaves them out.
        event_timeout: seconds within which an event has to arrive.
        walks: how many random sequences of operations are tried.
        fields_step: of the fields of each spec, every how manieth is tried; 1 tries all.
        all_fields_of: specs whose fields are all tried in any case.
        unnamed: fields ("DiskSpec.cache") that the hypervisor itself refuses with an error that does not name them.
        tally: what the tests of fields found: spec, and the fields that were honoured, refused, accepted and not tried.
    """

    host: HostHandle
    new_vm: Callable[[str], VMSpec] = smallest_vm
    can_boot: bool = False
    boot_guest: Callable[[str], VMHandle] | None = None
    disk: DiskSpec | None = None
    pool: str = "default"
    volume_format: DiskFormat = "raw"
    native_lines: Callable[[str], Iterable[str]] | None = None
    network: str | None = None
    other: HostHandle | None = None
    event_timeout: float = 20.0
    walks: int = 20
    fields_step: int = 1
    all_fields_of: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    tally: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)


__all__ = ["Target", "smallest_vm"]
