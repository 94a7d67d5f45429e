"""A VM as asked for, and changes to one."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from novacron.specs.network import NICSpec
from novacron.specs.spec import Label, Name, Size, Spec, Tag
from novacron.specs.storage import DiskSpec

Firmware = Literal["bios", "uefi", "uefi-secure"]


class KernelSpec(Spec):
    """Direct kernel boot: absolute paths on the host, and the kernel's command line."""

    path: str = Field(pattern=r"^/")
    initrd: str | None = Field(None, pattern=r"^/")
    command_line: str = ""


class CloudInitSpec(Spec):
    """A NoCloud seed: user-data and what is needed to write the common ones."""

    user_data: str | None = None
    network_config: str | None = None
    hostname: str | None = None
    ssh_keys: tuple[str, ...] = ()


class SerialSpec(Spec):
    """The serial console; `log` is a file on the host (absolute) to which its output is appended, also after a migration."""

    log: str | None = Field(None, pattern=r"^/")


class DisplaySpec(Spec):
    """A graphical display, on the host's loopback unless `listen` says otherwise."""

    type: Literal["vnc", "spice"] = "vnc"
    listen: str = "127.0.0.1"


class CPUTopology(Spec):
    """How a guest sees its vCPUs; `sockets * cores * threads` is how many it can have."""

    sockets: int = Field(1, ge=1, le=4096)
    cores: int = Field(1, ge=1, le=4096)
    threads: int = Field(1, ge=1, le=16)


class VMSpec(Spec):
    """A VM to be created. Only `name` is needed; sizes are bytes or text such as "2GiB".

    `machine` and `arch` are the hypervisor's own names; None takes its best. `virt_type` None lets the driver probe.
    `cpu_model` is a CPU's name instead of a `cpu_mode`; `cpu_features` add to it ("avx2") or take from it ("-avx2").
    `watchdog` is what happens when the guest no longer feeds its watchdog; `vsock` gives it a socket to its host;
    A running VM's balloon can be let out to `memory_max`; memory modules can be added to it up to `max_memory`.
    `hugepages` backs its memory with large pages, of which the host must have enough.

    Example:
        >>> VMSpec(name="web1", memory="2GiB", disks=[DiskSpec(size="20GiB")]).memory
        2147483648
        >>> VMSpec(name="../x", vcpus=0)
        Traceback (most recent call last):
        ...
        novacron.errors.InvalidSpecError: invalid VMSpec: name: got '../x', allowed: string should match pattern \
'^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$'; vcpus: got '0', allowed: input should be greater than or equal to 1
    """

    name: Name
    id: UUID | None = None
    vcpus: int = Field(1, ge=1, le=4096)
    vcpus_max: int | None = Field(None, ge=1, le=4096)
    memory: Size = Field(512 * 1024**2, ge=1024**2)
    memory_max: Size | None = None
    max_memory: Size | None = None
    arch: str | None = Field(None, pattern=r"^[a-z0-9_]+$")
    machine: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    virt_type: Literal["kvm", "qemu"] | None = None
    cpu_mode: Literal["default", "host-model", "host-passthrough", "maximum"] = "default"
    cpu_model: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    cpu_features: frozenset[Annotated[str, Field(pattern=r"^-?[a-z0-9_][a-z0-9_.-]*$")]] = frozenset()
    topology: CPUTopology | None = None
    hugepages: bool = False
    watchdog: Literal["reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"] | None = None
    vsock: bool = False
    firmware: Firmware = "bios"
    tpm: bool = False
    kernel: KernelSpec | None = None
    iso: str | None = None
    disks: tuple[DiskSpec, ...] = ()
    nics: tuple[NICSpec, ...] = ()
    serial: SerialSpec = SerialSpec()
    display: DisplaySpec | None = None
    guest_agent: bool = True
    rng: bool = True
    cloud_init: CloudInitSpec | None = None
    tags: frozenset[Tag] = frozenset()
    metadata: dict[Name, str] = Field(default_factory=dict)
    description: str = ""
    autostart: bool = False
    start: bool = False
    node: Label | None = None
    native: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.vcpus_max is not None and self.vcpus_max < self.vcpus:
            raise ValueError("vcpus_max of at least vcpus")
        if self.memory_max is not None and self.memory_max < self.memory:
            raise ValueError("memory_max of at least memory")
        if self.max_memory is not None and self.max_memory < (self.memory_max or self.memory):
            raise ValueError("max_memory of at least memory and memory_max")
        if self.cpu_model and self.cpu_mode != "default":
            raise ValueError("either cpu_model or cpu_mode")
        if twice := {feature.removeprefix("-") for feature in self.cpu_features if f"-{feature}" in self.cpu_features}:
            raise ValueError(f"each of cpu_features once, not with and without: {', '.join(sorted(twice))}")
        if self.topology:
            places = self.topology.sockets * self.topology.cores * self.topology.threads
            if places != (self.vcpus_max or self.vcpus):
                raise ValueError(f"a topology of {self.vcpus_max or self.vcpus} vCPUs, not {places}")
        if self.firmware == "uefi-secure" and self.kernel:
            raise ValueError("direct kernel boot without uefi-secure: the firmware would run an unsigned kernel unchecked")
        targets = [d.target for d in self.disks if d.target]
        if len(targets) != len(set(targets)):
            raise ValueError("a different target for each disk")
        macs = [n.mac.lower() for n in self.nics if n.mac]
        if len(macs) != len(set(macs)):
            raise ValueError("a different MAC address for each NIC")
        return self


class VMUpdate(Spec):
    """Changes to a VM: only the fields that are given change; `metadata` is merged, None removes a key."""

    vcpus: int | None = Field(None, ge=1, le=4096)
    memory: Size | None = Field(None, ge=1024**2)
    description: str | None = None
    tags: frozenset[Tag] | None = None
    metadata: dict[Name, str | None] | None = None
    autostart: bool | None = None


__all__ = ["CPUTopology", "CloudInitSpec", "DisplaySpec", "Firmware", "KernelSpec", "SerialSpec", "VMSpec", "VMUpdate"]
