"""What the machine of a VM is made of, but for its devices: processors, memory, features, clock, protection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.specs.spec import Size, Spec

Numbers = Annotated[str, Field(pattern=r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$")]
"""Some numbers: "0-3,8"."""

Clock = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*)*$")]
"""What a guest's hardware clock shows: "utc", "localtime" (the host's), or a time zone such as "Europe/Berlin"."""


class CPUTopology(Spec):
    """How a guest sees its vCPUs. `sockets * cores * threads` is the number of vCPUs that it can have.

    Attributes:
        sockets: Number of CPU sockets. Default: 1.
        cores: Number of cores per socket. Default: 1.
        threads: Number of threads per core. Default: 1.
    """

    sockets: int = Field(1, ge=1, le=4096)
    cores: int = Field(1, ge=1, le=4096)
    threads: int = Field(1, ge=1, le=16)

    def upon(self, present: Mapping[str, Any] | None, vcpus: int) -> CPUTopology:
        """Return a present topology with the given parts of this one. Sockets that are not given are as many as the vCPUs need.

        Raises:
            InvalidSpecError: the given sockets have no place for all vCPUs.

        Example:
            >>> eight = {"sockets": 2, "cores": 2, "threads": 2}
            >>> CPUTopology(threads=1).upon(eight, 8).model_dump()
            {'sockets': 4, 'cores': 2, 'threads': 1}
            >>> CPUTopology(sockets=1).upon(eight, 8)  # doctest: +ELLIPSIS
            Traceback (most recent call last):
            ...
            novacron.errors.InvalidSpecError: ... topology: got '1 x 2 x 2', allowed: at least 8 vCPUs; give vcpus along for fewer
        """
        given = self.model_dump(exclude_unset=True)
        found = {"sockets": 1, "cores": 1, "threads": 1, **(present or {}), **given}
        of_a_socket = found["cores"] * found["threads"]
        if "sockets" not in given:
            found["sockets"] = -(-vcpus // of_a_socket)
        elif found["sockets"] * of_a_socket < vcpus:
            places = " x ".join(str(found[part]) for part in ("sockets", "cores", "threads"))
            problem = SpecProblem("topology", places, f"at least {vcpus} vCPUs; give vcpus along for fewer")
            raise InvalidSpecError("a topology without places for all vCPUs", problems=[problem], outcome="not_sent")
        return CPUTopology(**found)


class NUMANodeSpec(Spec):
    """A NUMA node of a guest. All nodes together have all vCPUs and all memory of the VM.

    Attributes:
        vcpus: Numbers of its vCPUs, such as "0-3,8".
        memory: Memory of the node in bytes, or text such as "2GiB". At least 1 MiB.
        host_nodes: Numbers of the host's NUMA nodes that provide the memory, such as "0". Without it the host chooses.

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
    """How the host provides a VM's memory.

    Attributes:
        hugepages: Whether the memory consists of huge pages, of which the host must have enough free. Default: false.
        page_size: Size of the huge pages in bytes, or text such as "2MiB" or "1GiB". Without it the host's default size is used.
        source: Where the memory comes from: "anonymous", "memfd" or "file". Without it the hypervisor chooses.
        shared: Whether other processes of the host can read the memory, as virtiofs and vhost-user need. Default: false;
            filesystems over virtiofs turn it on.
        locked: Whether the host never swaps the memory out. Default: false.
        preallocate: Whether the host allocates all of the memory when the VM starts. Default: false.
        discard: Whether the content is discarded when the VM ends. Default: false.
        merge: Whether the host may keep equal memory pages of its VMs only once (KSM). Default: true.
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
    """Features of a guest's machine.

    Attributes:
        hyperv: Whether the guest gets the Hyper-V interfaces, with which Windows runs faster. Default: false.
        hide_hypervisor: Whether the guest can't detect that it runs under KVM. Default: false.
        pmu: Whether the guest has performance counters. Without it the hypervisor decides.
        iommu: Model of a virtual IOMMU, which limits the memory that the guest's own devices can access. Without it there is
            none.
    """

    hyperv: bool = False
    hide_hypervisor: bool = False
    pmu: bool | None = None
    iommu: Literal["intel", "virtio", "smmuv3"] | None = None


class LaunchSecuritySpec(Spec):
    """Memory that the host can't read: AMD's SEV or IBM's Secure Execution, on hosts that offer it.

    Attributes:
        type: Technology: "sev" for AMD, "s390-pv" for IBM Z.
        policy: SEV's guest policy as a number. Default: 3, no debugging and no key shared with other guests.
        session: Session data of the guest's owner in base64, for an attested launch. Without it the launch is not attested.
        dh_cert: Diffie-Hellman certificate of the guest's owner in base64, for an attested launch.
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
    """The label under which a security driver of the host confines a VM. It replaces the label that libvirt generates.

    Attributes:
        model: Security driver: "selinux", "apparmor", or "dac", which is the user and group that run the VM.
        type: "static" uses `label` as it is. With "dynamic" libvirt generates the label, from `base_label` if it is given.
            Default: "static".
        label: Label of the VM, only with "static", such as "system_u:system_r:svirt_t:s0:c1,c2" or "+107:+107".
        base_label: Label that a generated label starts from, only with "dynamic", and with SELinux or AppArmor.
        relabel: Whether the VM's disks get the label when it starts, and their own label when it ends. Without it libvirt
            decides: yes with "dynamic", no with "static".

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
