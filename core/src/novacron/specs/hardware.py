"""What the machine of a VM is made of, but for its devices: processors, memory, features, clock, protection."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import Size, Spec

Numbers = Annotated[str, Field(pattern=r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$")]
"""Some numbers: "0-3,8"."""

Clock = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*)*$")]
"""What a guest's hardware clock shows: "utc", "localtime" (the host's), or a time zone such as "Europe/Berlin"."""


class CPUTopology(Spec):
    """How a guest sees its vCPUs; `sockets * cores * threads` is how many it can have."""

    sockets: int = Field(1, ge=1, le=4096)
    cores: int = Field(1, ge=1, le=4096)
    threads: int = Field(1, ge=1, le=16)


class NUMANodeSpec(Spec):
    """A node of a guest's NUMA: its vCPUs ("0-3,8") and memory; `host_nodes` of the host give the memory.

    Example:
        >>> sorted(NUMANodeSpec(vcpus="0-2,8", memory="1GiB").numbers)
        [0, 1, 2, 8]
    """

    vcpus: Numbers
    memory: Size = Field(ge=1024**2)
    host_nodes: Numbers | None = None

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of the vCPUs."""
        parts = (part.partition("-") for part in self.vcpus.split(","))
        return frozenset(number for first, _, last in parts for number in range(int(first), int(last or first) + 1))


class MemoryBackingSpec(Spec):
    """What gives a VM its memory: pages of the host, large ones if asked (of which it must have enough), swapped out unless `locked`.

    `shared` memory can be read by other processes of the host that the hypervisor lets do so (it is implied by filesystems over
    virtiofs); `preallocate` takes all of it at the start; `discard` gives its content up when the VM ends; `merge` lets the host keep
    equal pages once.
    """

    hugepages: bool = False
    page_size: Size | None = None
    source: Literal["anonymous", "memfd", "file"] | None = None
    shared: bool = False
    locked: bool = False
    preallocate: bool = False
    discard: bool = False
    merge: bool = True

    @model_validator(mode="after")
    def _pages(self) -> Self:
        if self.page_size is not None and not self.hugepages:
            raise ValueError("page_size only with hugepages")
        if self.shared and self.source == "anonymous":
            raise ValueError("source memfd or file with shared: anonymous memory is not")
        return self


class FeaturesSpec(Spec):
    """What a guest's machine has or hides.

    `hyperv` gives Windows the interfaces that it runs well with; `hide_hypervisor` lets a guest not see that it runs under KVM; `pmu` is
    the performance counters, None leaves them to the hypervisor; `iommu` protects the guest's memory from its own devices.
    """

    hyperv: bool = False
    hide_hypervisor: bool = False
    pmu: bool | None = None
    iommu: Literal["intel", "virtio", "smmuv3"] | None = None


class LaunchSecuritySpec(Spec):
    """Memory that the host itself can't read: AMD's SEV or IBM's Secure Execution, on hosts that offer it.

    `policy` is SEV's guest policy, 3 by default (no debugging, no key shared with other guests); `session` and `dh_cert` (base64) are
    the owner's, for an attested launch.
    """

    type: Literal["sev", "s390-pv"]
    policy: int = Field(3, ge=0, lt=2**32)
    session: str | None = Field(None, pattern=r"^[A-Za-z0-9+/=]+$")
    dh_cert: str | None = Field(None, pattern=r"^[A-Za-z0-9+/=]+$")

    @model_validator(mode="after")
    def _of_sev(self) -> Self:
        if self.type != "sev" and (self.session or self.dh_cert or self.policy != 3):
            raise ValueError("policy, session and dh_cert only with sev")
        return self


Label = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[A-Za-z0-9_.,:+/-]+$")]
"""A label of a security driver, such as "system_u:system_r:svirt_t:s0:c1,c2" (SELinux) or "+107:+107" (user and group)."""


class SecurityLabelSpec(Spec):
    """The label under which a security driver of the host confines a VM, in place of the label that libvirt generates.

    Attributes:
        model: the security driver: "selinux", "apparmor", or "dac", which is the user and group that run the VM.
        type: "static" uses `label` as it is. With "dynamic" libvirt generates the label, from `base_label` if it is given.
        label: the label of the VM, only with "static".
        base_label: what a generated label starts from, only with "dynamic", and with SELinux or AppArmor.
        relabel: give the VM's disks the label when it starts, and their own back when it ends. None leaves it to libvirt: yes with
            "dynamic", no with "static".

    Example:
        >>> SecurityLabelSpec(model="dac", label="+107:+107", relabel=True).type
        'static'
    """

    model: Literal["selinux", "apparmor", "dac"]
    type: Literal["static", "dynamic"] = "static"
    label: Label | None = None
    base_label: Label | None = None
    relabel: bool | None = None

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        if self.type == "static" and (self.label is None or self.base_label is not None):
            raise ValueError('label, and no base_label, with type="static"')
        if self.type == "dynamic" and (self.label is not None or self.relabel is False):
            raise ValueError('no label and no relabel=false with type="dynamic"')
        if self.base_label is not None and self.model == "dac":
            raise ValueError('base_label only with model="selinux" or model="apparmor"')
        return self


__all__ = [
    "CPUTopology",
    "Clock",
    "FeaturesSpec",
    "LaunchSecuritySpec",
    "MemoryBackingSpec",
    "NUMANodeSpec",
    "Numbers",
    "SecurityLabelSpec",
]
